"""How often a listener hears what was asked for: among its first five labels, and first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from woosh.audio import resample
from woosh.data.manifests import check_captions, read_objects, text_of
from woosh.embeddings.tagging import Tagger
from woosh.evaluation.recognition_prompts import PROMPTS, RecognitionPrompt

AMONG = 5


class Recognition(NamedTuple):
    """Of one prompt's sounds, how many a listener heard."""

    sounds: int
    among_five: int
    first: int


@dataclass(frozen=True)
class Recording:
    """A recording of what a prompt asks for."""

    prompt: RecognitionPrompt
    path: Path


def recordings_of(manifest: Path, split: str) -> list[Recording]:
    """Recordings of a split whose category is a prompt's, and one of whose captions contains the prompt's word.

    Args:
        manifest: JSON lines with `file`, `captions`, `catid` and `split`.
        split: that no listener and no generator heard.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a faulty manifest.
    """
    rows = [
        (row.get("catid"), text_of(row, "file", place), check_captions(row.get("captions"), place))
        for place, row in read_objects(manifest)
        if row.get("split") == split
    ]
    return [
        Recording(prompt, manifest.parent / file)
        for prompt in PROMPTS
        for catid, file, captions in rows
        if catid == prompt.category and any(prompt.word in caption.lower() for caption in captions)
    ]


def check_labels(labels: Sequence[str], prompts: Iterable[RecognitionPrompt] = PROMPTS) -> None:
    """Check that a listener knows the labels that count.

    Raises:
        ValueError: it does not: its labels are not AudioSet's.
    """
    unknown = sorted({label for prompt in prompts for label in prompt.labels} - set(labels))
    if unknown:
        raise ValueError(
            f"the listener does not know {', '.join(unknown[:5])}: take one of AudioSet"
        )


def hear(listener: Tagger, audio: Tensor, sample_rate: int) -> list[str]:
    """The five labels that fit best to audio (1, S), the best first."""
    rate = listener.embedder.sample_rate
    heard = torch.from_numpy(resample(audio.numpy(), sample_rate, rate))[0]
    best = listener.scores(heard).topk(AMONG).indices
    return [listener.labels[index] for index in best.tolist()]


def recognise(
    listener: Tagger,
    sounds: Iterable[tuple[RecognitionPrompt, Callable[[], Tensor]]],
    sample_rate: int,
) -> dict[str, Recognition]:
    """Count, for every prompt, the sounds in which a listener hears it.

    Args:
        listener: that knows AudioSet's labels.
        sounds: of each, the prompt, and a function that makes or reads audio (1, S).
        sample_rate: of the audio, in Hz.
    """
    counts: dict[str, Recognition] = {}
    for prompt, make in sounds:
        labels = hear(listener, make(), sample_rate)
        sofar = counts.get(prompt.prompt, Recognition(0, 0, 0))
        counts[prompt.prompt] = Recognition(
            sofar.sounds + 1,
            sofar.among_five + bool(set(labels) & set(prompt.labels)),
            sofar.first + (labels[0] in prompt.labels),
        )
    return counts


def by_category(counts: dict[str, Recognition]) -> dict[str, Recognition]:
    """Of the prompts of each category of UCS together, by its short name such as ANML, in their order."""
    grouped: dict[str, dict[str, Recognition]] = {}
    for prompt in PROMPTS:
        if prompt.prompt in counts:
            group = grouped.setdefault(short_name(prompt.category), {})
            group[prompt.prompt] = counts[prompt.prompt]
    return {name: total(group) for name, group in grouped.items()}


def short_name(catid: str) -> str:
    """Of the category that a CatID begins with: ANMLDog -> ANML; RAIN stands for itself."""
    capitals = catid.rstrip("abcdefghijklmnopqrstuvwxyz")
    return catid if capitals == catid else capitals[:-1]


def total(counts: dict[str, Recognition]) -> Recognition:
    """Of all prompts together."""
    return Recognition(*(sum(column) for column in zip(*counts.values(), strict=True)))
