"""Where sounds begin, and whether two recordings begin at the same times."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from woosh.audio.spectra import magnitudes, mel_filters

BANDS = 80
WINDOW_SECONDS = 0.0213  # 1024 samples at 48 kHz
HOP_SECONDS = 0.005
FLOOR = -60.0  # dB below the clip's loudest point; what lies below is not heard
LEAST_RISE = 0.2  # of the clip's largest rise
LEAST_RISE_DECIBELS = 1.0  # mean over the bands
REFRACTORY_SECONDS = 0.05  # the later of two onsets nearer than this is an echo of the first
TOLERANCE_SECONDS = 0.05  # of a hit, as in MIREX


def onset_strength(audio: Tensor, sample_rate: int) -> Tensor:
    """Half-wave rectified spectral flux of the log-mel spectrum (Bello et al. 2005, section III-A).

    Each frame is compared with the one two hops before it, within 60 dB of the loudest point.

    Args:
        audio: One clip (S,).
        sample_rate: In Hz.

    Returns:
        (T,), mean rise over the bands in dB, one value per 5 ms; silence gives zeros.
    """
    n_fft = 2 * round(WINDOW_SECONDS * sample_rate / 2)
    hop_length = round(HOP_SECONDS * sample_rate)
    filters = mel_filters(sample_rate, n_fft, BANDS, low=30.0).to(audio.device)
    # Zeros in front: reflection would show a clip that starts at once its own mirror image.
    padded = functional.pad(audio, (2 * n_fft, 0))
    decibels = 20.0 * (filters @ magnitudes(padded, n_fft, hop_length)).clamp(min=1e-7).log10()
    decibels = decibels.clamp(min=float(decibels.amax()) + FLOOR)
    rise = (decibels[:, 2:] - decibels[:, :-2]).clamp(min=0.0).mean(dim=0)
    return rise[(2 * n_fft) // hop_length - 2 :]


def onset_times(audio: Tensor, sample_rate: int, least_gap: float = REFRACTORY_SECONDS) -> Tensor:
    """Times in seconds (K,) at which something begins, ascending.

    A peak of the onset strength counts if it reaches a fifth of the clip's largest one and 1 dB,
    and is the largest within `least_gap`.

    Args:
        audio: One clip (S,).
        sample_rate: In Hz.
        least_gap: Seconds between two onsets.
    """
    strength = onset_strength(audio, sample_rate)
    reach = round(least_gap / HOP_SECONDS)
    largest = functional.max_pool1d(strength[None, None], 2 * reach + 1, 1, reach)[0, 0]
    least = max(LEAST_RISE * float(strength.amax()), LEAST_RISE_DECIBELS)
    frames = ((strength == largest) & (strength >= least)).nonzero().flatten()
    kept: list[int] = []
    for frame in frames.tolist():
        if not kept or frame - kept[-1] > reach:  # of a plateau the first frame
            kept.append(frame)
    return torch.tensor(kept, dtype=torch.float64) * HOP_SECONDS


def matched_pairs(
    wanted: Sequence[float], found: Sequence[float], tolerance: float
) -> list[tuple[float, float]]:
    """Pairs (wanted, found) of ascending times within the tolerance, as many as there can be, each time in one.

    They are matched from the earliest on, which gives the largest number.
    """
    pairs, row, column = [], 0, 0
    while row < len(wanted) and column < len(found):
        gap = found[column] - wanted[row]
        if abs(gap) <= tolerance:
            pairs.append((wanted[row], found[column]))
            row, column = row + 1, column + 1
        elif gap < 0:
            column += 1
        else:
            row += 1
    return pairs


def onset_f_measure(
    reference: Tensor, estimate: Tensor, tolerance: float = TOLERANCE_SECONDS
) -> float:
    """F-measure of onset times, each of which may meet one of the other side within the tolerance.

    Args:
        reference: Times in seconds (K,), ascending.
        estimate: Likewise (L,).
        tolerance: In seconds.

    Returns:
        In [0, 1]; 1 where both are empty.
    """
    if len(reference) + len(estimate) == 0:
        return 1.0
    hits = len(matched_pairs(reference.tolist(), estimate.tolist(), tolerance))
    return 2.0 * hits / (len(reference) + len(estimate))
