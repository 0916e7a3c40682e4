"""Loudness: the standard's own figures, another implementation of it, and targets."""

import math

import numpy as np
import pyloudnorm
import pytest

from woosh import audio
from woosh.audio.levels import k_weighted, k_weighting, levelling_measure

RATE = 48_000


def noise(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """Noise (C, S) that swells from nothing."""
    samples = round(seconds * rate)
    swell = np.linspace(0, 0.2, samples)
    drawn = np.random.default_rng(0).standard_normal((channels, samples))
    return (swell * drawn).astype(np.float32)


def test_the_filters_are_those_of_the_standard() -> None:
    """BS.1770-4, annex 1, tables 1 and 2, at 48 kHz."""
    numerators, denominators = k_weighting(RATE)
    assert numerators == pytest.approx(
        np.array([[1.53512485958697, -2.69169618940638, 1.19839281085285], [1, -2, 1]]), abs=1e-9
    )
    assert denominators == pytest.approx(
        np.array(
            [
                [1, -1.69065929318241, 0.73248077421585],
                [1, -1.99004745483398, 0.99007225036621],
            ]
        ),
        abs=1e-9,
    )


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_another_meter_reads_the_same(rate: int, channels: int) -> None:
    """pyloudnorm rounds the filters' constants, hence a tenth."""
    sound = noise(4.0, rate, channels)
    meter = pyloudnorm.Meter(rate)
    read = meter.integrated_loudness(sound.T.astype(np.float64))
    assert audio.loudness(sound, rate) == pytest.approx(read, abs=0.1)
    blocks = max(meter.blockwise_loudness)
    assert blocks - 0.1 <= audio.momentary_loudness(sound, rate) <= blocks + 0.3


def test_a_long_sound_is_filtered_in_pieces_as_in_one() -> None:
    """Ten seconds are filtered at once; what came before must go on ringing in the next piece."""
    from scipy.signal import lfilter

    sound = noise(21.0)
    expected = sound.astype(np.float64)
    for numerator, denominator in zip(*k_weighting(RATE), strict=True):
        expected = lfilter(numerator, denominator, expected)
    assert np.abs(k_weighted(sound, RATE) - expected).max() < 1e-9


def test_a_tone_in_both_channels_is_three_decibels_louder() -> None:
    moments = np.arange(4 * RATE) / RATE
    tone = (0.5 * np.sin(2 * np.pi * 997 * moments))[None].astype(np.float32)
    twice = np.repeat(tone, 2, axis=0)
    for measure in (audio.loudness, audio.momentary_loudness):
        assert measure(twice) - measure(tone) == pytest.approx(10 * math.log10(2), abs=1e-3)


def test_pauses_do_not_count_and_the_loudest_moment_decides() -> None:
    """What the gates of the integrated loudness and the maximum of the momentary one are for."""
    loud, faint = noise(12.0)[:, -3 * RATE :], 1e-3 * noise(4.0)
    sound = np.concatenate([faint, loud, faint], axis=1)
    assert audio.loudness(sound) == pytest.approx(audio.loudness(loud), abs=0.5)
    assert audio.momentary_loudness(sound) >= audio.momentary_loudness(loud) - 1e-6


@pytest.mark.parametrize("seconds", [0.05, 0.4, 2.9, 3.0, 8.0])
@pytest.mark.parametrize("level", [3e-3, 0.1, 3.0])
def test_a_target_is_reached_by_the_measure_of_the_length(seconds: float, level: float) -> None:
    """The absolute gate hides most of a faint sound until it is louder; one gain would miss by decibels."""
    sound = level * noise(seconds)
    levelled = audio.normalise_loudness(sound, -23)
    long = seconds >= 3
    assert levelling_measure(sound) == ("integrated" if long else "momentary")
    measured = (audio.loudness if long else audio.momentary_loudness)(levelled.audio)
    assert levelled.reached and measured == pytest.approx(-23, abs=0.1)
    assert levelled.loudness == pytest.approx(measured)
