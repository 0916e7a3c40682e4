"""Crops of sounds for training an autoencoder: endless, repeatable, varied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from woosh.data.augmentation import at_fine_speed, crop, through_response, with_another_under
from woosh.data.clips import SILENCE, Clip
from woosh.data.streaming import Item, StreamedBatches, decode_clips
from woosh.training.cropping import CropSettings, happens, streamed_batches

RATE = 48_000  # of which a change of speed is a share: any number gives the same sound


@dataclass(frozen=True)
class CropAugmentation:
    """How a crop is varied, each with its share of the crops.

    Attributes:
        quietest_peak: peaks are drawn between this and 1.
        polarity_share: turned upside down.
        speed: greatest change of speed, and of pitch with it, as a share.
        speed_share: played faster or slower.
        mixed_share: with another clip under it.
        response_share: through an impulse response.
    """

    quietest_peak: float
    polarity_share: float
    speed: float
    speed_share: float
    mixed_share: float
    response_share: float


class CropBatches:
    """Batch number i follows from (seed, i) alone: any process, worker or resumed run agrees.

    Args:
        clips: sounds in memory, all mono or all stereo.
        chances: relative chance of each clip to be drawn (len(clips),).
        settings: of the crops.
    """

    def __init__(
        self, clips: Sequence[Clip], chances: np.ndarray, settings: CropSettings[CropAugmentation]
    ) -> None:
        self.clips, self.settings = clips, settings
        self.cumulative = np.cumsum(chances) / np.sum(chances)

    def batch(self, number: int) -> Tensor:
        """Audio (B, A, samples), peaks between `quietest_peak` and 1 unless a crop is silent."""
        generator = np.random.default_rng((self.settings.seed, number))
        crops = [
            self.vary(self.clips[self._draw(generator)].audio, generator)
            for _ in range(self.settings.batch_size)
        ]
        return torch.from_numpy(np.stack(crops))

    def _draw(self, generator: np.random.Generator) -> int:
        number = int(np.searchsorted(self.cumulative, generator.random(), side="right"))
        return min(number, len(self.clips) - 1)

    def vary(self, audio: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """A varied crop (A, samples) of audio (S,) or (A, S)."""
        settings, augmentation = self.settings, self.settings.augmentation
        channels = np.atleast_2d(audio)
        if happens(augmentation.speed_share, generator):
            factor = settings.draw_speed(generator)
            channels = settings.room_for_speed(channels, generator)
            channels = np.stack([at_fine_speed(channel, factor, RATE) for channel in channels])
        channels = crop(channels, settings.samples, generator)
        if happens(augmentation.mixed_share, generator):
            other = crop(self.clips[self._draw(generator)].audio, settings.samples, generator)
            channels = with_another_under(channels, np.atleast_2d(other), generator)
        if happens(augmentation.response_share, generator):
            response = settings.draw_response(generator)
            channels = np.stack([through_response(channel, response) for channel in channels])
        peak = max(np.abs(channels).max(), SILENCE)
        gain = augmentation.quietest_peak ** generator.random() / peak
        if happens(augmentation.polarity_share, generator):
            gain = -gain
        return (channels * gain).astype(np.float32)


def streamed_crops(
    source: str, sample_rate: int, channels: int, settings: CropSettings[CropAugmentation]
) -> StreamedBatches[Tensor]:
    """Batches of one crop of each clip of shards, which are read as they are needed; see `CropBatches`."""

    def make(items: Sequence[tuple[str, Item]], number: int) -> Tensor:
        clips = decode_clips(items, sample_rate, channels)
        batches = CropBatches(clips, np.ones(len(clips)), settings)
        generator = np.random.default_rng((settings.seed, number))
        return torch.from_numpy(np.stack([batches.vary(clip.audio, generator) for clip in clips]))

    return streamed_batches(source, "train", settings, make)
