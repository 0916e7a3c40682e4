"""The network that draws what a few numbers per token leave out of a log-mel spectrum."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

KERNEL = 7  # tokens that a block looks at
EMBEDDED = 256  # channels of the embedded time and doubt
FEATURES = 32  # frequencies of each of the two
SLOWEST, FASTEST = 0.5, 200.0  # radians per unit
LEAST_DOUBT = 1e-3  # of the channels that are given


class DetailNetwork(nn.Module):
    """Guesses all channels of tokens from noisy ones and from the first few of them.

    The best guess for Gaussian channels of the given deviations comes first; the network adds to it, in units of how
    uncertain that guess is, so that an untrained one is right wherever nothing is to be drawn.

    Args:
        channels: P, all of a token.
        given: C, how many are given.
        width: channels of the ConvNeXt blocks.
        inner_width: channels inside a block's perceptron.
        layers: blocks.
    """

    def __init__(
        self, channels: int, given: int, width: int, inner_width: int, layers: int
    ) -> None:
        super().__init__()
        self.embed = nn.Sequential(
            nn.Linear(4 * FEATURES, EMBEDDED), nn.SiLU(), nn.Linear(EMBEDDED, EMBEDDED), nn.SiLU()
        )
        self.expand = nn.Linear(channels + given, width)
        self.blocks = nn.ModuleList(DetailBlock(width, inner_width) for _ in range(layers))
        self.contract = nn.Linear(width, channels)
        nn.init.zeros_(self.contract.weight)
        nn.init.zeros_(self.contract.bias)

    def forward(
        self, noisy: Tensor, time: Tensor, given: Tensor, doubt: Tensor, deviation: Tensor
    ) -> Tensor:
        """The expected channels.

        Args:
            noisy: (B, T, P), (1 - t) channels + t noise.
            time: t (B,), above 0.
            given: (B, T, C), the first channels with noise of the deviation `doubt`.
            doubt: (B,).
            deviation: of the channels (P,).

        Returns:
            (B, T, P).
        """
        guess, uncertainty = gaussian_guess(noisy, time, given, doubt, deviation)
        embedding = self.embed(torch.cat((features(time), features(2.0 * doubt)), dim=1))  # (B, E)
        # Loud channels reach far; the inverse hyperbolic sine is linear near 0 and slow beyond.
        x = self.expand(torch.cat((torch.asinh(guess), torch.asinh(given)), dim=2))  # (B, T, W)
        for block in self.blocks:
            x = block(x, embedding)
        return guess + uncertainty * self.contract(x).float()


class DetailBlock(nn.Module):
    """ConvNeXt block (arXiv 2201.03545) over tokens, modulated by an embedding: (B, T, W), (B, E) -> (B, T, W)."""

    def __init__(self, width: int, inner_width: int) -> None:
        super().__init__()
        self.mix = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.modulation = nn.Linear(EMBEDDED, 3 * width)
        self.expand = nn.Linear(width, inner_width)
        self.contract = nn.Linear(inner_width, width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        shift, scale, gate = self.modulation(embedding)[:, None].chunk(3, dim=-1)
        mixed = self.mix(x.transpose(1, 2)).transpose(1, 2)
        normal = functional.layer_norm(mixed, mixed.shape[-1:]) * (1 + scale) + shift
        added = self.contract(functional.gelu(self.expand(normal), approximate="tanh"))
        return x + 0.5 * (1 + gate) * added  # half: six blocks in a row start at an even size


def gaussian_guess(
    noisy: Tensor, time: Tensor, given: Tensor, doubt: Tensor, deviation: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of independent normal channels after two looks at them (Bayes' rule).

    The looks are noisy / (1 - t) with noise t / (1 - t), and, at the first channels, `given` with noise `doubt`.
    For the arguments see `DetailNetwork.forward`.

    Returns:
        Two tensors (B, T, P), the second (B, 1, P).
    """
    time, doubt = time[:, None, None], doubt[:, None, None].clamp_min(LEAST_DOUBT)
    count, rest = given.shape[2], noisy.shape[2] - given.shape[2]
    told = functional.pad(doubt.square().reciprocal().expand(-1, -1, count), (0, rest))
    seen = ((1 - time) / time).square()
    precision = deviation**-2 + told + seen  # (B, 1, P)
    weighted = told * functional.pad(given, (0, rest)) + noisy * (1 - time) / time.square()
    return weighted / precision, precision.rsqrt()


def features(value: Tensor) -> Tensor:
    """Sines and cosines of a number at `FEATURES` frequencies: (B,) -> (B, 2 FEATURES)."""
    steps = torch.linspace(math.log(SLOWEST), math.log(FASTEST), FEATURES, device=value.device)
    angles = value[:, None] * steps.exp()
    return torch.cat((angles.sin(), angles.cos()), dim=1)
