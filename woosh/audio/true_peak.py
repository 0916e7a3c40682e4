"""The true peak: how far the wave between the samples reaches, after ITU-R BS.1770-4, annex 2."""

from __future__ import annotations

import math

import numpy as np

OVERSAMPLING = 4
TAPS = 32  # of the interpolation at each of the places between two samples
SHAPE = 8.0  # of the Kaiser window: .05 dB of error up to 20 kHz at a rate of 48 kHz
PIECE = 2**18  # samples that are interpolated at once


def interpolators() -> np.ndarray:
    """Weights of the samples around, for the values at 1/4, 1/2 and 3/4 of the way from one sample to the next.

    The sum of x[n + k] sinc(p - k) w((p - k) / 16) over k from -15 to 16 is x at n + p, where w is a Kaiser window.

    Returns:
        (3, 32), each row's sum being 1, so that a constant stays what it is.
    """
    places = np.arange(1, OVERSAMPLING)[:, None] / OVERSAMPLING
    distances = places - (np.arange(TAPS) - (TAPS // 2 - 1))  # (3, TAPS)
    window = np.i0(SHAPE * np.sqrt(1 - (distances / (TAPS // 2)) ** 2)) / np.i0(SHAPE)
    weights = np.sinc(distances) * window
    return weights / weights.sum(axis=1, keepdims=True)


def true_peak(audio: np.ndarray) -> float:
    """Largest |x| of (C, S) audio among its samples and three places between any two; outside it is silent.

    Full scale is 1. A sine of frequency f is read low by at most cos(pi f / (4 rate)): .5 dB at 20 kHz and 48 kHz.
    """
    peak = float(np.abs(audio).max(initial=0.0))
    weights, reach = interpolators(), TAPS // 2
    for channel in audio:
        padded = np.pad(channel.astype(np.float64), TAPS)
        for start in range(0, len(padded), PIECE):
            piece = padded[start : start + PIECE + 2 * reach]
            if np.abs(piece).max() * np.abs(weights).sum(axis=1).max() <= peak or len(piece) < TAPS:
                continue  # nothing in it can reach higher
            for row in weights:
                peak = max(peak, float(np.abs(np.convolve(piece, row[::-1], "valid")).max()))
    return peak


def decibels(amplitude: float) -> float:
    """20 log10 of an amplitude: dB of full scale, -inf for 0."""
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf
