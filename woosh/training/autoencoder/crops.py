"""Crops of sounds for training an autoencoder: endless, repeatable, varied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from woosh.data.augmentation import at_fine_speed, crop, through_response, with_another_under
from woosh.data.clips import SILENCE, Clip
from woosh.data.shards import shard_urls
from woosh.data.streaming import Item, ShardStream, StreamedBatches, decode_clips

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
        weights: relative chance of each clip to be drawn (len(clips),).
        samples: length of a crop.
        batch_size: crops.
        augmentation: of the crops.
        seed: of the draws.
        responses: impulse responses (R,).
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        weights: np.ndarray,
        samples: int,
        batch_size: int,
        augmentation: CropAugmentation,
        seed: int,
        responses: Sequence[np.ndarray] = (),
    ) -> None:
        if augmentation.response_share and not responses:
            raise ValueError("response_share is above 0, but there are no impulse responses")
        self.clips, self.samples, self.batch_size = clips, samples, batch_size
        self.augmentation, self.seed, self.responses = augmentation, seed, responses
        self.cumulative = np.cumsum(weights) / np.sum(weights)

    def batch(self, number: int) -> Tensor:
        """Audio (B, A, samples), peaks between `quietest_peak` and 1 unless a crop is silent."""
        generator = np.random.default_rng((self.seed, number))
        crops = [
            self.vary(self.clips[self._draw(generator)].audio, generator)
            for _ in range(self.batch_size)
        ]
        return torch.from_numpy(np.stack(crops))

    def _draw(self, generator: np.random.Generator) -> int:
        number = int(np.searchsorted(self.cumulative, generator.random(), side="right"))
        return min(number, len(self.clips) - 1)

    def vary(self, audio: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """A varied crop (A, samples) of audio (S,) or (A, S)."""
        settings = self.augmentation

        def happens(share: float) -> bool:
            return share > 0 and generator.random() < share

        channels = np.atleast_2d(audio)
        if happens(settings.speed_share):
            factor = np.exp(generator.uniform(-1, 1) * np.log1p(settings.speed))
            longest = int(np.ceil(self.samples * (1 + settings.speed))) + 1
            if channels.shape[1] > longest:
                channels = crop(channels, longest, generator)
            channels = np.stack([at_fine_speed(channel, factor, RATE) for channel in channels])
        channels = crop(channels, self.samples, generator)
        if happens(settings.mixed_share):
            other = crop(self.clips[self._draw(generator)].audio, self.samples, generator)
            channels = with_another_under(channels, np.atleast_2d(other), generator)
        if happens(settings.response_share):
            response = self.responses[int(generator.integers(len(self.responses)))]
            channels = np.stack([through_response(channel, response) for channel in channels])
        peak = max(np.abs(channels).max(), SILENCE)
        gain = settings.quietest_peak ** generator.random() / peak
        if happens(settings.polarity_share):
            gain = -gain
        return (channels * gain).astype(np.float32)


def streamed_crops(
    source: str,
    sample_rate: int,
    channels: int,
    samples: int,
    batch_size: int,
    augmentation: CropAugmentation,
    seed: int,
    responses: Sequence[np.ndarray] = (),
) -> StreamedBatches[Tensor]:
    """Batches of one crop of each clip of shards, which are read as they are needed; see `CropBatches`."""

    def make(items: Sequence[tuple[str, Item]], number: int) -> Tensor:
        clips = decode_clips(items, sample_rate, channels)
        weights = np.ones(len(clips))
        batches = CropBatches(clips, weights, samples, len(clips), augmentation, seed, responses)
        generator = np.random.default_rng((seed, number))
        return torch.from_numpy(np.stack([batches.vary(clip.audio, generator) for clip in clips]))

    stream = ShardStream(shard_urls(source), "train", seed)
    return StreamedBatches(stream, lambda _number: batch_size, make)
