"""Batches of sounds with one caption each, for training an aligner."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from woosh.augmentation import at_speed, coloured, with_another_under
from woosh.datasets import Clip, crop


@dataclass(frozen=True)
class Augmentation:
    """How sounds and captions are varied.

    Args:
        speed: greatest change of speed, and of pitch with it, as a share.
        colour: standard deviation in dB of a smooth random filter.
        mixed_share: of the crops that get another sound under them.
        word_dropout: chance of a word to be left out of its caption.
        punctuation_dropout: chance of a caption to lose its punctuation.
    """

    speed: float
    colour: float
    mixed_share: float
    word_dropout: float
    punctuation_dropout: float


@dataclass(frozen=True)
class PairBatch:
    """Crops (B, S), their true lengths in samples (B,), captions, and numbers (B,) that equal meanings share."""

    audio: Tensor
    lengths: Tensor
    captions: tuple[str, ...]
    groups: Tensor


def caption_groups(clips: Sequence[Clip]) -> np.ndarray:
    """A number for each clip (N,); clips that have a caption in common, if only through others, share it."""
    first_with: dict[str, int] = {}
    parents = list(range(len(clips)))

    def top(number: int) -> int:
        while parents[number] != number:
            number = parents[number]
        return number

    for number, clip in enumerate(clips):
        for caption in clip.captions:
            other = first_with.setdefault(caption, number)
            parents[top(number)] = top(other)
    return np.array([top(number) for number in range(len(clips))])


def varied_caption(caption: str, augmentation: Augmentation, generator: np.random.Generator) -> str:
    """A caption with some words or its punctuation left out; one word at least stays."""
    if generator.random() < augmentation.punctuation_dropout:
        caption = re.sub(r"[^\w\s]", "", caption)
    words = caption.split()
    kept = [word for word in words if generator.random() >= augmentation.word_dropout]
    return " ".join(kept or words[:1])


class PairBatches:
    """Batch number i follows from (seed, i) alone.

    Args:
        clips: sounds in memory, mono.
        weights: relative chance of each clip to be drawn (N,).
        samples: length of a crop.
        batch_size: pairs.
        augmentation: of sounds and captions.
        seed: of all draws.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        weights: np.ndarray,
        samples: int,
        batch_size: int,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        self.clips, self.samples, self.batch_size = clips, samples, batch_size
        self.augmentation, self.seed = augmentation, seed
        self.chances = np.asarray(weights, dtype=np.float64) / np.sum(weights)
        self.groups = caption_groups(clips)

    def batch(self, number: int) -> PairBatch:
        """Draw a batch: different clips as long as there are enough."""
        generator = np.random.default_rng((self.seed, number))
        enough = np.count_nonzero(self.chances) >= self.batch_size
        drawn = generator.choice(
            len(self.clips), self.batch_size, replace=not enough, p=self.chances
        )
        sounds = [self._sound(self.clips[row], generator) for row in drawn]
        captions = tuple(self._caption(self.clips[row], generator) for row in drawn)
        audio = np.stack([np.pad(sound, (0, self.samples - len(sound))) for sound in sounds])
        return PairBatch(
            torch.from_numpy(audio.astype(np.float32)),
            torch.tensor([len(sound) for sound in sounds]),
            captions,
            torch.from_numpy(self.groups[drawn]),
        )

    def _sound(self, clip: Clip, generator: np.random.Generator) -> np.ndarray:
        """A crop of a clip, or all of a shorter one: (up to `samples`,), its peak between 0.05 and 1."""
        settings = self.augmentation
        audio = self._stretch(clip, generator)
        audio = at_speed(audio, np.exp(generator.uniform(-1, 1) * np.log1p(settings.speed)))
        audio = coloured(audio[: self.samples], settings.colour, generator)
        if generator.random() < settings.mixed_share:
            other = self.clips[int(generator.integers(len(self.clips)))]
            audio = with_another_under(audio, np.resize(other.audio, len(audio)), generator)
        return audio * 0.05 ** generator.random() / max(np.abs(audio).max(), 1e-4)

    def _stretch(self, clip: Clip, generator: np.random.Generator) -> np.ndarray:
        """What is cropped before its speed changes, long enough to fill a crop afterwards."""
        needed = int(np.ceil(self.samples * (1 + self.augmentation.speed))) + 1
        return crop(clip.audio, needed, generator) if len(clip.audio) > needed else clip.audio

    def _caption(self, clip: Clip, generator: np.random.Generator) -> str:
        caption = clip.captions[int(generator.integers(len(clip.captions)))]
        return varied_caption(caption, self.augmentation, generator)
