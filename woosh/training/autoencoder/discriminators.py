"""What tells recordings from reconstructions: discriminators on periods and on bands of the complex spectrum.

Eight of them judge the released autoencoder. Their sizes are not published: those here are of HiFi-GAN (arXiv 2010.05646)
for the periods and of the descript audio codec (arXiv 2306.06546) for the spectra.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from woosh.training.modules import frozen

SLOPE = 0.2  # of the leaky rectifiers, below zero
STRIDED = 3  # convolutions of a band that halve its frequencies


class Verdict(NamedTuple):
    """What one discriminator says of a batch: scores of any shape, towards 1 for recordings, and its layers' outputs."""

    scores: Tensor
    features: tuple[Tensor, ...]


class PeriodDiscriminator(nn.Module):
    """Samples that lie one period apart, side by side, through strided convolutions in time.

    Args:
        period: in samples.
        width: channels of the first layer; the last ones have 32 times as many.
    """

    def __init__(self, period: int, width: int) -> None:
        super().__init__()
        self.period = period
        widths = (1, width, 4 * width, 16 * width, 32 * width, 32 * width)
        strides = (3, 3, 3, 3, 1)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(i, o, (5, 1), (stride, 1), (2, 0)))
            for (i, o), stride in zip(pairwise(widths), strides, strict=True)
        )
        self.score = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, audio: Tensor) -> Verdict:
        """Judge audio (B, 1, S)."""
        audio = functional.pad(audio, (0, -audio.shape[-1] % self.period), "reflect")
        x = rearrange(audio, "b c (t p) -> b c t p", p=self.period)
        features = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), SLOPE)
            features.append(x)
        return Verdict(self.score(x), tuple(features))


class BandDiscriminator(nn.Module):
    """The complex spectrum in bands, each through its own convolutions, one score for all.

    Args:
        window: of the STFT in samples; it hops by a quarter.
        bands: number of bands of equal width.
        width: channels.
    """

    def __init__(self, window: int, bands: int, width: int) -> None:
        super().__init__()
        bins = window // 2 + 1
        self.window = window
        self.edges = [round(bins * band / bands) for band in range(bands + 1)]
        self.bands = nn.ModuleList(self._layers(width) for _ in range(bands))
        self.score = weight_norm(nn.Conv2d(width, 1, (3, 3), padding=(1, 1)))

    @staticmethod
    def _layers(width: int) -> nn.ModuleList:
        first = nn.Conv2d(2, width, (3, 9), padding=(1, 4))
        strided = [
            nn.Conv2d(width, width, (3, 9), (1, 2), (dilation, 4), (dilation, 1))
            for dilation in (2**layer for layer in range(STRIDED))
        ]
        last = nn.Conv2d(width, width, (3, 3), padding=(1, 1))
        return nn.ModuleList(weight_norm(layer) for layer in (first, *strided, last))

    def forward(self, audio: Tensor) -> Verdict:
        """Judge audio (B, 1, S)."""
        with torch.autocast(audio.device.type, enabled=False):
            window = torch.hann_window(self.window, device=audio.device)
            spectrum = torch.stft(
                audio.squeeze(1).float(),
                self.window,
                self.window // 4,
                window=window,
                return_complex=True,
            )
        spectrum = rearrange(torch.view_as_real(spectrum), "b f t c -> b c t f")
        features, ends = [], []
        for layers, (low, high) in zip(self.bands, pairwise(self.edges), strict=True):
            x = spectrum[..., low:high]
            for layer in layers:  # type: ignore[attr-defined]
                x = functional.leaky_relu(layer(x), SLOPE)
                features.append(x)
            ends.append(x)
        return Verdict(self.score(torch.cat(ends, dim=-1)), tuple(features))


class Discriminators(nn.Module):
    """All discriminators.

    Args:
        periods: in samples, one discriminator each.
        windows: of the STFTs in samples, one discriminator each.
        bands: of each spectrum.
        width: channels of the first layers, 32 in full size.
    """

    def __init__(
        self,
        periods: tuple[int, ...] = (2, 3, 5, 7, 11),
        windows: tuple[int, ...] = (512, 1024, 2048),
        bands: int = 5,
        width: int = 32,
    ) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            [
                *(PeriodDiscriminator(period, width) for period in periods),
                *(BandDiscriminator(window, bands, width) for window in windows),
            ]
        )

    def forward(self, audio: Tensor) -> list[Verdict]:
        """Judge audio (B, C, S), every channel by itself."""
        flat = rearrange(audio, "b c s -> (b c) 1 s")
        return [part(flat) for part in self.parts]


def discriminator_loss(recorded: list[Verdict], made: list[Verdict]) -> Tensor:
    """L_D: mean over discriminators of half the squared distances of scores from 1 and from -1 (LSGAN, arXiv 1611.04076)."""
    losses = [
        (true.scores - 1).square().mean() / 2 + (false.scores + 1).square().mean() / 2
        for true, false in zip(recorded, made, strict=True)
    ]
    return torch.stack(losses).mean()


def adversarial_loss(made: list[Verdict]) -> Tensor:
    """L_adv: mean over discriminators of the squared distance of a reconstruction's scores from 1."""
    return torch.stack([(false.scores - 1).square().mean() for false in made]).mean()


def feature_loss(recorded: list[Verdict], made: list[Verdict]) -> Tensor:
    """L_fm: mean over layers and discriminators of the absolute difference of their outputs."""
    return torch.stack(list(_feature_distances(recorded, made))).mean()


def _feature_distances(recorded: list[Verdict], made: list[Verdict]) -> Iterator[Tensor]:
    for true, false in zip(recorded, made, strict=True):
        for first, second in zip(true.features, false.features, strict=True):
            yield (first.detach() - second).abs().mean()


@dataclass(frozen=True)
class JudgedSounds:
    """What a training step of the discriminators sees.

    Attributes:
        recorded: audio (B, A, S).
        made: its reconstruction (B, A, S), without a graph.
    """

    recorded: Tensor
    made: Tensor


def judging_step(model: Discriminators, batch: JudgedSounds) -> Tensor:
    """Loss of the discriminators."""
    return discriminator_loss(model(batch.recorded), model(batch.made))


def judged(model: Discriminators, audio: Tensor, waveform: Tensor) -> dict[str, Tensor]:
    """The discriminators' losses of reconstructions (B, A, S), with gradients for these alone."""
    recorded, made = frozen(model, audio), frozen(model, waveform)
    return {"adversarial": adversarial_loss(made), "features": feature_loss(recorded, made)}


def balanced(losses: dict[str, Tensor], weights: dict[str, float], output: Tensor) -> Tensor:
    """A loss whose gradient at the output is the weighted sum of the losses' gradients, each of unit length.

    The balancer of EnCodec (arXiv 2210.13438, section 3.4) with the norms of this batch: weights become shares of
    the gradient, whatever the losses' scales.

    Args:
        losses: scalars that depend on the output.
        weights: of each.
        output: what they judge, any shape.
    """
    weight_sum = sum(weights[name] for name in losses)
    gradient = torch.zeros_like(output)
    for name, loss in losses.items():
        (own,) = torch.autograd.grad(loss, output, retain_graph=True)
        gradient = gradient + weights[name] / weight_sum * own / own.norm().clamp_min(1e-12)
    return (output * gradient.detach()).sum()
