"""Levels of sound: peaks and loudness. Arrays are float32 (C, S): channels, samples; full scale is [-1, 1]."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

BLOCK_SECONDS = 0.4  # of the loudness meter, ITU-R BS.1770


class Levelled(NamedTuple):
    """Audio after loudness normalisation."""

    audio: np.ndarray  # (C, S) float32
    loudness: float  # LUFS reached; -inf for silence
    reached: bool  # whether that is the target, within 0.1 LU


def peak_guard(audio: np.ndarray, ceiling: float = 1.0) -> np.ndarray:
    """Scale audio down so that max |x| is at most `ceiling`; quieter audio is returned as it is."""
    peak = float(np.abs(audio).max(initial=0.0))
    return audio if peak <= ceiling else audio * np.float32(ceiling / peak * (1 - 1e-7))


def loudness(audio: np.ndarray, sample_rate: int = 48_000) -> float:
    """Integrated loudness of (C, S) audio in LUFS (ITU-R BS.1770, by pyloudnorm), -inf if silent.

    The standard measures blocks of 400 ms, so a shorter clip has no loudness of its own. It is
    repeated end to end until a block is full: the result is the level while the sound lasts, as
    for a longer sound of the same kind. (Padding with silence instead would call a 40 ms click
    10 LU quieter than it is, and normalising it would then drive it into the ceiling.)
    """
    if not np.any(audio):
        return -math.inf  # the meter would take the mean of no blocks
    import pyloudnorm

    block = math.ceil(BLOCK_SECONDS * sample_rate)
    frames = audio.T.astype(np.float64)
    if len(frames) < block:
        frames = np.tile(frames, (math.ceil(block / len(frames)), 1))
    meter = pyloudnorm.Meter(sample_rate, block_size=BLOCK_SECONDS)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(meter.integrated_loudness(frames))


def normalise_loudness(
    audio: np.ndarray, target: float, sample_rate: int = 48_000, ceiling: float = 1.0
) -> Levelled:
    """Bring (C, S) audio to a loudness, without ever letting a peak pass the ceiling.

    Sharp sounds have peaks far above their loudness: where the gain needed would pass `ceiling`,
    the audio is brought to the ceiling instead and the result says what was reached. Silence stays
    as it is.

    Args:
        audio: (C, S).
        target: loudness in LUFS, from -70 (below it the meter hears nothing) to 0.
        sample_rate: in Hz.
        ceiling: largest max |x| of the result.

    Raises:
        ValueError: a target outside [-70, 0].
    """
    if not -70 <= target <= 0:
        raise ValueError(f"loudness must be between -70 and 0 LUFS, got {target:g}")
    measured = loudness(audio, sample_rate)
    if not math.isfinite(measured):
        return Levelled(audio, -math.inf, False)
    louder = audio * np.float32(10 ** ((target - measured) / 20))
    guarded = peak_guard(louder, ceiling)
    reached = loudness(guarded, sample_rate)
    return Levelled(guarded, reached, abs(reached - target) <= 0.1)
