"""Variations of sounds: what they change, and what they leave."""

import numpy as np
import pytest

from woosh.augmentation import at_speed, coloured, with_another_under


def test_colour_changes_the_spectrum_smoothly_and_by_the_decibels_asked() -> None:
    click = np.zeros(48_000)
    click[100] = 1.0
    generator = np.random.default_rng(0)
    responses = np.stack(
        [20 * np.log10(np.abs(np.fft.rfft(coloured(click, 3.0, generator)))) for _ in range(200)]
    )
    assert 2.5 < responses.std() < 3.5
    assert np.abs(np.diff(responses[:, 100:], axis=1)).max() < 0.2  # dB from one hertz to the next
    assert np.allclose(coloured(click, 0.0, generator), click)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_speed_scales_length_and_pitch(factor: float) -> None:
    rate = 8_000
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    faster = at_speed(tone, factor)
    assert abs(len(faster) - rate / factor) <= 2
    peak = np.abs(np.fft.rfft(faster)).argmax() * rate / len(faster)
    assert abs(peak - 440 * factor) < 2
    assert len(at_speed(tone[:1], factor)) == 1


def test_the_sound_under_another_is_weaker_and_silence_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=1000), generator.normal(size=1000)
    for _ in range(50):
        under = with_another_under(first, second, generator) - first
        level = 20 * np.log10(np.std(under) / np.std(first))
        assert -25.5 < level < -4.5
    assert np.array_equal(with_another_under(first, 0 * second, generator), first)
    assert not with_another_under(0 * first, second, generator).any()
