"""Batches of sounds with one caption each, for training an aligner."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from woosh.data.augmentation import (
    at_speed,
    coloured,
    mixed_as_equals,
    through_response,
    with_another_under,
)
from woosh.data.clips import Clip
from woosh.data.streaming import Item, StreamedBatches, decode_clips
from woosh.training.cropping import CropSettings, happens, streamed_batches

JOINING_WORDS = ("and", "with", "beside")


@dataclass(frozen=True)
class PairAugmentation:
    """How pairs of sounds and captions are varied.

    Attributes:
        speed: greatest change of speed, and of pitch with it, as a share.
        colour_decibels: standard deviation in dB of a smooth random filter.
        mixed_share: of the crops that get another sound under them, which the caption does not tell.
        joined_share: of the crops that are two sounds at once, with both captions.
        response_share: of the crops that go through an impulse response.
        polarity_share: of the crops that are turned upside down.
        word_dropout: chance of a word to be left out of its caption.
        punctuation_dropout: chance of a caption to lose its punctuation.
    """

    speed: float
    colour_decibels: float
    mixed_share: float
    joined_share: float
    response_share: float
    polarity_share: float
    word_dropout: float
    punctuation_dropout: float


@dataclass(frozen=True)
class PairBatch:
    """Sounds with a caption each.

    Attributes:
        audio: crops (B, S), padded behind.
        lengths: their true lengths in samples (B,).
        captions: B texts.
        groups: numbers (B,) that equal meanings share.
    """

    audio: Tensor
    lengths: Tensor
    captions: tuple[str, ...]
    groups: Tensor

    def chunks(self, count: int) -> list[PairBatch]:
        """Equal parts, one after the other."""
        size = len(self.captions) // count
        return [
            PairBatch(
                self.audio[start : start + size],
                self.lengths[start : start + size],
                self.captions[start : start + size],
                self.groups[start : start + size],
            )
            for start in range(0, size * count, size)
        ]


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


def varied_caption(
    caption: str, augmentation: PairAugmentation, generator: np.random.Generator
) -> str:
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
        chances: relative chance of each clip to be drawn (N,).
        settings: of the pairs.
    """

    def __init__(
        self, clips: Sequence[Clip], chances: np.ndarray, settings: CropSettings[PairAugmentation]
    ) -> None:
        self.clips, self.settings = clips, settings
        self.chances = np.asarray(chances, dtype=np.float64) / np.sum(chances)
        self.groups = caption_groups(clips)

    def batch(self, number: int) -> PairBatch:
        """Draw a batch: different clips as long as there are enough."""
        generator = np.random.default_rng((self.settings.seed, number))
        size, samples = self.settings.batch_size, self.settings.samples
        enough = np.count_nonzero(self.chances) >= size
        drawn = generator.choice(len(self.clips), size, replace=not enough, p=self.chances)
        sounds, captions = [], []
        groups = self.groups[drawn].copy()
        for place, row in enumerate(drawn):
            sound, caption = self._vary(row, generator)
            if happens(self.settings.augmentation.joined_share, generator):
                other, beside = self._vary(
                    int(generator.choice(len(self.clips), p=self.chances)), generator
                )
                sound = mixed_as_equals(sound, other, generator)
                caption = f"{caption} {JOINING_WORDS[int(generator.integers(len(JOINING_WORDS)))]} {beside}"
                groups[place] = -1 - place  # like no other clip of the batch
            sounds.append(self._finish(sound, generator))
            captions.append(caption)
        audio = np.stack([np.pad(sound, (0, samples - len(sound))) for sound in sounds])
        return PairBatch(
            torch.from_numpy(audio.astype(np.float32)),
            torch.tensor([len(sound) for sound in sounds]),
            tuple(captions),
            torch.from_numpy(groups),
        )

    def _vary(self, row: int, generator: np.random.Generator) -> tuple[np.ndarray, str]:
        """A crop of a clip (up to `samples`,), or all of a shorter one, and one of its captions."""
        settings, clip = self.settings, self.clips[row]
        audio = settings.room_for_speed(clip.audio, generator)
        audio = at_speed(audio, settings.draw_speed(generator))
        decibels = settings.augmentation.colour_decibels
        audio = coloured(audio[: settings.samples], decibels, generator)
        return audio, self._caption(clip, generator)

    def _finish(self, audio: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """What does not change the caption, and a peak between 0.05 and 1."""
        augmentation = self.settings.augmentation
        if happens(augmentation.mixed_share, generator):
            other = self.clips[int(generator.integers(len(self.clips)))]
            audio = with_another_under(audio, np.resize(other.audio, len(audio)), generator)
        if happens(augmentation.response_share, generator):
            audio = through_response(audio, self.settings.draw_response(generator))
        if happens(augmentation.polarity_share, generator):
            audio = -audio
        return audio * 0.05 ** generator.random() / max(np.abs(audio).max(), 1e-4)

    def _caption(self, clip: Clip, generator: np.random.Generator) -> str:
        caption = clip.captions[int(generator.integers(len(clip.captions)))]
        return varied_caption(caption, self.settings.augmentation, generator)


def streamed_pairs(
    source: str, split: str, sample_rate: int, settings: CropSettings[PairAugmentation]
) -> StreamedBatches[PairBatch]:
    """Batches of the clips of shards, which are read as they are needed; see `PairBatches`.

    What lies under or beside a sound is of the same batch.
    """

    def make(items: Sequence[tuple[str, Item]], number: int) -> PairBatch:
        clips = decode_clips(items, sample_rate)
        own = replace(settings, batch_size=len(clips))
        return PairBatches(clips, np.ones(len(clips)), own).batch(number)

    return streamed_batches(source, split, settings, make)
