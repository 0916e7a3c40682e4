"""What a sound is, in the words of a list of labels: by a tagger's head, or zero-shot by an aligner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from woosh.audio import audio_seconds, read_seconds, resample
from woosh.catalogue import find_aligner, is_tagger
from woosh.embeddings.embedders import (
    PASST,
    TAGGER,
    Embedder,
    load_embedder,
    passt_weights_of,
    read_to_embed,
    tagger_weights_of,
    to_embed,
)
from woosh.metrics.tags import sigmoid_tags
from woosh.taggers.labels import find_labels, match_labels, read_labels
from woosh.taggers.ucs import Proposal, propose, read_mapping

MARGIN_SECONDS = 1.0  # that the timeline hears before and after each second


class Tag(NamedTuple):
    """A label, and how well it fits: a probability of a tagger, a cosine of an aligner."""

    label: str
    score: float


@dataclass(frozen=True)
class Tagger:
    """Labels for sounds.

    Attributes:
        embedder: that hears.
        labels: C of them.
        scores: mono audio (S,) at the embedder's rate -> how well each label fits (C,).
    """

    embedder: Embedder
    labels: tuple[str, ...]
    scores: Callable[[Tensor], Tensor]

    def hear(self, path: Path) -> Tensor:
        """How well each label fits (C,) to the first minute of a file.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it cannot be read.
        """
        return self.scores(read_to_embed(path, self.embedder))

    def best(self, scores: Tensor, count: int) -> list[Tag]:
        """The `count` labels that fit best by their scores (C,), the best first."""
        best = scores.topk(min(count, len(self.labels)))
        return [
            Tag(self.labels[index], score)
            for index, score in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def tag(self, path: Path, count: int) -> list[Tag]:
        """The `count` labels that fit best to the first minute of a file, the best first.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it cannot be read.
        """
        return self.best(self.hear(path), count)

    def timeline(self, path: Path, count: int) -> Iterator[list[Tag]]:
        """The `count` labels that fit best to every second of a whole file, one second after the other.

        A second is heard with `MARGIN_SECONDS` before and after it, as far as the file reaches, and by itself: no more than
        that is held, however long the file is.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it cannot be read, once the faulty place is reached.
        """
        rate = self.embedder.sample_rate
        for window in read_seconds(path, rate, MARGIN_SECONDS):
            yield self.best(self.scores(to_embed(window, path, rate)), count)

    def describe(self, path: Path, count: int, timeline: bool) -> dict[str, Any]:
        """What is heard in a file, in values of JSON.

        Args:
            path: of the file.
            count: of the labels.
            timeline: also those of every second.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it cannot be read.
        """
        scores = self.hear(path)
        proposal = self.propose(scores)
        found: dict[str, Any] = {
            "file": str(path),
            "seconds": audio_seconds(path),
            "labels": _plain(self.best(scores, count)),
            "ucs": None,
        }
        if proposal is not None:
            named = {"label": proposal.label, "score": proposal.probability}
            found["ucs"] = proposal.category._asdict() | named
        if timeline:
            found["timeline"] = [
                {"second": second, "labels": _plain(tags)}
                for second, tags in enumerate(self.timeline(path, count))
            ]
        return found

    def named(self, words: Sequence[str]) -> tuple[str, ...]:
        """The labels that words name, each once: see `woosh.taggers.labels.match_labels`.

        Raises:
            ValueError: a word names none.
        """
        return tuple(dict.fromkeys(l for word in words for l in match_labels(word, self.labels)))

    @property
    def proposes(self) -> bool:
        """Whether it gives probabilities of AudioSet's labels, of which a category of UCS follows."""
        return bool(self.embedder.tags) and read_mapping().keys() == set(self.labels)

    def propose(self, scores: Tensor) -> Proposal | None:
        """The category of UCS that probabilities (C,) propose: see `woosh.taggers.ucs`; None if they propose none."""
        if not self.proposes:
            return None
        return propose(dict(zip(self.labels, scores.tolist(), strict=True)))


def _plain(tags: list[Tag]) -> list[dict[str, Any]]:
    return [tag._asdict() for tag in tags]


def _weights_of(name: str) -> Path:
    """The file or folder that an embedder's name names."""
    if name.startswith(PASST):
        return passt_weights_of(name)[1]
    if name.startswith(TAGGER) or is_tagger(name):
        return tagger_weights_of(name)
    return find_aligner(name)


def load_tagger(name: str, labels: Path | None, device: torch.device | str = "cpu") -> Tagger:
    """A tagger from an embedder's name: PaSST or a MobileNet by its head, anything that knows texts zero-shot.

    Args:
        name: for `woosh.embeddings.load_embedder`.
        labels: file of the labels; None takes the one beside the weights.
        device: where to compute.

    Raises:
        FileNotFoundError: a file that is not there.
        ValueError: labels that do not fit the head, or an embedder that knows neither labels nor texts.
    """
    if labels is None:
        weights = _weights_of(name)
        if not weights.exists():
            raise FileNotFoundError(f"no weights at {weights}, which {name!r} names")
        labels = find_labels(weights)
    words = read_labels(labels)
    embedder = load_embedder(name, device)
    if embedder.tags:
        if len(words) != embedder.tags:
            raise ValueError(f"{labels} has {len(words)} labels, {name} has {embedder.tags}")
        return Tagger(
            embedder, words, lambda audio: sigmoid_tags(cast(Tensor, embedder.listen(audio).logits))
        )
    if embedder.text is None:
        raise ValueError(f"{name} knows neither labels nor texts: name an aligner or a tagger")
    texts = functional.normalize(embedder.text(words), dim=1)  # (C, D)
    return Tagger(
        embedder, words, lambda audio: texts @ functional.normalize(embedder.embed(audio), dim=0)
    )


def load_ear(name: str) -> Tagger:
    """A tagger that gives a probability to each label by itself, on the CPU, with the labels beside its weights.

    Raises:
        FileNotFoundError: a file that is not there.
        ValueError: an unknown name, or what is no tagger.
    """
    ear = load_tagger(name, None)
    if not ear.embedder.tags:
        raise ValueError(f"{name} gives no probabilities of labels: name a tagger")
    return ear


@cache
def _ear_of_this_process(name: str) -> Tagger:
    """Loaded once; processes beside each other have one thread each, so that they do not slow each other down."""
    if parent_process() is not None:
        torch.set_num_threads(1)
    return load_ear(name)


def hear_labels(name: str, audio: np.ndarray, sample_rate: int) -> dict[str, float]:
    """The greatest probability of each label in any piece of a clip, so that a short sound in a long clip counts.

    Args:
        name: of a tagger, for `load_ear`.
        audio: (C, S), at least one sample.
        sample_rate: in Hz.
    """
    ear = _ear_of_this_process(name)
    mono = resample(audio.mean(axis=0, keepdims=True), sample_rate, ear.embedder.sample_rate)[0]
    logits = cast(Tensor, ear.embedder.listen(torch.from_numpy(mono)).logits)  # (P, C)
    return dict(zip(ear.labels, logits.sigmoid().amax(dim=0).tolist(), strict=True))
