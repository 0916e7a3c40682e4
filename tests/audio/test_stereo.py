"""Width from one channel: what is promised of the sum, the balance and the correlation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from woosh import audio, procedural
from woosh.audio.stereo import all_pass

FAMILIES = ("rain", "engine", "bell", "gunshot", "dog", "siren", "thunder")


@pytest.mark.parametrize("family", FAMILIES)
def test_width_vanishes_in_the_sum(family: str) -> None:
    """Both channels' mean is the mono sound, they are equally loud, and their correlation is 1/2."""
    mono = procedural.generate(1, family).audio[None]
    left, right = wide = audio.widen(mono)
    peak = np.abs(mono).max()
    assert np.abs(wide.mean(axis=0) - mono[0]).max() <= 1e-6 * peak
    assert 20 * np.log10(np.std(left) / np.std(right)) == pytest.approx(0, abs=0.02)
    assert np.corrcoef(wide)[0, 1] == pytest.approx(0.5, abs=0.01)


def test_the_fold_down_has_the_mono_sounds_level() -> None:
    """No comb: in every third of an octave the sum is as loud as before, and each channel within a few dB."""
    rain = procedural.generate(1, "rain").audio[None]
    wide = audio.widen(rain)
    spectra = [np.abs(np.fft.rfft(part)) ** 2 for part in (rain[0], wide.mean(axis=0), wide[0])]
    frequencies = np.fft.rfftfreq(rain.shape[1], 1 / 48_000)
    for low in 100 * 2 ** (np.arange(20) / 3):
        band = (frequencies >= low) & (frequencies < low * 2 ** (1 / 3))
        mono, folded, left = (spectrum[band].sum() for spectrum in spectra)
        assert folded == pytest.approx(mono, rel=1e-4)
        assert abs(10 * np.log10(left / mono)) < 4


@given(st.integers(1, 3_000), st.integers(0, 2**32 - 1), st.sampled_from([8_000, 44_100, 48_000]))
def test_any_sound_folds_down_to_itself(samples: int, seed: int, rate: int) -> None:
    mono = np.random.default_rng(seed).standard_normal((1, samples)).astype(np.float32)
    wide = audio.widen(mono, rate)
    assert wide.shape == (2, samples)
    assert np.abs(wide.mean(axis=0) - mono[0]).max() <= 1e-6 * np.abs(mono).max()
    assert np.abs(wide).max() <= 40 * np.abs(mono).max()


def test_silence_stays_silence_and_two_channels_are_refused() -> None:
    assert not audio.widen(np.zeros((1, 100), np.float32)).any()
    with pytest.raises(ValueError, match=r"one channel, \(1, S\), got \(2, 100\)"):
        audio.widen(np.zeros((2, 100), np.float32))


def test_the_filter_keeps_every_frequency_and_follows_its_equation() -> None:
    click = np.zeros(4_800)
    click[0] = 1
    assert np.abs(np.fft.rfft(all_pass(click, 139, 0.5))) == pytest.approx(1, abs=1e-9)
    signal = np.random.default_rng(0).standard_normal(50)
    expected = np.zeros(50)
    for n in range(50):
        expected[n] = -0.5 * signal[n]
        if n >= 7:
            expected[n] += signal[n - 7] + 0.5 * expected[n - 7]
    assert all_pass(signal, 7, 0.5) == pytest.approx(expected)


def test_a_loop_goes_around_in_both_channels() -> None:
    """The side of a loop goes on at its beginning as well: turned around, the sound is widened to the same, turned."""
    loop = 0.1 * np.random.default_rng(1).standard_normal((1, 48_000)).astype(np.float32)
    wide = audio.widen(loop, circular=True)
    np.testing.assert_allclose(wide.mean(axis=0, keepdims=True), loop, atol=1e-6)
    turned = audio.widen(np.roll(loop, 20_000, axis=1), circular=True)
    np.testing.assert_allclose(turned, np.roll(wide, 20_000, axis=1), atol=2e-3)
