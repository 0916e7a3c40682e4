"""What a sound is, in the words of a list of labels: by a tagger's head, or zero-shot by an aligner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional

from woosh.catalogue import find_aligner, is_tagger
from woosh.embeddings.embedders import (
    PASST,
    TAGGER,
    Embedder,
    load_embedder,
    passt_weights_of,
    read_to_embed,
    tagger_weights_of,
)
from woosh.metrics.tags import sigmoid_tags
from woosh.taggers.labels import find_labels, read_labels


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

    def tag(self, path: Path, count: int) -> list[Tag]:
        """The `count` labels that fit best to the first minute of a file, the best first.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it cannot be read.
        """
        scores = self.scores(read_to_embed(path, self.embedder))
        best = scores.topk(min(count, len(self.labels)))
        return [
            Tag(self.labels[index], score)
            for index, score in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]


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
        labels = find_labels(_weights_of(name))
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
