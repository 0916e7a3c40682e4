"""The true peak: sines whose samples miss their crests."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from woosh import audio
from woosh.audio.levels import true_peak_guard
from woosh.audio.true_peak import PIECE, decibels, interpolators

RATE = 48_000


def sine(frequency: float, phase: float, samples: int = 4_800) -> np.ndarray:
    """A sine (1, S) at full scale that swells and fades, so that nothing is cut off at its ends."""
    wave = np.sin(2 * np.pi * frequency / RATE * np.arange(samples) + phase)
    return (wave * np.hanning(samples))[None]


@given(st.floats(500, 20_000), st.floats(0, 2 * math.pi))
def test_a_sine_is_read_up_to_its_crest(frequency: float, phase: float) -> None:
    """Between cos(pi f / 4 rate) of it, where the four places straddle the crest, and .05 dB too much."""
    read = audio.true_peak(sine(frequency, phase))
    assert math.cos(math.pi * frequency / (4 * RATE)) - 1e-3 <= read <= 10 ** (0.05 / 20)


def test_a_crest_between_the_samples_is_found() -> None:
    """At a quarter of the rate and 45 degrees no sample passes .71, and the wave reaches 1."""
    wave = sine(RATE / 4, math.pi / 4)
    assert np.abs(wave).max() == pytest.approx(math.sqrt(0.5), abs=1e-3)
    assert audio.true_peak(wave) == pytest.approx(1, abs=1e-3)
    assert audio.true_peak(np.concatenate([0.1 * wave, -wave])) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("at", [0, 1, PIECE - 40, PIECE - 1, PIECE + 3, 2 * PIECE - 5])
def test_the_place_of_a_crest_does_not_matter(at: int) -> None:
    """Long sounds are read in pieces; a crest where two of them meet, or at the sound's edge, counts too."""
    sound = np.zeros((1, 2 * PIECE), np.float32)
    sound[0, at : at + 2] = 1.0
    pair = np.zeros((1, 100), np.float32)
    pair[0, 49:51] = 1.0
    assert audio.true_peak(sound) == pytest.approx(audio.true_peak(pair))
    assert audio.true_peak(pair) > 1.2


def test_the_weights_keep_a_constant_and_mirror_each_other() -> None:
    weights = interpolators()
    assert weights.sum(axis=1) == pytest.approx(np.ones(3))
    assert weights[0] == pytest.approx(weights[2][::-1])


@given(st.floats(0.01, 50), st.integers(0, 2**32 - 1), st.floats(0.05, 1))
def test_the_guard_only_scales_down_and_to_the_ceiling(
    amplitude: float, seed: int, ceiling: float
) -> None:
    sound = np.random.default_rng(seed).uniform(-amplitude, amplitude, (2, 80)).astype(np.float32)
    guarded = true_peak_guard(sound, ceiling)
    if audio.true_peak(sound) <= ceiling:
        assert guarded is sound
    else:
        assert ceiling * 0.9999 < audio.true_peak(guarded) <= ceiling


def test_decibels() -> None:
    assert decibels(1.0) == 0
    assert decibels(0.1) == pytest.approx(-20)
    assert decibels(0.0) == -math.inf
