"""Where a sound begins and ends, and whether it is an event or goes on steadily.

Levels are mean powers of 10 ms, one each millisecond, of all channels together, in dB of full scale, without the sound's
offset. What is cut off is whole milliseconds, so that what is left has the same levels as before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

STEP_SECONDS = 0.001
WINDOW = 10  # steps of which a level is the mean
LONG_WINDOW = 50  # steps, for steadiness: what happens within them is the sound's grain
FAINTEST = -90.0  # dB of full scale: fainter is silence, however faint the rest
QUIET = 1e-30  # power of no sound

STEADY_SECONDS = 1.0  # that a steady sound lasts at least
STEADY_BAND = 6.0  # dB around the median level
STEADY_SHARE = 0.8  # of the levels that lie in this band
STEADY_LOUDEST = 15.0  # dB by which the loudest level may exceed the median
STEADY_EDGE = 20.0  # dB below the median, where a steady sound is cut

FLOOR_SHARE = 0.02  # of the levels that are quieter than a floor
FLOOR_BAND = 6.0  # dB above the floor that belong to it
FLOOR_DEPTH = 40.0  # dB below the loudest, where a floor lies at least
FLOOR_WEIGHT = 3  # times as many levels lie in the floor's band as in the next one

SILENT_LEVEL = -50.0  # dB of full scale: what is nowhere louder is no sound
SHORTEST_SOUND = 0.030  # seconds: what is heard for a shorter time is none either

LEAST_CUT = 20  # steps: less silence than that stays, since a faded edge is as quiet


@dataclass(frozen=True)
class Trim:
    """How silence at both ends is found, and how much of it stays before and after an event.

    Attributes:
        threshold: dB below the loudest level, from -120 to -6; what is below it is silence.
        lead_in: milliseconds that stay before the sound, 0 or more.
        tail: milliseconds that stay behind it, 0 or more.
    """

    threshold: float = -60.0
    lead_in: float = 10.0
    tail: float = 100.0

    def __post_init__(self) -> None:
        if not -120 <= self.threshold <= -6:
            raise ValueError(f"threshold must be from -120 to -6 dB, got {self.threshold!r}")
        if not (0 <= self.lead_in < np.inf and 0 <= self.tail < np.inf):
            raise ValueError(
                f"lead_in and tail must be milliseconds, 0 or more, got {self.lead_in!r} and {self.tail!r}"
            )


class Region(NamedTuple):
    """The part of a sound that is kept."""

    start: int  # first sample
    end: int  # behind the last sample
    steady: bool  # whether it goes on evenly; otherwise it is one event or several
    heard: float  # seconds from the first to the last level that is no silence


def levels(audio: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels in dB (T,) of 10 ms and of 50 ms around each millisecond of (C, S) audio, without its mean; outside it is silent."""
    centred = audio.astype(np.float64) - audio.mean(axis=1, dtype=np.float64, keepdims=True)
    step = round(STEP_SECONDS * sample_rate)
    padded = np.pad(centred, ((0, 0), (0, -audio.shape[1] % step)))
    powers = np.square(padded).reshape(len(audio), -1, step).mean(axis=(0, 2))  # (T,)
    short, long = (_moving_mean(powers, size) for size in (WINDOW, LONG_WINDOW))
    return 10 * np.log10(np.maximum(short, QUIET)), 10 * np.log10(np.maximum(long, QUIET))


def _moving_mean(values: np.ndarray, size: int) -> np.ndarray:
    padded = np.pad(values, (size // 2, size - 1 - size // 2))
    return np.lib.stride_tricks.sliding_window_view(padded, size).mean(axis=1)


def loudest_level(audio: np.ndarray, sample_rate: int) -> float:
    """Level in dB of full scale of the loudest 10 ms of (C, S) audio, -300 of none."""
    return float(levels(audio, sample_rate)[0].max())


def is_silent(audio: np.ndarray, sample_rate: int) -> bool:
    """Whether (C, S) audio holds no sound: nowhere 10 ms above -50 dB of full scale, or heard for less than 30 ms."""
    if loudest_level(audio, sample_rate) < SILENT_LEVEL:
        return True
    return find_sound(audio, sample_rate, Trim()).heard < SHORTEST_SOUND


def is_steady(short: np.ndarray, long: np.ndarray) -> bool:
    """Whether a sound goes on evenly, from its levels (T,) of 10 and of 50 ms.

    It does if it lasts a second or more, if .8 of its levels of 50 ms lie within 6 dB of their median, and if the
    loudest of them exceeds the median by no more than 15 dB, so that pauses are not taken for the sound.
    """
    if len(short) < STEADY_SECONDS / STEP_SECONDS:
        return False
    median = np.median(long)
    share = np.mean(np.abs(long - median) <= STEADY_BAND)
    return bool(share >= STEADY_SHARE and long.max() - median <= STEADY_LOUDEST)


def silence_below(short: np.ndarray, threshold: float) -> float:
    """The level in dB under which an event's ends are silence, from its levels (T,) of 10 ms.

    That is the threshold below the loudest level, -90 dB of full scale if that is more, or 6 dB above the sound's
    noise floor. A floor is where a sound stays: at least three times as many levels lie within 6 dB of it as in the 6 dB
    above, while a decay passes both in the same time.
    """
    loudest = short.max()
    silence = max(loudest + threshold, FAINTEST)
    floor = np.quantile(short, FLOOR_SHARE)
    within = np.mean((short >= floor) & (short < floor + FLOOR_BAND))
    above = np.mean((short >= floor + FLOOR_BAND) & (short < floor + 2 * FLOOR_BAND))
    if floor <= loudest - FLOOR_DEPTH and within >= FLOOR_WEIGHT * above:
        silence = max(silence, floor + FLOOR_BAND)
    return float(silence)


def find_sound(audio: np.ndarray, sample_rate: int, trim: Trim) -> Region:
    """Where (C, S) audio sounds, with the silence that stays around an event; all of it if it is silent throughout.

    A steady sound is cut where it is 20 dB below its median level, and no silence stays around it: its end is no
    decay that belongs to it. An event is kept as far as it is louder than `silence_below`. Both are repeated on what is
    left until nothing more is cut, so that a trimmed sound has nothing to be trimmed.
    """
    step = round(STEP_SECONDS * sample_rate)
    start, end = 0, audio.shape[1]
    while True:
        short, long = levels(audio[:, start:end], sample_rate)
        loud = np.flatnonzero(short >= silence_below(short, trim.threshold))
        if len(loud) == 0:
            return Region(start, end, False, 0.0)
        first, last = int(loud[0]), int(loud[-1]) + 1
        steady = is_steady(short[first:last], long[first:last])
        if steady:
            edge = np.median(long[first:last]) - STEADY_EDGE
            even = first + np.flatnonzero(short[first:last] >= edge)
            first, last = int(even[0]), int(even[-1]) + 1
        before, behind = (0, 0) if steady else (round(trim.lead_in), round(trim.tail))
        cuts = first - before, len(short) - last - behind
        if max(cuts) < LEAST_CUT:
            return Region(start, end, steady, (last - first) * STEP_SECONDS)
        if cuts[1] >= LEAST_CUT:
            end = start + (len(short) - cuts[1]) * step
        if cuts[0] >= LEAST_CUT:
            start += cuts[0] * step
