"""Joins of waveforms that are not heard: fades at steady power, matched levels, and how a join is measured.

Arrays are float32 (C, S): channels, samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from woosh.audio.spectra import mel_filters

WINDOW = 5  # steps, of 50 ms, of the spectra on either side of a join
STEPS_PER_SECOND = 100
BANDS = 40
FLOOR = 1e-6  # power below the loudest band's that counts as none: -60 dB
PERCENTILE = 99
TOLERANCE = 1.001  # of a limit: a steady tone reaches its own
SILENCE = 1e-10  # power
MOST_GAIN = (
    4.0  # and least its inverse: the model's sound of what is kept is seldom further from it
)
FADE_SECONDS = 0.03  # outside of a part that is put into a sound, at either end
MOST_STEP = 3.0  # dB between the 50 ms on either side of a join, beyond which the level goes over inside of the part
FALL_SECONDS = (
    0.01  # for each decibel by which a level falls: most sounds die away slower than they begin
)
RISE_SECONDS = 0.004  # for each by which it rises
DEEPEST = 60.0  # dB that a level falls or rises: what is further below is not heard
SHORTEST_WAY = 0.08  # seconds
MOST_OF_PART = 3  # a way takes no more than this part of it
LIMITER_SECONDS = 0.005  # that the gain of a peak takes to come and to go


def fades(count: int, correlation: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Gains (count,) that let one sound fall and another one rise while their sum keeps its power.

    With straight fades f + r = 1 and the sounds' correlation c, the sum has the power f^2 + r^2 + 2 c f r, by whose root
    both are divided: equal power for c = 0, straight fades for c = 1.

    Args:
        count: samples.
        correlation: of the two sounds, from 0 to 1.
    """
    rising = (np.arange(count, dtype=np.float32) + 0.5) / max(1, count)
    falling = 1 - rising
    power = np.sqrt(falling**2 + rising**2 + 2 * correlation * falling * rising)
    return falling / power, rising / power


def crossfade(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One sound (C, S) goes over into another one (C, S) at steady power, by their own correlation."""
    product = float(np.sqrt(np.square(first).sum() * np.square(second).sum()))
    correlation = float((first * second).sum()) / product if product > SILENCE else 0.0
    falling, rising = fades(first.shape[1], min(1.0, max(0.0, correlation)))
    return falling * first + rising * second


def put_into(old: np.ndarray, new: np.ndarray, place: slice, sample_rate: int) -> np.ndarray:
    """A sound whose part at `place` is another sound's, joined at both ends.

    Where the levels on both sides of a join are alike, the sounds fade into each other in the 30 ms outside of the part. Where
    they differ by more than 3 dB, nothing outside is touched: inside, the louder one dies away to the level of the other, in
    decibels along a straight line, while both fade into each other. That takes 10 ms for each decibel where the level falls,
    4 ms where it rises, 80 ms at least and a third of the part at most. What goes on there from outside is mirrored at the
    join, so that nothing of what lay in the part is left.

    Args:
        old: (C, S).
        new: (C, S), of the same time, which around the part sounds as `old`.
        place: samples of the part.
        sample_rate: in Hz.

    Returns:
        (C, S) float32.
    """
    samples, room = old.shape[1], (place.stop - place.start) // MOST_OF_PART
    joined = old.copy()
    joined[:, place] = new[:, place]
    joined = _joined_behind(
        joined, (old, new), place.stop, room, (FALL_SECONDS, RISE_SECONDS), sample_rate
    )
    back = [sound[:, ::-1] for sound in (joined, old, new)]
    joined = _joined_behind(
        back[0],
        (back[1], back[2]),
        samples - place.start,
        room,
        (RISE_SECONDS, FALL_SECONDS),
        sample_rate,
    )
    # Two sounds within [-1, 1] may together go beyond it.
    return np.ascontiguousarray(joined[:, ::-1]).clip(-1, 1)


def _joined_behind(
    joined: np.ndarray,
    sounds: tuple[np.ndarray, np.ndarray],
    stop: int,
    room: int,
    seconds_per_decibel: tuple[float, float],
    sample_rate: int,
) -> np.ndarray:
    """The join behind a part, see `put_into`.

    Args:
        joined: (C, S), the new sound in front of `stop`, the old one behind it.
        sounds: the old and the new one (C, S).
        stop: where the part ends.
        room: samples in front of `stop` that may be used.
        seconds_per_decibel: where the new sound is the louder one, and where the old one is.
        sample_rate: in Hz.
    """
    old, new = sounds
    fade = round(FADE_SECONDS * sample_rate)
    outside = slice(stop, min(old.shape[1], stop + fade))
    if outside.stop <= stop:
        return joined
    joined = joined.copy()
    near = WINDOW * (sample_rate // STEPS_PER_SECOND)
    behind, before = old[:, stop : stop + near], new[:, max(0, stop - near) : stop]
    step = _level(behind, sample_rate) - _level(before, sample_rate)
    step = min(DEEPEST, max(-DEEPEST, step))
    new_louder, old_louder = seconds_per_decibel
    way = round(abs(step) * (old_louder if step > 0 else new_louder) * sample_rate)
    way = min(max(way, round(SHORTEST_WAY * sample_rate)), room, old.shape[1] - stop)
    if abs(step) <= MOST_STEP or not way:
        joined[:, outside] = crossfade(new[:, outside], old[:, outside])
        return joined
    falling, rising = fades(way)
    passed = (np.arange(way, dtype=np.float32) + 0.5) / way
    falling = falling * 10 ** (min(0, step) / 20 * passed)
    rising = rising * 10 ** (-max(0, step) / 20 * (1 - passed))
    inside = slice(stop - way, stop)
    joined[:, inside] = falling * new[:, inside] + rising * old[:, stop : stop + way][:, ::-1]
    return joined


def _level(sound: np.ndarray, sample_rate: int) -> float:
    """The level of 50 ms (C, S) in decibels, as a join is measured: rumble below the mel bands does not count."""
    missing = WINDOW * (sample_rate // STEPS_PER_SECOND) - sound.shape[1]
    bands = spectra(np.pad(sound, ((0, 0), (0, max(0, missing)))), sample_rate)[0]
    return 10 * math.log10((10 ** (bands / 10)).sum())


def matched(new: np.ndarray, old: np.ndarray, before: slice, behind: slice) -> np.ndarray:
    """A new sound at the level of the old one beside the place that it is for.

    Args:
        new: (C, S), with what is beside the place.
        old: (C, S), the same time.
        before: samples in front of the place that both have, perhaps none.
        behind: the same after it.

    Returns:
        (C, S), each channel under a gain that goes in decibels along a straight line from one side to the other.
    """
    sides = [_gain(new[:, side], old[:, side]) for side in (before, behind)]
    first, last = sides if behind.stop > behind.start else (sides[0], sides[0])
    if before.stop <= before.start:
        first = last
    way = np.linspace(0, 1, behind.start - before.stop, dtype=np.float32)
    way = np.concatenate([np.zeros(before.stop), way, np.ones(new.shape[1] - behind.start)])
    return (new * first ** (1 - way) * last**way).astype(np.float32)


def _gain(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """What brings each channel (C, S) of a sound to the level of another's (C, 1); 1 where one of them is silent."""
    if not new.shape[1]:
        return np.ones((len(new), 1))
    powers = [np.square(part, dtype=np.float64).mean(axis=1, keepdims=True) for part in (new, old)]
    heard = np.minimum(*powers) > SILENCE
    ratio = np.sqrt(np.where(heard, powers[1], 1) / np.where(heard, powers[0], 1))
    return ratio.clip(1 / MOST_GAIN, MOST_GAIN)


def held(new: np.ndarray, beside: np.ndarray, way: int) -> np.ndarray:
    """A new sound (C, S) at the mean level of the one that it follows (C, S').

    Each channel is under a gain that begins at 1, goes in decibels along a straight line for `way` samples, and stays.
    """
    ramp = np.minimum(1, np.arange(new.shape[1], dtype=np.float32) / max(1, way))
    return (new * _gain(new, beside) ** ramp).astype(np.float32)


def limited(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """A sound (C, S) within [-1, 1]: around each peak beyond it the gain falls and rises within milliseconds.

    What is further away keeps its level, unlike under one gain for all.
    """
    excess = np.abs(audio).max(axis=0, initial=0.0)
    if excess.max(initial=0.0) <= 1:
        return audio
    from scipy.ndimage import minimum_filter1d

    half = round(LIMITER_SECONDS * sample_rate)
    held = minimum_filter1d(1 / np.maximum(excess, 1), 2 * half + 1, mode="nearest")
    bell = np.hanning(2 * half + 3)[1:-1]
    # A mean of gains each of which is small enough for the sample in the middle.
    gain = np.convolve(np.pad(held, half, mode="edge"), bell / bell.sum(), mode="valid")
    return (audio * gain).astype(np.float32).clip(-1, 1)


@dataclass(frozen=True)
class JoinError:
    """What a join does to a sound, beside what the sound does by itself.

    A limit is the 99th percentile of the same measure at all other places of the sound.

    Attributes:
        jump: how far the samples across the join are from a straight line (the larger of its two second differences).
        distance: between the spectra of the 50 ms before and the 50 ms after the join: the mean of the
            differences of 40 mel bands in decibels.
        level: the difference of the levels of the same, in decibels.
        jump_limit: of the jump.
        distance_limit: of the distance.
        level_limit: of the level.
    """

    jump: float
    distance: float
    level: float
    jump_limit: float
    distance_limit: float
    level_limit: float

    @property
    def excess(self) -> float:
        """The largest of the measures by its own limit; up to 1 the join is no more than the sound does by itself."""
        pairs = (
            (self.jump, self.jump_limit),
            (self.distance, self.distance_limit),
            (self.level, self.level_limit),
        )
        return max(measure / max(limit, 1e-6) for measure, limit in pairs)

    @property
    def heard(self) -> bool:
        """Whether the join stands out."""
        return self.excess > TOLERANCE

    def __str__(self) -> str:
        return (
            f"jump {self.jump:.4f} ({self.jump_limit:.4f}), distance {self.distance:.1f} dB "
            f"({self.distance_limit:.1f}), level {self.level:.1f} dB ({self.level_limit:.1f})"
        )


def least_samples(sample_rate: int) -> int:
    """The shortest sound whose joins can be measured: spectra on either side of the join and of places beside it."""
    return 6 * WINDOW * (sample_rate // STEPS_PER_SECOND)


def seam_error(audio: np.ndarray, sample_rate: int) -> JoinError:
    """The join of a sound's (C, S) end with its beginning, as a loop plays it.

    Raises:
        ValueError: see `join_error`.
    """
    middle = audio.shape[1] // 2
    return join_error(np.roll(audio, middle, axis=1), sample_rate, middle)


def join_error(audio: np.ndarray, sample_rate: int, place: int) -> JoinError:
    """The join in a sound (C, S) in front of the sample `place`.

    Raises:
        ValueError: a sound shorter than .3 s, or a place less than 50 ms from one of its ends.
    """
    step = sample_rate // STEPS_PER_SECOND
    reach, samples = WINDOW * step, audio.shape[1]
    if samples < least_samples(sample_rate) or not reach <= place <= samples - reach:
        raise ValueError(
            f"no join is measured at sample {place} of {samples}: the sound must have "
            f"{least_samples(sample_rate)}, and {reach} of them on either side"
        )
    bends = np.abs(np.diff(audio, n=2, axis=1)).max(axis=0)  # (S - 2,), around samples 1 to S - 2
    jumps = np.maximum(bends[:-1], bends[1:])  # in front of samples 2 to S - 2
    bands = spectra(audio, sample_rate, offset=place % step)  # (N, BANDS), decibels
    power = 10 * np.log10((10 ** (bands / 10)).sum(axis=1))
    distances = np.abs(bands[WINDOW:] - bands[:-WINDOW]).mean(
        axis=1
    )  # in front of steps WINDOW ...
    levels = np.abs(power[WINDOW:] - power[:-WINDOW])
    at = place // step - WINDOW
    measures = []
    for values, index, near in (
        (jumps, place - 2, reach),
        (distances, at, WINDOW),
        (levels, at, WINDOW),
    ):
        others = np.concatenate([values[: max(0, index - near)], values[index + near + 1 :]])
        measures.append((float(values[index]), float(np.percentile(others, PERCENTILE))))
    (jump, most_jump), (distance, most_distance), (level, most_level) = measures
    return JoinError(jump, distance, level, most_jump, most_distance, most_level)


def spectra(
    audio: np.ndarray, sample_rate: int, offset: int = 0, step: int | None = None
) -> np.ndarray:
    """Decibels in mel bands (N, BANDS) of windows of 50 ms, the n-th of which begins at sample offset + n step.

    Args:
        audio: (C, S); its channels' powers are added.
        sample_rate: in Hz.
        offset: first sample.
        step: samples from one window to the next; None are 10 ms.
    """
    length = WINDOW * (sample_rate // STEPS_PER_SECOND)
    step = step or sample_rate // STEPS_PER_SECOND
    sound = torch.from_numpy(np.ascontiguousarray(audio[:, offset:]))
    window = torch.hann_window(length)
    filters = mel_filters(sample_rate, length, BANDS)
    spectrum = torch.stft(sound, length, step, window=window, center=False, return_complex=True)
    power = (filters @ spectrum.abs().square()).sum(dim=0).T  # (N, BANDS)
    floor = max(float(power.max()) * FLOOR, SILENCE)
    return (10 * torch.log10(power + floor)).numpy()
