"""Sounds that die away, such as a bell or a shot, and what goes on from them: it dies further, and never rises again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STEP_SECONDS = 0.01
LEVEL_SECONDS = 0.1  # of which a level is the mean power
FAINTEST = 1e-12  # power that counts as none
FITTED_SECONDS = 0.5  # of the end, at most, that tell how fast a sound dies
LEAST_FALL = 6.0  # dB that it has fallen from its loudest moment
REVIVAL = 9.0  # dB by which a sound that rises again is not dying, but repeats
OVER = (
    -90.0
)  # dB of full scale: a sound that ends below has ended, and what goes on from it is another one
EVENT = 12.0  # dB below the loudest, where what comes before is an event as well


@dataclass(frozen=True)
class Decay:
    """How a sound ends: its level is a straight line.

    Attributes:
        level: at its end, in dB of full scale.
        slope: in dB per second, 0 or less: 0 for what has come to rest, such as a room after a shot.
    """

    level: float
    slope: float


def moving_levels(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Levels in dB (T,) of the 100 ms around each 10 ms of a sound (C, S); at its ends, of what there is of them."""
    step, width = (max(1, round(s * sample_rate)) for s in (STEP_SECONDS, LEVEL_SECONDS))
    power = np.square(audio, dtype=np.float64).mean(axis=0)
    sums = np.concatenate([[0.0], np.cumsum(power)])
    middles = np.arange(step // 2, max(len(power), step // 2 + 1), step)
    first, last = (np.clip(middles + side, 0, len(power)) for side in (-width // 2, width // 2))
    return 10 * np.log10((sums[last] - sums[first]) / np.maximum(1, last - first) + FAINTEST)


def decay_of(audio: np.ndarray, sample_rate: int) -> Decay | None:
    """How a sound (C, S) dies away at its end, or None if it does not.

    It does if it has one event, from whose loudest moment on it has fallen by 6 dB without coming back by 9, and is not over:
    what ends in digital silence dies no more. The line is fitted to its last half second, or to the later half of what is behind that moment.
    """
    levels = moving_levels(audio, sample_rate)
    loudest = int(levels.argmax())
    before, behind = levels[:loudest], levels[loudest:]
    reached = np.maximum.accumulate(before) if loudest else before
    fallen = reached - before > REVIVAL
    if (fallen & (reached > levels[loudest] - EVENT)).any():
        return None
    if (behind - np.minimum.accumulate(behind)).max() > REVIVAL:
        return None
    end = behind[len(behind) // 2 :][-round(FITTED_SECONDS / STEP_SECONDS) :]
    if len(end) < LEVEL_SECONDS / STEP_SECONDS:
        return None
    times = STEP_SECONDS * (np.arange(len(end)) + 0.5 - len(end))  # 0 is the end of the sound
    slope, level = np.polyfit(times, end, 1)
    if levels[loudest] - level < LEAST_FALL or level < OVER:
        return None
    return Decay(float(level), min(0.0, float(slope)))


def dying(mirrored: np.ndarray, decay: Decay, sample_rate: int) -> np.ndarray:
    """A sound (C, S) mirrored at its end, which rises as fast as it fell, made to fall on as fast."""
    seconds = np.arange(mirrored.shape[1]) / sample_rate
    return (mirrored * 10 ** (2 * decay.slope * seconds / 20)).astype(np.float32)


def kept_below(new: np.ndarray, decay: Decay, sample_rate: int) -> np.ndarray:
    """What goes on from a sound that dies away (C, S), nowhere above the straight line of its level.

    The gain that this takes begins at 1, so that there is no step at the join, and is whole within 50 ms.
    """
    levels = moving_levels(new, sample_rate)
    steps = (np.arange(len(levels)) + 0.5) * STEP_SECONDS
    times = np.arange(new.shape[1]) / sample_rate
    above = np.maximum(0, levels - (decay.level + decay.slope * steps))  # dB
    ramp = np.minimum(1, times / (LEVEL_SECONDS / 2))
    return (new * 10 ** (-ramp * np.interp(times, steps, above) / 20)).astype(np.float32)
