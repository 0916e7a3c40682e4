"""What a broadcast file tells of its own level: loudness after ITU-R BS.1770 and EBU R 128, and the true peak."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from woosh.audio.levels import ABSOLUTE_GATE, BLOCK_SECONDS, block_loudness, loudness
from woosh.audio.true_peak import decibels, true_peak

SHORT_TERM_SECONDS = 3.0  # window of the short-term meter, EBU Tech 3341
RANGE_GATE = -20.0  # LU, EBU Tech 3342


@dataclass(frozen=True)
class Measures:
    """Levels of a sound; None where it is silent, or too short for the measure.

    Attributes:
        integrated: in LUFS.
        spread: loudness range in LU (EBU Tech 3342), of sounds of 3 s and more.
        peak: largest |x| of a sample, in dB of full scale.
        true_peak: largest |x| between the samples as well, likewise.
        momentary: largest loudness of 0.4 s, in LUFS. A shorter sound stands in silence.
        short_term: largest loudness of 3 s, in LUFS, of sounds of 3 s and more.
    """

    integrated: float | None
    spread: float | None
    peak: float | None
    true_peak: float | None
    momentary: float | None
    short_term: float | None


def measure(audio: np.ndarray, sample_rate: int) -> Measures:
    """Measure (C, S) audio."""
    long = audio.shape[1] >= SHORT_TERM_SECONDS * sample_rate
    momentary, short_term = (
        block_loudness(silence_behind(audio, seconds, sample_rate), sample_rate, seconds)
        for seconds in (BLOCK_SECONDS, SHORT_TERM_SECONDS)
    )
    return Measures(
        integrated=_finite(loudness(audio, sample_rate)),
        spread=_finite(loudness_range(short_term)) if long else None,
        peak=_finite(decibels(float(np.abs(audio).max(initial=0.0)))),
        true_peak=_finite(decibels(true_peak(audio))),
        momentary=_finite(float(momentary.max())),
        short_term=_finite(float(short_term.max())) if long else None,
    )


def loudness_range(short_term: np.ndarray) -> float:
    """Loudness range in LU (EBU Tech 3342) of short-term loudness (N,) in LUFS, nan where all of it is silent.

    From the 10th to the 95th percentile of what is above -70 LUFS and above the level of its mean power less 20 LU.
    """
    heard = short_term[short_term > ABSOLUTE_GATE]
    if len(heard) == 0:
        return math.nan
    level = 10 * math.log10(float(np.mean(10 ** (heard / 10))))
    low, high = np.percentile(heard[heard > level + RANGE_GATE], [10, 95])
    return float(high - low)


def silence_behind(audio: np.ndarray, seconds: float, sample_rate: int) -> np.ndarray:
    """(C, S) audio with silence behind it, if it is shorter than so many seconds."""
    missing = max(0, math.ceil(seconds * sample_rate) - audio.shape[1])
    return np.pad(audio, ((0, 0), (0, missing)))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
