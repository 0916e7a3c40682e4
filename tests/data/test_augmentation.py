"""Variations of sounds: what they change, and what they leave."""

from pathlib import Path

import numpy as np
import pytest

from woosh.audio import write_audio
from woosh.data.augmentation import (
    RESPONSE_SECONDS,
    at_speed,
    coloured,
    load_responses,
    mixed_as_equals,
    through_response,
    with_another_under,
)


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


def test_a_response_is_a_convolution_at_the_same_level() -> None:
    generator = np.random.default_rng(0)
    audio, response = generator.normal(size=900), generator.normal(size=300)
    wet = through_response(audio, response)
    expected = np.convolve(audio, response)[:900]
    expected *= np.sqrt(np.mean(audio**2) / np.mean(expected**2))
    assert np.allclose(wet, expected)
    assert np.allclose(through_response(audio, np.array([2.0])), audio)
    assert not through_response(0 * audio, response).any()


def test_equals_are_both_there_at_nearly_the_same_level() -> None:
    generator = np.random.default_rng(0)
    first = np.sin(np.arange(1000) * 0.3)
    second = 0.01 * np.sin(np.arange(400) * 1.1)
    for _ in range(30):
        mixture = mixed_as_equals(first, second, generator)
        assert mixture.shape == (1000,)
        rest = mixture - first / np.sqrt(np.mean(first**2))
        heard = np.flatnonzero(np.abs(rest) > 1e-9)
        assert heard[-1] - heard[0] < 400
        level = 20 * np.log10(np.sqrt(np.mean(rest[heard[0] : heard[0] + 400] ** 2)))
        assert -5.5 < level < 5.5
    assert np.isfinite(mixed_as_equals(first, 0 * second, generator)).all()


def test_responses_are_read_from_their_loudest_moment_on(tmp_path: Path) -> None:
    sound = np.zeros((1, 40_000), np.float32)
    sound[0, 100:103] = [0.9, 0.4, -0.2]
    (tmp_path / "b").mkdir()
    write_audio(tmp_path / "b" / "room.wav", sound, 8_000)
    write_audio(tmp_path / "a.flac", -sound, 8_000)
    first, second = load_responses(tmp_path, 8_000)
    assert len(first) == len(second) == RESPONSE_SECONDS * 8_000
    assert np.allclose(second[:3], [0.9, 0.4, -0.2], atol=1e-5)
    assert np.allclose(first, -second, atol=1e-6)
    with pytest.raises(FileNotFoundError, match="no impulse responses"):
        load_responses(tmp_path / "missing", 8_000)
    write_audio(tmp_path / "silent.wav", 0 * sound, 8_000)
    with pytest.raises(ValueError, match=r"silent.wav is silent"):
        load_responses(tmp_path, 8_000)


def test_real_responses_are_readable(shared: Path) -> None:
    responses = load_responses(shared / "data" / "ir", 32_000)
    assert len(responses) == 83
    assert all(np.isfinite(response).all() and abs(response[0]) > 0 for response in responses)
