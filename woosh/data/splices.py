"""Windows and longer recordings with known breaks: one recording joined to another, or setting in over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

FADE_SECONDS = 0.002  # of a join, so that it makes no click
LEVEL = 0.05  # root mean square of every piece before its gain
GAIN_DECIBELS = 6.0  # largest, up or down, of a piece
HEARD_SECONDS = 0.25  # beside a break, which must not be silent there
LEAST_LEVEL = 0.1  # of a piece's level, beside a break
KINDS = ("splice", "onset")  # of breaks in training: another recording follows, or sets in
EDIT = "edit"  # another part of the same recording follows
TRIES = 50


class BrokenWindows(NamedTuple):
    """Windows with what is known of them."""

    audio: np.ndarray  # (B, S) float32
    broken: np.ndarray  # (B,) bool
    points: np.ndarray  # (B,) sample of the break; -1 without one


def piece(clip: np.ndarray, samples: int, generator: np.random.Generator) -> np.ndarray:
    """A part (samples,) of a clip that is as long or longer, at `LEVEL` and a gain."""
    start = generator.integers(len(clip) - samples + 1)
    part = clip[start : start + samples].astype(np.float64)
    gain = 10 ** (generator.uniform(-GAIN_DECIBELS, GAIN_DECIBELS) / 20)
    return part * (gain * LEVEL / max(level(part), 1e-9))


def level(x: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(x**2)))


def joined(pieces: Sequence[np.ndarray], fade: int) -> np.ndarray:
    """Pieces (S_k,) one after the other; each fades into the next one's first `fade` samples."""
    whole = pieces[0]
    ramp = np.linspace(0, 1, fade + 2)[1:-1]
    for part in pieces[1:]:
        over = whole[len(whole) - fade :] * (1 - ramp) + part[:fade] * ramp
        whole = np.concatenate([whole[: len(whole) - fade], over, part[fade:]])
    return whole


def break_window(
    clips: Sequence[np.ndarray], kind: str, samples: int, rate: int, generator: np.random.Generator
) -> tuple[np.ndarray, int]:
    """A window (samples,) with a break in its middle two thirds, and the break's sample.

    Args:
        clips: mono (S,), at least two, each as long as the window or longer.
        kind: one of `KINDS`, or `EDIT`.
        samples: of the window.
        rate: of the sounds, in Hz.
        generator: of all draws.

    Raises:
        ValueError: the clips are silent.
    """
    fade, beside = round(FADE_SECONDS * rate), round(HEARD_SECONDS * rate)
    for _ in range(TRIES):
        first, second = generator.choice(len(clips), 2, replace=False)
        second = first if kind == EDIT else second
        point = int(generator.integers(samples // 6, samples * 5 // 6))
        before = piece(clips[first], samples, generator)
        after = piece(clips[second], samples - point, generator)
        quietest = min(level(before[max(0, point - beside) : point]), level(after[:beside]))
        if quietest >= LEAST_LEVEL * LEVEL:
            if kind != "onset":
                return joined([before[: point + fade], after], fade), point
            ramp = np.minimum(1, np.arange(1, len(after) + 1) / fade)
            before[point:] += after * ramp
            return before, point
    raise ValueError(f"{TRIES} draws of two sounds were silent where they meet: name other sounds")


def broken_windows(
    clips: Sequence[np.ndarray],
    count: int,
    samples: int,
    rate: int,
    generator: np.random.Generator,
) -> BrokenWindows:
    """Windows of which every second one breaks; the others are parts of one recording. See `break_window`."""
    audio = np.zeros((count, samples), dtype=np.float32)
    points = np.full(count, -1)
    for row in range(count):
        if row % 2:
            audio[row] = piece(clips[int(generator.integers(len(clips)))], samples, generator)
        else:
            kind = KINDS[row // 2 % len(KINDS)]
            audio[row], points[row] = break_window(clips, kind, samples, rate, generator)
    peaks = np.abs(audio).max(axis=1, keepdims=True)
    return BrokenWindows(audio / np.maximum(peaks, 1), points >= 0, points)


def spliced_recording(
    clips: Sequence[np.ndarray], pieces: int, rate: int, generator: np.random.Generator
) -> tuple[np.ndarray, list[float]]:
    """A recording joined from parts of 1.5 to 3 s of as many clips, and the seconds of its joins."""
    fade = round(FADE_SECONDS * rate)
    chosen = generator.choice(len(clips), pieces, replace=False)
    parts = [
        piece(clips[number], int(generator.uniform(1.5, 3.0) * rate), generator)
        for number in chosen
    ]
    ends = np.cumsum([len(part) - fade for part in parts])[:-1]
    whole = joined(parts, fade)
    return (whole / max(1.0, np.abs(whole).max())).astype(np.float32), (ends / rate).tolist()
