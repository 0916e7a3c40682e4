"""Onsets of clicks, of procedural sounds with known events, and the F-measure."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from tests.metrics.signals import noise
from woosh.metrics.onsets import onset_f_measure, onset_strength, onset_times
from woosh.procedural import generate

RATE = 48_000


def bursts(times: list[float], seconds: float = 2.0) -> torch.Tensor:
    """Decaying noise bursts at the given times over faint noise."""
    audio = 1e-3 * noise(round(seconds * RATE), seed=9)
    tail = noise(RATE // 4) * torch.exp(-torch.arange(RATE // 4) / (0.02 * RATE))
    for time in times:
        at = round(time * RATE)
        audio[at : at + len(tail)] += tail[: len(audio) - at]
    return audio


@pytest.mark.parametrize("sample_rate", [16_000, 44_100, 48_000])
def test_bursts_are_found_within_15_ms(sample_rate: int) -> None:
    times = [0.1, 0.4, 0.55, 1.2]
    audio = bursts([time * sample_rate / RATE for time in times])
    found = onset_times(audio, sample_rate).tolist()
    assert found == pytest.approx(times, abs=0.015)


def test_a_sound_that_starts_at_once_has_an_onset_at_zero() -> None:
    assert onset_times(bursts([0.0, 1.0]), RATE).tolist() == pytest.approx([0, 1], abs=0.015)


def test_loudness_does_not_matter() -> None:
    audio = bursts([0.2, 0.9])
    assert torch.equal(onset_times(audio, RATE), onset_times(audio / 64, RATE))


@pytest.mark.parametrize("samples", [1, 240, 5000])
def test_short_clips_and_silence_are_taken(samples: int) -> None:
    assert len(onset_times(torch.zeros(samples), RATE)) == 0
    assert onset_strength(torch.zeros(samples), RATE).abs().max() == 0
    assert len(onset_times(noise(samples), RATE)) <= 1 + samples // 2400


@pytest.mark.parametrize("family", ["knock", "footsteps", "clock"])
def test_events_of_procedural_sounds_are_found(family: str) -> None:
    measures = []
    for seed in range(6):
        sound = generate(seed, family)
        found = onset_times(torch.from_numpy(sound.audio), RATE)
        measures.append(onset_f_measure(torch.tensor(sound.events), found))
    assert np.mean(measures) > 0.75


@given(
    st.lists(st.integers(0, 60), unique=True, max_size=12),
    st.lists(st.integers(0, 60), unique=True, max_size=12),
)
def test_f_measure_equals_the_best_assignment(first: list[int], second: list[int]) -> None:
    wanted, found = (
        torch.tensor(sorted(times), dtype=torch.float64) / 50 for times in (first, second)
    )
    result = onset_f_measure(wanted, found, tolerance=0.05)
    if not first and not second:
        assert result == 1
        return
    near = (wanted[:, None] - found[None]).abs().numpy() <= 0.05
    rows, columns = linear_sum_assignment(near, maximize=True)
    assert result == pytest.approx(2 * near[rows, columns].sum() / (len(first) + len(second)))


def test_a_time_shift_is_noticed() -> None:
    audio = bursts([0.1, 0.5, 1.1])
    shifted = audio.roll(RATE // 5)
    times = onset_times(audio, RATE)
    assert onset_f_measure(times, onset_times(audio, RATE)) == 1
    assert onset_f_measure(times, onset_times(shifted, RATE)) == 0
