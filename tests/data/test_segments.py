"""Where sounds are found: known stretches, gaps that part and gaps that do not, and laws for any signal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from woosh.data.segments import Segment, cut_evenly, frame_decibels, sounding_segments

RATE = 1000


def bursts(
    *stretches: tuple[float, float], seconds: float = 10.0, level: float = 0.5
) -> np.ndarray:
    """Noise in some stretches of a silence, (1, S)."""
    audio = np.zeros((1, round(seconds * RATE)), np.float32)
    noise = np.random.default_rng(0).uniform(-level, level, audio.shape)
    for start, stop in stretches:
        audio[:, round(start * RATE) : round(stop * RATE)] = noise[
            :, round(start * RATE) : round(stop * RATE)
        ]
    return audio


def seconds(segments: list[Segment]) -> list[tuple[float, float]]:
    return [(start / RATE, stop / RATE) for start, stop in segments]


def test_gaps_of_two_seconds_part_and_shorter_ones_do_not() -> None:
    found = seconds(sounding_segments(bursts((1, 2), (3.9, 4), (7, 9)), RATE))
    assert found == [pytest.approx((0.94, 4.06)), pytest.approx((6.94, 9.06))]
    found = seconds(sounding_segments(bursts((1, 2), (4, 5)), RATE))
    assert len(found) == 2
    assert len(sounding_segments(bursts((1, 2), (4, 5)), RATE, gap_seconds=2.1)) == 1
    assert len(sounding_segments(bursts((1, 2), (2.5, 5)), RATE, gap_seconds=0.4)) == 2


def test_the_ends_of_the_file_bound_a_segment() -> None:
    assert sounding_segments(bursts((0, 10)), RATE) == [Segment(0, 10_000)]
    assert sounding_segments(bursts((0, 0.01), seconds=0.01), RATE) == [Segment(0, 10)]


@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_silence_has_none(level: float) -> None:
    assert sounding_segments(bursts((0, 10), level=level), RATE) == []


def test_a_quiet_tail_belongs_to_the_sound_and_noise_far_below_does_not() -> None:
    audio = bursts((0, 1)) + bursts((1, 10), level=0.5 * 10 ** (-50 / 20))
    assert sounding_segments(audio, RATE) == [Segment(0, 10_000)]
    audio = bursts((0, 1)) + bursts((1, 10), level=0.5 * 10 ** (-70 / 20))
    assert seconds(sounding_segments(audio, RATE)) == [pytest.approx((0, 1.06))]


def test_either_channel_counts() -> None:
    left, right = bursts((1, 2)), bursts((6, 7))
    assert len(sounding_segments(np.concatenate([left, right]), RATE)) == 2


def test_levels_of_frames() -> None:
    audio = np.array([[0.1] * 4 + [1.0] * 4 + [0.5] * 2])
    assert frame_decibels(audio, 4) == pytest.approx([-20, 0, 20 * np.log10(0.5)])


@given(
    st.lists(st.tuples(st.floats(-1, 1, width=32), st.integers(1, 60)), min_size=1, max_size=30),
    st.integers(10, 400),
    st.floats(0.01, 3),
)
def test_segments_are_ordered_parted_and_hold_every_loud_sample(
    runs: list[tuple[float, int]], rate: int, gap: float
) -> None:
    values = [value for value, length in runs for _ in range(length)]
    audio = np.array([values], np.float32)
    segments = sounding_segments(audio, rate, gap)
    edges = [edge for segment in segments for edge in segment]
    assert edges == sorted(edges)
    assert all(0 <= start < stop <= len(values) for start, stop in segments)
    inside = np.zeros(len(values), bool)
    for start, stop in segments:
        inside[start:stop] = True
    frame = max(1, round(0.02 * rate))
    levels = np.repeat(frame_decibels(audio, frame), frame)[: len(values)]
    assert inside[levels > max(levels.max() - 60, -80)].all()


@given(st.integers(0, 1000), st.integers(1, 5000), st.integers(1, 700))
def test_pieces_cover_a_segment_evenly(start: int, length: int, longest: int) -> None:
    pieces = cut_evenly(Segment(start, start + length), longest)
    assert pieces[0].start == start and pieces[-1].stop == start + length
    assert all(
        first.stop == second.start for first, second in zip(pieces, pieces[1:], strict=False)
    )
    sizes = [stop - begin for begin, stop in pieces]
    assert max(sizes) <= longest + 1 and max(sizes) - min(sizes) <= 1
    assert len(pieces) == -(-length // longest)
