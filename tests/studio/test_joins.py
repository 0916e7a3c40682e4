"""Joins: fades keep the power, levels meet, and a seam is told from none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from woosh.studio.joins import (
    FADE_SECONDS,
    MOST_STEP,
    crossfade,
    fades,
    held,
    join_error,
    limited,
    matched,
    put_into,
    seam_error,
)

RATE = 48_000


def noise(seconds: float = 1.0, seed: int = 0, level: float = 0.1) -> np.ndarray:
    samples = round(seconds * RATE)
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((1, samples))).astype(np.float32)


def sine(hertz: float, phase: float, samples: int = RATE) -> np.ndarray:
    time = np.arange(samples) / RATE
    return (0.5 * np.sin(2 * np.pi * (hertz * time + phase)))[None].astype(np.float32)


@given(count=st.integers(1, 300), correlation=st.floats(0, 1))
def test_fades_keep_the_power_of_two_sounds(count: int, correlation: float) -> None:
    falling, rising = fades(count, correlation)
    power = falling**2 + rising**2 + 2 * correlation * falling * rising
    np.testing.assert_allclose(power, 1, rtol=1e-5)
    assert (np.diff(rising) > -1e-6).all() and np.allclose(falling, rising[::-1], atol=1e-6)


def test_a_crossfade_of_strange_and_of_equal_sounds_keeps_its_level() -> None:
    """Equal power for noises that know nothing of each other; a sound faded into itself is itself."""
    faded = crossfade(noise(seed=1), noise(seed=2))
    middle = faded[:, RATE // 3 : 2 * RATE // 3]
    assert abs(20 * np.log10(middle.std() / 0.1)) < 0.2
    np.testing.assert_allclose(crossfade(noise(), noise()), noise(), atol=1e-6)


PART = slice(RATE, 2 * RATE)


@pytest.mark.parametrize("decibels", [-45.0, -20.0, -8.0, 8.0, 20.0, 45.0])
def test_a_part_of_another_level_is_reached_and_left_without_a_step(decibels: float) -> None:
    """The louder side dies away inside of the part, whichever it is; outside every bit stays, and the middle is the new sound's."""
    quiet = 0.1 * 10 ** (-max(0.0, decibels) / 20)
    old, new = noise(3, 1, quiet), noise(3, 2, quiet * 10 ** (decibels / 20))
    hard = np.concatenate([old[:, :RATE], new[:, PART], old[:, 2 * RATE :]], axis=1)
    joined = put_into(old, new, PART, RATE)
    outside = np.ones(3 * RATE, bool)
    outside[PART] = False
    assert np.array_equal(joined[:, outside], old[:, outside])
    third = RATE // 3
    middle = slice(PART.start + third, PART.stop - third)
    assert np.array_equal(joined[:, middle], new[:, middle])
    for place in (PART.start, PART.stop):
        assert join_error(hard, RATE, place).level == pytest.approx(abs(decibels), abs=1.5)
        assert join_error(joined, RATE, place).level < max(MOST_STEP, 0.6 * abs(decibels))
        ten = np.square(joined[0, place - RATE // 2 : place + RATE // 2]).reshape(-1, RATE // 100)
        steps = np.abs(np.diff(10 * np.log10(ten.mean(axis=1))))
        assert steps.max() < 10  # a sudden beginning or end would have all of it


def test_a_part_of_the_same_level_fades_outside_of_it() -> None:
    old, new = noise(3, 1), noise(3, 2)
    joined = put_into(old, new, PART, RATE)
    fade = round(FADE_SECONDS * RATE)
    assert np.array_equal(joined[:, PART], new[:, PART])
    assert np.array_equal(joined[:, : RATE - fade], old[:, : RATE - fade])
    assert np.array_equal(joined[:, 2 * RATE + fade :], old[:, 2 * RATE + fade :])
    assert not np.array_equal(joined[:, 2 * RATE : 2 * RATE + fade], old[:, 2 * RATE :][:, :fade])


@pytest.mark.parametrize("level", [0.001, 0.1])
def test_nothing_is_left_of_what_lay_in_a_part(level: float) -> None:
    """What is taken out of a sound must not be heard at its edges, however long the way to the new level is."""
    old, new = noise(3, 1), noise(3, 2, level)
    other = old.copy()
    other[:, PART] = noise(1, 3, 0.5)
    assert np.array_equal(put_into(old, new, PART, RATE), put_into(other, new, PART, RATE))


@pytest.mark.parametrize("part", [slice(0, RATE), slice(2 * RATE, 3 * RATE), slice(0, 3 * RATE)])
def test_a_part_at_an_end_of_a_sound_is_joined_at_the_other(part: slice) -> None:
    old, new = noise(3, 1), noise(3, 2, 0.01)
    joined = put_into(old, new, part, RATE)
    ends = [(part.start, slice(0, 100)), (3 * RATE - part.stop, slice(-100, None))]
    for room, samples in ends:
        expected = old if room else new
        assert np.array_equal(joined[:, samples], expected[:, samples])


def test_a_join_beside_silence_and_in_a_part_of_some_samples() -> None:
    """What dies away into digital silence ends at nothing; a part may be shorter than a fade."""
    old, new = np.zeros((2, 3 * RATE), np.float32), np.tile(noise(3, 2), (2, 1))
    joined = put_into(old, new, PART, RATE)
    assert not joined[:, :RATE].any() and not joined[:, 2 * RATE :].any()
    assert np.abs(joined[:, 2 * RATE - 100 : 2 * RATE]).max() < 1e-3
    short = put_into(old, new, slice(RATE, RATE + 5), RATE)
    assert short.shape == old.shape and np.isfinite(short).all()


def test_levels_are_matched_on_either_side() -> None:
    old = np.concatenate([noise(0.5), 0 * noise(0.5), 0.5 * noise(0.5)], axis=1)
    new = np.concatenate([0.4 * noise(0.5), noise(0.5), noise(0.5)], axis=1)
    found = matched(new, old, slice(0, RATE // 2), slice(RATE, RATE * 3 // 2))
    np.testing.assert_allclose(found[:, : RATE // 2], old[:, : RATE // 2], rtol=1e-3)
    np.testing.assert_allclose(found[:, RATE:], old[:, RATE:], rtol=1e-3)
    alone = matched(new, old, slice(0, RATE // 2), slice(new.shape[1], new.shape[1]))
    np.testing.assert_allclose(alone, new / 0.4, rtol=1e-3)
    np.testing.assert_array_equal(matched(new, 0 * old, slice(0, 99), slice(999, 1999)), new)


def test_what_goes_on_is_brought_to_the_level_of_what_stood_there() -> None:
    """Step by step, so that there is none at the join; silence is not raised, and no gain is beyond 12 dB."""
    found = held(0.5 * noise(), noise(seed=1), RATE // 2)
    assert found[0, 0] == 0.5 * noise()[0, 0]
    assert found[:, RATE // 2 :].std() == pytest.approx(0.1, rel=0.05)
    np.testing.assert_array_equal(held(0 * noise(), noise(), 100), 0 * noise())
    assert held(1e-3 * noise(), noise(), 1)[:, 1:].std() == pytest.approx(4e-4, rel=0.05)


def test_a_limited_peak_leaves_the_rest_as_it_is() -> None:
    sound = noise()
    sound[0, 20_000] = 4.0
    found = limited(sound, RATE)
    assert np.abs(found).max() <= 1 and found[0, 20_000] > 0.9
    np.testing.assert_array_equal(found[:, :19_000], sound[:, :19_000])
    np.testing.assert_array_equal(found[:, 21_000:], sound[:, 21_000:])
    assert limited(noise(), RATE) is not None and np.array_equal(limited(noise(), RATE), noise())


@pytest.mark.parametrize("phase", [0.0, 0.13, 0.25, 0.6])
def test_a_sine_that_wraps_has_no_seam(phase: float) -> None:
    """Whatever its phase: at its steepest place, too, a whole number of waves goes around."""
    assert not seam_error(sine(440.0, phase), RATE).heard


@pytest.mark.parametrize("hertz", [440.25, 440.5, 440.75])
@pytest.mark.parametrize("phase", [0.0, 0.13])
def test_a_sine_that_does_not_wrap_has_one(hertz: float, phase: float) -> None:
    """Also one of half a wave, whose samples meet at zero: there it has a corner."""
    error = seam_error(sine(hertz, phase), RATE)
    assert error.heard and error.jump > 2 * error.jump_limit


def test_a_step_in_level_and_one_in_spectrum_are_joins_that_are_heard() -> None:
    louder = np.concatenate([noise(1), 4 * noise(1, seed=1)], axis=1)
    error = join_error(louder, RATE, RATE)
    assert error.level == pytest.approx(12, abs=1) and error.level > error.level_limit
    duller = np.convolve(noise(1, seed=2)[0], np.ones(8) / 8**0.5, "same")
    darker = np.concatenate([noise(1), duller[None].astype(np.float32)], axis=1)
    error = join_error(darker, RATE, RATE)
    assert error.distance > 2 * error.distance_limit


def test_a_noise_goes_around_as_it_goes_on() -> None:
    """Of places in the middle of a noise 1 in 100 is beyond a limit, and so few of the seams of noises."""
    errors = [seam_error(noise(seed=seed), RATE) for seed in range(20)]
    assert sum(error.heard for error in errors) <= 3


def test_a_sound_too_short_to_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="no join is measured at sample 4800 of 9600"):
        seam_error(noise(0.2), RATE)
    with pytest.raises(ValueError, match="at sample 100 of 48000"):
        join_error(noise(), RATE, 100)
