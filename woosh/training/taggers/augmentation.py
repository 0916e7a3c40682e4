"""Variations of spectrograms and sounds that make a listener indifferent to devices (arXiv 2305.07499)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.signal import fftconvolve
from torch import Tensor

from woosh.training.cropping import happens

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


def convolved(audio: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Audio (S,) through a device's impulse response (R,), its level included, cut to its length (S,).

        y[n] = sum_k h[k] x[n - k]                                                    (arXiv 2305.07499)

    `woosh.data.augmentation.through_response` gives the result the sound's own level.
    """
    return fftconvolve(audio, response)[: len(audio)].astype(audio.dtype, copy=False)


def through_devices(
    sounds: Sequence[np.ndarray],
    main: Sequence[bool],
    responses: Sequence[np.ndarray],
    chance: float,
    generator: np.random.Generator,
) -> list[np.ndarray]:
    """Sounds of the main device, each with a chance through a random response (DIR, arXiv 2305.07499).

    Args:
        sounds: (S,) each.
        main: whether each was recorded by the main device; the others stay as they are.
        responses: (R,) each, at the sounds' rate.
        chance: of each; .4 and .6 are published.
        generator: of the draws.

    Raises:
        ValueError: a chance above 0 without responses.
    """
    if chance and not responses:
        raise ValueError("chance is above 0, but there are no impulse responses")
    return [
        convolved(audio, responses[int(generator.integers(len(responses)))])
        if own and happens(chance, generator)
        else audio
        for audio, own in zip(sounds, main, strict=True)
    ]
