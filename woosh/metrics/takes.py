"""How far two takes of one sound lie apart, whenever each begins: their log-mel distance at the best lag."""

from __future__ import annotations

import torch
from torch import Tensor

from woosh.metrics.reconstruction import MEL_BANDS, MEL_HOP, log_mel, scale_peak

QUIET = 10 ** (-40 / 20)  # of the peak: what is quieter at both ends is trimmed
LONGEST_SECONDS = 30.0  # of a take that are compared
LARGEST_LAG = 0.06  # seconds that takes are moved against each other
LEAST_SHARED = 0.1  # seconds that moved takes have in common, or all of the shorter one


def take_spectrum(take: Tensor, sample_rate: int) -> Tensor:
    """What is compared of a take (S,) in mono: a log-mel spectrum (128, T), of no frames where it is silent.

    Of a take without its quiet ends, up to 30 s of it, its peak scaled to 0.8.
    """
    if not take.any():
        return take.new_zeros(MEL_BANDS, 0)
    loud = (take.abs() > QUIET * take.abs().amax()).nonzero()[:, 0]
    heard = take[loud[0] : loud[-1] + 1][: round(LONGEST_SECONDS * sample_rate)]
    return log_mel(scale_peak(heard), sample_rate)


def take_distance(first: Tensor, second: Tensor, sample_rate: int) -> float:
    """Least mean absolute difference of two `take_spectrum` (128, T) and (128, T'), over lags of up to 60 ms.

    Of what both have then, at least 0.1 s or all of the shorter one. It is nan where one of them has no frames.
    """
    length = min(first.shape[1], second.shape[1])
    if length == 0:
        return float("nan")
    least_shared = min(length, round(LEAST_SHARED * sample_rate / MEL_HOP))
    largest = round(LARGEST_LAG * sample_rate / MEL_HOP)
    distances = []
    for lag in range(-largest, largest + 1):  # in frames
        one, other = (first[:, lag:], second) if lag > 0 else (first, second[:, -lag:])
        shared = min(one.shape[1], other.shape[1])
        if shared >= least_shared:
            distances.append((one[:, :shared] - other[:, :shared]).abs().mean())
    return float(torch.stack(distances).amin())
