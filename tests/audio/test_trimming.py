"""Where sounds begin and end: silence goes, decays stay, and steady sounds are told from events."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from woosh import audio, procedural
from woosh.audio.trimming import find_sound, is_steady, levels

RATE = 48_000
STEADY = ("rain", "wind", "engine", "appliance", "waterfall", "hum", "motorcycle", "stream", "tap")
EVENTS = ("door slam", "gunshot", "bell", "gong", "dog", "glass shatter", "coin", "footsteps")


def silence(seconds: float) -> np.ndarray:
    return np.zeros((1, round(seconds * RATE)), np.float32)


def noise(seconds: float, level: float = 0.1, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((1, round(seconds * RATE)))
    return (level * drawn).astype(np.float32)


def decay(reverberation: float, seconds: float) -> np.ndarray:
    """Noise that falls by 60 dB in so many seconds."""
    moments = np.arange(round(seconds * RATE)) / RATE
    return noise(seconds) * (10 ** (-3 * moments / reverberation)).astype(np.float32)


@pytest.mark.parametrize("family", STEADY)
@pytest.mark.parametrize("seed", [0, 1])
def test_sounds_that_go_on_are_steady(family: str, seed: int) -> None:
    sound = procedural.generate(seed, family).audio[None]
    assert find_sound(sound, RATE, audio.Trim()).steady


@pytest.mark.parametrize("family", EVENTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_sounds_that_happen_are_events(family: str, seed: int) -> None:
    sound = procedural.generate(seed, family).audio[None]
    assert not find_sound(sound, RATE, audio.Trim()).steady


@pytest.mark.parametrize("reverberation", [0.3, 1.0, 2.5])
def test_a_decay_stays_until_it_is_60_decibels_down(reverberation: float) -> None:
    """The end of a reverberant sound is as much a part of it as its beginning."""
    sound = np.concatenate([silence(0.5), decay(reverberation, 3.5)], axis=1)
    region = find_sound(sound, RATE, audio.Trim())
    assert region.start / RATE == pytest.approx(0.49, abs=0.01)
    assert region.end / RATE == pytest.approx(0.5 + 0.95 * reverberation + 0.1, rel=0.08)


@pytest.mark.parametrize("floor", [-75, -60, -50, -43])
def test_a_floor_of_noise_is_silence(floor: float) -> None:
    """Models leave a hiss of constant level behind an event; 3 s of it are a dead tail, however loud it is."""
    event = np.concatenate([silence(0.3), decay(0.2, 0.25), silence(3.0)], axis=1)
    sound = event + noise(3.55, 0.1 * 10 ** (floor / 20), seed=1)
    region = find_sound(sound, RATE, audio.Trim())
    assert 0.27 < region.start / RATE < 0.3
    assert 0.4 < region.end / RATE < 0.75


def test_a_quiet_background_that_is_not_far_below_is_kept() -> None:
    """Birds over wind at -30 dB are one recording: that is no floor of silence."""
    sound = noise(4.0, 0.003) + np.concatenate([silence(1.0), noise(0.5), silence(2.5)], axis=1)
    region = find_sound(sound, RATE, audio.Trim())
    assert (region.start, region.end) == (0, sound.shape[1])


def test_a_steady_sound_has_no_dead_tail() -> None:
    """Rain that stops before its end is cut where it stops, without the silence that an event keeps."""
    rain = procedural.generate(1, "rain").audio[None, : 3 * RATE]
    fading = rain[:, -RATE:] * np.linspace(1, 0, RATE, dtype=np.float32) ** 4
    sound = np.concatenate([rain, fading, silence(1.0)], axis=1)
    region = find_sound(sound, RATE, audio.Trim())
    assert region.steady and region.start == 0
    assert 3.2 < region.end / RATE < 3.7


@pytest.mark.parametrize(("lead_in", "tail"), [(0, 0), (10, 100), (50, 0), (0, 500)])
def test_so_much_silence_stays_as_is_asked_for(lead_in: float, tail: float) -> None:
    click = noise(0.2)
    sound = np.concatenate([silence(1.0), click, silence(1.0)], axis=1)
    region = find_sound(sound, RATE, audio.Trim(lead_in=lead_in, tail=tail))
    assert region.start / RATE == pytest.approx(1.0 - lead_in / 1000, abs=0.006)
    assert region.end / RATE == pytest.approx(1.2 + tail / 1000, abs=0.006)
    assert region.heard == pytest.approx(0.2, abs=0.012)


def test_a_higher_threshold_cuts_more() -> None:
    ends = [
        find_sound(decay(1.0, 2.0), RATE, audio.Trim(threshold=threshold)).end
        for threshold in (-60, -40, -20)
    ]
    assert ends == sorted(ends, reverse=True) and len(set(ends)) == 3


@given(st.integers(0, 2**32 - 1), st.floats(-90, 0), st.integers(1, 30_000))
@settings(max_examples=60, deadline=None)
def test_a_trimmed_sound_has_nothing_to_be_trimmed(seed: int, floor: float, size: int) -> None:
    rng = np.random.default_rng(seed)
    course = np.interp(np.arange(size), np.linspace(0, size, 6), rng.uniform(floor, 0, 6))
    sound = (10 ** (course / 20) * rng.standard_normal((1, size))).astype(np.float32)
    once = find_sound(sound, RATE, audio.Trim())
    assert 0 <= once.start < once.end <= size
    kept = sound[:, once.start : once.end]
    again = find_sound(kept, RATE, audio.Trim())
    assert (again.start, again.end) == (0, kept.shape[1])


def test_what_is_silent() -> None:
    """A take that nobody would hear is none: too faint throughout, or a tick; an offset is no sound."""
    assert audio.is_silent(silence(1.0), RATE)
    assert audio.is_silent(silence(1.0) + 0.5, RATE)
    assert audio.is_silent(noise(1.0, 0.002), RATE)
    assert not audio.is_silent(noise(1.0, 0.005), RATE)
    for milliseconds, silent in ((5, True), (40, False)):
        tick = np.concatenate([silence(0.5), noise(milliseconds / 1000), silence(0.5)], axis=1)
        assert audio.is_silent(tick, RATE) is silent


def test_levels_are_decibels_of_full_scale() -> None:
    moments = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * 1_000 * moments)[None].astype(np.float32)
    short, long = levels(tone, RATE)
    assert len(short) == len(long) == 1000
    for level in (short[50:-50], long[50:-50]):  # a sine's power is 1/2
        assert level == pytest.approx(-3.01, abs=0.01)
    assert is_steady(short, long)
    assert not is_steady(short[:900], long[:900])
    assert levels(tone + 0.5, RATE)[0] == pytest.approx(short, abs=1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threshold": 0}, "threshold must be from -120 to -6 dB, got 0"),
        ({"lead_in": -1}, "must be milliseconds, 0 or more, got -1"),
        ({"tail": float("nan")}, "must be milliseconds"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        audio.Trim(**values)
