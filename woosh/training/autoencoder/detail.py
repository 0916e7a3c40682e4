"""What the mel autoencoder's detail network learns from: a batch's noise, times and doubts, and its loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from woosh.autoencoder.mel import WooshMelAutoencoder
from woosh.training.randomness import batch_generator

LEAST_TIME = 0.006  # of a noise level that is drawn
SHARPEST = 0.05  # time below which errors count no more than at it


@dataclass(frozen=True)
class DoubtDistribution:
    """How noisy the given channels are, see `WooshMelAutoencoder.draw`.

    Attributes:
        sure_share: of the crops, without noise.
        least_doubt: of the others, whose logarithm is drawn evenly.
        greatest_doubt: likewise.

    Raises:
        ValueError: a least doubt of 0 or above the greatest.
    """

    sure_share: float
    least_doubt: float
    greatest_doubt: float

    def __post_init__(self) -> None:
        if not 0 < self.least_doubt <= self.greatest_doubt:
            raise ValueError(
                f"least_doubt is {self.least_doubt}: it must be above 0 and at most greatest_doubt, "
                f"{self.greatest_doubt}"
            )


@dataclass(frozen=True)
class DetailBatch:
    """What a training step of the detail network sees.

    Attributes:
        channels: all of the tokens (B, T, P).
        noise: standard normal (B, T, P).
        time: noise levels (B,).
        given: the first channels (B, T, C), with the noise of their doubt.
        doubt: (B,).
    """

    channels: Tensor
    noise: Tensor
    time: Tensor
    given: Tensor
    doubt: Tensor


def draw_detail(
    channels: Tensor,
    count: int,
    doubts: DoubtDistribution,
    times: tuple[float, float],
    source: tuple[int, int],
) -> DetailBatch:
    """A batch of crops' channels (B, T, P) with noise, times and doubts that follow from the source alone.

    Args:
        channels: of the crops.
        count: C, how many are given.
        doubts: how noisy they are.
        times: mean and standard deviation of the noise level's logit.
        source: seed of the run, and number of the batch.
    """
    generator = batch_generator(*source, "detail")
    batch, tokens, _ = channels.shape
    noise = torch.randn(channels.shape, generator=generator)
    mean, deviation = times
    time = torch.sigmoid(mean + deviation * torch.randn(batch, generator=generator))
    low, high = math.log(doubts.least_doubt), math.log(doubts.greatest_doubt)
    doubt = (low + (high - low) * torch.rand(batch, generator=generator)).exp()
    sure = torch.rand(batch, generator=generator) < doubts.sure_share
    doubt = torch.where(sure, 0.0, doubt).to(channels.device)
    own = torch.randn(batch, tokens, count, generator=generator).to(channels.device)
    given = channels[..., :count] + doubt[:, None, None] * own
    noise, time = noise.to(channels.device), time.clamp(min=LEAST_TIME).to(channels.device)
    return DetailBatch(channels, noise, time, given, doubt)


def training_step(model: WooshMelAutoencoder, batch: DetailBatch) -> Tensor:
    """Mean squared error of the drawing's velocity, which is that of the guess over the time.

    Args:
        model: in training.
        batch: crops and what is drawn for them.
    """
    time = batch.time[:, None, None]
    noisy = (1 - time) * batch.channels + time * batch.noise
    deviation = model.deviations / model.units
    guess = model.detail(noisy, batch.time, batch.given, batch.doubt, deviation)
    return ((guess - batch.channels) / time.clamp(min=SHARPEST)).square().mean()
