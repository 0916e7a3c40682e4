"""Joins are where they are said to be, make no click, and neither side is silent there."""

import numpy as np
import pytest

from woosh.data.splices import (
    LEAST_LEVEL,
    LEVEL,
    break_window,
    broken_windows,
    joined,
    level,
    spliced_recording,
)

RATE = 8000


def tones(count: int, seconds: float) -> list[np.ndarray]:
    time = np.arange(round(seconds * RATE)) / RATE
    return [np.sin(2 * np.pi * 200 * (number + 1) * time) for number in range(count)]


def pitch(x: np.ndarray) -> float:
    """The loudest frequency in Hz."""
    return float(np.abs(np.fft.rfft(x)).argmax() * RATE / len(x))


def test_pieces_follow_each_other_without_a_step() -> None:
    whole = joined([np.ones(100), -np.ones(50), np.ones(30)], fade=16)
    assert len(whole) == 180 - 2 * 16
    assert np.abs(np.diff(whole)).max() < 0.13
    assert whole[50] == 1 and whole[110] == -1 and whole[-1] == 1


@pytest.mark.parametrize("kind", ["splice", "onset", "edit"])
def test_a_window_breaks_at_its_point(kind: str) -> None:
    generator = np.random.default_rng(0)
    for _ in range(5):
        window, point = break_window(tones(4, 2.0), kind, RATE, RATE, generator)
        assert len(window) == RATE and RATE // 6 <= point < RATE * 5 // 6
        before, after = window[: point - 20], window[point + 20 :]
        spectrum = np.abs(np.fft.rfft(after * np.hanning(len(after))))
        own = spectrum[round(pitch(before) * len(after) / RATE)] / spectrum.max()
        assert bool(own > 0.1) is (kind != "splice")
        assert level(before) >= LEAST_LEVEL * LEVEL


def test_every_second_window_breaks_and_levels_do_not_tell_it() -> None:
    windows = broken_windows(tones(5, 2.0), 40, RATE, RATE, np.random.default_rng(0))
    assert windows.broken.tolist() == [True, False] * 20
    assert ((windows.points >= 0) == windows.broken).all()
    assert windows.audio.dtype == np.float32 and np.abs(windows.audio).max() <= 1


def test_silent_sounds_are_refused() -> None:
    with pytest.raises(ValueError, match="silent where they meet"):
        break_window([np.zeros(RATE)] * 2, "splice", RATE, RATE, np.random.default_rng(0))


def test_a_recording_changes_its_tone_at_its_joins_alone() -> None:
    whole, joins = spliced_recording(tones(6, 4.0), 4, RATE, np.random.default_rng(1))
    assert len(joins) == 3 and joins == sorted(joins)
    edges = [0.0, *joins, len(whole) / RATE]
    found = []
    for start, stop in zip(edges, edges[1:], strict=False):
        part = whole[round(start * RATE) + 40 : round(stop * RATE) - 40]
        halves = np.array_split(part, 2)
        assert pitch(halves[0]) == pytest.approx(pitch(halves[1]), abs=4)
        found.append(round(pitch(part), -2))
    assert len(set(found)) == 4
