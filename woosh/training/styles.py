"""Freq-MixStyle: sounds with another's statistics of every band, as if its device had recorded them (arXiv 2305.07499)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from woosh.training.cropping import happens
from woosh.training.randomness import batch_generator

FLOOR = 1e-4  # of magnitudes whose logarithm is taken
EPSILON = 1e-6  # beside the variance of a bin


def freq_mixstyle(x: Tensor, share: Tensor, partner: Tensor) -> Tensor:
    """Spectrograms with the statistics of their bins mixed with another's (Freq-MixStyle, arXiv 2305.07499).

        y = (x - m) / s (l s + (1 - l) s') + l m + (1 - l) m'

    with m and s = sqrt(unbiased variance + 1e-6) of each frequency over channels and frames, m' and s' the partner's. No
    gradient flows through the statistics.

    Args:
        x: (B, channels, bands, frames).
        share: l (B,); 1 changes nothing.
        partner: rows of the partners (B,).
    """
    variance, mean = torch.var_mean(x.detach(), dim=(1, 3), keepdim=True)  # (B, 1, bands, 1)
    deviation = (variance + EPSILON).sqrt()
    own = share.to(x).reshape(-1, 1, 1, 1)
    mixed_deviation = own * deviation + (1 - own) * deviation[partner]
    mixed_mean = own * mean + (1 - own) * mean[partner]
    return (x - mean) / deviation * mixed_deviation + mixed_mean


class Styles(NamedTuple):
    """Whose statistics the spectrograms of a batch get, see `freq_mixstyle`."""

    share: Tensor  # (B,), of the own ones
    partner: Tensor  # (B,), rows


def draw_styles(
    count: int, chance: float, alpha: float, generator: np.random.Generator
) -> Styles | None:
    """Styles for a batch with a chance: shares from Beta(alpha, alpha), partners a permutation; else None.

    Args:
        count: B.
        chance: of a batch; .4 to .8 are published.
        alpha: above 0; .3 and .4 are published.
        generator: of the draws.
    """
    if not happens(chance, generator):
        return None
    share = torch.from_numpy(generator.beta(alpha, alpha, count)).float()
    return Styles(share, torch.from_numpy(generator.permutation(count)))


@dataclass(frozen=True)
class StyleConfig:
    """How often batches mix their statistics, in recipes that take sounds.

    Attributes:
        mixstyle_share: of the batches; .4 to .8 are published, 0 mixes none.
        mixstyle_alpha: of the mixtures' shares.

    Raises:
        ValueError: a mixstyle_share outside 0 to 1, or a mixstyle_alpha not above 0.
    """

    mixstyle_share: float = 0.0
    mixstyle_alpha: float = 0.4

    def __post_init__(self) -> None:
        if not 0 <= self.mixstyle_share <= 1 or not self.mixstyle_alpha > 0:
            raise ValueError(
                f"mixstyle_share is {self.mixstyle_share} and mixstyle_alpha {self.mixstyle_alpha}: from 0 to 1, and "
                "above 0"
            )

    def draw(self, count: int, generator: np.random.Generator) -> Styles | None:
        """Styles for a batch of so many sounds, see `draw_styles`."""
        return draw_styles(count, self.mixstyle_share, self.mixstyle_alpha, generator)


def style_generator(seed: int, number: int) -> np.random.Generator:
    """What draws the styles of a run's batch, by its number."""
    return np.random.default_rng(batch_generator(seed, number, "styles").initial_seed())


def restyled_audio(
    audio: Tensor,
    styles: Styles,
    stft: Callable[[Tensor], Tensor],
    istft: Callable[[Tensor], Tensor],
) -> Tensor:
    """Sounds in the styles of others: Freq-MixStyle of the logarithm of their spectra, with their own phases.

    Args:
        audio: (B, A, S).
        styles: of the sounds.
        stft: audio -> complex spectra (B, F, T).
        istft: its inverse.

    Returns:
        (B, A, S') with the whole hops of S; what would peak above 1 is divided by its peak.
    """
    spectrum = stft(audio)
    level = spectrum.abs().clamp_min(FLOOR).log()[:, None]  # (B, 1, F, T)
    gain = (freq_mixstyle(level, *styles) - level).exp()[:, 0]
    made = istft(spectrum * gain)
    return made / made.abs().amax(dim=(1, 2), keepdim=True).clamp_min(1.0)
