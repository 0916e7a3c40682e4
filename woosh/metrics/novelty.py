"""A plain curve of how much a sound changes, without anything learned."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from woosh.audio.spectra import magnitudes, mel_filters

BANDS = 64
WINDOW_SECONDS = 0.032
HOP_SECONDS = 0.02
REACH_SECONDS = 0.5  # before and after each moment
FLOOR = -60.0  # dB below the loudest point; what lies below is not heard


def novelty(audio: Tensor, sample_rate: int) -> Tensor:
    """How far the spectra before and after each moment lie apart (Foote 2000).

    Foote slides a checkerboard kernel along the matrix of the cosines of frames u. With a kernel that is a product of
    two windows w that is the square of a difference,

        N(t) = |sum_k w_k u_(t+k) - sum_k w_k u_(t-1-k)|^2 / 4,   sum w = 1,   0 <= N <= 1.

    Args:
        audio: One clip (S,).
        sample_rate: In Hz.

    Returns:
        (T,), one value per 20 ms; within half a second of an end fewer frames count.
    """
    n_fft = 2 * round(WINDOW_SECONDS * sample_rate / 2)
    hop_length = round(HOP_SECONDS * sample_rate)
    filters = mel_filters(sample_rate, n_fft, BANDS, low=30.0)
    decibels = (
        20.0 * (filters @ magnitudes(audio, n_fft, hop_length)).clamp(min=1e-7).log10()
    )  # (bands, T)
    decibels = (decibels - decibels.amax()).clamp(min=FLOOR) - FLOOR
    frames = functional.normalize(decibels - decibels.mean(), dim=0)
    reach = round(REACH_SECONDS / HOP_SECONDS)
    window = torch.exp(-2.0 * (torch.arange(reach) / reach) ** 2)
    window = window / window.sum()
    padded = functional.pad(frames[None], (reach, reach - 1), mode="replicate")[0]
    sides = padded.unfold(1, reach, 1)  # (bands, T + reach, reach)
    after, before = sides[:, reach:] @ window, sides[:, :-reach] @ window.flip(0)
    return (after - before).pow(2).sum(dim=0) / 4


def novelty_peaks(curve: Tensor, nearest_seconds: float) -> list[tuple[float, float]]:
    """Seconds and heights of the peaks that are the largest within `nearest_seconds`, ascending."""
    reach = round(nearest_seconds / HOP_SECONDS)
    largest = functional.max_pool1d(curve[None, None], 2 * reach + 1, 1, reach)[0, 0]
    places = ((curve == largest) & (curve > 0)).nonzero().flatten().tolist()
    return [(place * HOP_SECONDS, float(curve[place])) for place in places]
