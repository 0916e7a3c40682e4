"""How far takes lie apart: what does not count, and what does."""

import numpy as np
import pytest
import torch

from tests.sounds import sound, tone
from woosh.metrics.reconstruction import log_mel, mel_distance, scale_peak
from woosh.metrics.takes import LONGEST_SECONDS, take_distance, take_spectrum

RATE = 48_000
HOP = 512


def distance(first: torch.Tensor, second: torch.Tensor) -> float:
    spectra = take_spectrum(first, RATE), take_spectrum(second, RATE)
    there, back = take_distance(*spectra, RATE), take_distance(*spectra[::-1], RATE)
    assert there == pytest.approx(back, abs=1e-6)
    return there


def take(seed: int) -> torch.Tensor:
    return torch.from_numpy(sound(seed)[0])


def test_gain_and_silence_around_a_take_do_not_count() -> None:
    own, silence = take(1), torch.zeros(10_000)
    assert distance(own, own) == 0
    assert distance(own, 0.01 * own) < 0.01
    assert distance(own, torch.cat([silence, own, silence[:300]])) == pytest.approx(0, abs=1e-6)


def test_a_take_that_begins_later_is_moved() -> None:
    """By up to 60 ms, whichever of the two is the later one; what is later still is another take."""
    steps = [take(seed) for seed in (1, 2)]
    early = torch.cat([0.1 * take(3)[: 4 * HOP], *steps])
    assert distance(early[4 * HOP :], early) < 0.05
    assert distance(early[4 * HOP :], torch.cat([0.1 * take(3)[: 40 * HOP], *steps])) > 0.2


def test_without_a_lag_it_is_the_distance_of_reconstructions() -> None:
    first, second = (tone(pitch, 0.05) for pitch in (500.0, 2000.0))  # too short to be moved
    expected = mel_distance(scale_peak(first), scale_peak(second))
    spectra = [log_mel(scale_peak(one), RATE) for one in (first, second)]
    assert float((spectra[0] - spectra[1]).abs().mean()) == pytest.approx(float(expected))
    assert distance(first, second) <= float(expected) + 0.02


def test_different_takes_are_apart_however_short() -> None:
    assert distance(take(1), take(2)) > 0.2
    for samples in (1, 200, 3000):
        assert np.isfinite(distance(take(1)[:samples], take(2)[100 : 100 + samples]))


def test_silence_has_no_distance() -> None:
    silence, heard = take_spectrum(torch.zeros(RATE), RATE), take_spectrum(take(1), RATE)
    assert silence.shape == (128, 0) and np.isnan(take_distance(silence, heard, RATE))


def test_what_follows_the_first_half_minute_does_not_count() -> None:
    long = torch.randn(
        round(RATE * (LONGEST_SECONDS + 1)), generator=torch.Generator().manual_seed(0)
    )
    other = long.clone()
    other[-RATE // 2 :] *= 0.1
    assert distance(long, other) == pytest.approx(0, abs=1e-6)
