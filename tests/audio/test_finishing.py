"""Finished sounds: lengths, peaks and levels as promised, and finishing twice is finishing once."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from woosh import audio, procedural
from woosh.audio.finishing import envelope, offset_under

RATE = 48_000
CEILING = 10 ** (-1 / 20)


def drawn(seed: int, samples: int, level: float, channels: int = 1) -> np.ndarray:
    """A sound (C, S) of noise whose level wanders, with an offset."""
    rng = np.random.default_rng(seed)
    course = np.interp(np.arange(samples), np.linspace(0, samples, 7), rng.uniform(-80, 0, 7))
    sound = 10 ** (course / 20) * rng.standard_normal((channels, samples))
    return (level * (sound + rng.uniform(-0.05, 0.05))).astype(np.float32)


SOUNDS: dict[str, Any] = {
    "seed": st.integers(0, 2**32 - 1),
    "samples": st.integers(1, 40_000),
    "level": st.floats(1e-4, 30),
}


@given(**SOUNDS, channels=st.sampled_from([1, 2]), target=st.none() | st.floats(-70, 0))
@settings(max_examples=60, deadline=None)
def test_length_peak_and_loudness_are_as_promised(
    seed: int, samples: int, level: float, channels: int, target: float | None
) -> None:
    """Never longer, never past the true peak; the loudness is reached or is said to be missed."""
    sound = drawn(seed, samples, level, channels)
    before = sound.copy()
    finished = audio.finish(sound, RATE, audio.FinishSettings(loudness=target))
    made = finished.audio
    assert np.array_equal(sound, before)
    assert made.dtype == np.float32 and len(made) == channels and 0 < made.shape[1] <= samples
    assert audio.true_peak(made) <= CEILING
    assert np.abs(made.mean(axis=1)).max() <= 1e-5
    assert finished.loudness == pytest.approx(audio.levelling_loudness(made), abs=1e-3) or (
        finished.loudness == -math.inf
    )
    if target is not None and not finished.reached:
        quiet = finished.loudness < target - 0.1
        assert quiet and (finished.loudness == -math.inf or audio.true_peak(made) > 0.999 * CEILING)


@given(**SOUNDS, seconds=st.floats(1e-4, 1.0))
@settings(max_examples=40, deadline=None)
def test_a_length_that_is_asked_for_is_exact(
    seed: int, samples: int, level: float, seconds: float
) -> None:
    wanted = max(1, round(seconds * RATE))
    finished = audio.finish(drawn(seed, samples, level), RATE, audio.FinishSettings(samples=wanted))
    assert finished.audio.shape == (1, wanted)
    assert audio.true_peak(finished.audio) <= CEILING


@given(**SOUNDS | {"samples": st.integers(1_440, 40_000)})
@settings(max_examples=40, deadline=None)
def test_finishing_twice_is_finishing_once(seed: int, samples: int, level: float) -> None:
    once = audio.finish(drawn(seed, samples, level), RATE).audio
    twice = audio.finish(once, RATE).audio
    assert twice.shape == once.shape
    assert np.abs(twice - once).max() <= 0.02 * np.abs(once).max()


@pytest.mark.parametrize("family", ["rain", "engine", "gunshot", "bell", "dog", "fire"])
def test_real_courses_of_level_are_finished_once(family: str) -> None:
    sound = procedural.generate(2, family).audio[None]
    once = audio.finish(sound, RATE)
    twice = audio.finish(once.audio, RATE)
    assert np.abs(once.audio - twice.audio).max() < 1e-3
    assert once.loudness == pytest.approx(-23, abs=0.1) or not once.reached


def test_edges_that_are_not_silent_are_faded() -> None:
    """A steady sound within 20 ms at both ends; an event keeps its attack. Nothing else is changed."""
    rain = procedural.generate(1, "rain").audio[None, RATE : 4 * RATE]
    finished = audio.finish(rain, RATE, audio.FinishSettings(loudness=None))
    assert finished.region.steady and finished.fades == (960, 960)
    assert not finished.audio[:, [0, -1]].any()
    assert finished.audio[:, 960:-960] == pytest.approx(rain[:, 960:-960], abs=1e-3)
    bang = np.random.default_rng(0).standard_normal((1, RATE // 2)) * np.geomspace(
        0.1, 1e-6, RATE // 2
    )
    finished = audio.finish(bang.astype(np.float32), RATE)
    assert not finished.region.steady and finished.fades == (144, 0)


def test_a_loop_is_neither_trimmed_nor_faded() -> None:
    rain = procedural.generate(1, "rain").audio[None, RATE : 2 * RATE]
    loop = np.concatenate([np.zeros((1, RATE), np.float32), rain], axis=1)
    finished = audio.finish(loop, RATE, audio.FinishSettings(loop=True))
    assert finished.audio.shape == loop.shape and finished.fades == (0, 0)
    gain = finished.audio.std() / loop.std()
    assert finished.audio == pytest.approx(gain * (loop - loop.mean()), abs=1e-5)


def test_without_trimming_the_time_axis_stays() -> None:
    sound = np.zeros((1, 2 * RATE), np.float32)
    sound[0, RATE] = 0.5
    finished = audio.finish(sound, RATE, audio.FinishSettings(trim=None))
    assert finished.audio.shape == sound.shape
    assert np.argmax(np.abs(finished.audio)) == RATE


@pytest.mark.parametrize(("seconds", "measure"), [(2.5, "momentary"), (3.5, "integrated")])
def test_the_record_names_the_measure(seconds: float, measure: str) -> None:
    hum = procedural.generate(1, "hum", seconds).audio[None]
    finished = audio.finish(hum, RATE)
    assert finished.record() == {
        "loudness": -23.0,
        "loudness_measure": measure,
        "true_peak": round(finished.true_peak, 1),
    }


def test_the_peak_goes_before_the_loudness() -> None:
    sound = procedural.generate(0, "coin").audio[None]
    finished = audio.finish(sound, RATE, audio.FinishSettings(loudness=-5, true_peak=-3))
    assert not finished.reached and finished.loudness < -5
    assert finished.true_peak == pytest.approx(-3, abs=0.01)


def test_a_sound_does_not_depend_on_what_is_finished_beside_it() -> None:
    sounds = [drawn(seed, 20_000, 0.1) for seed in range(3)]
    alone = [audio.finish(sound).audio for sound in sounds]
    again = [audio.finish(sound).audio for sound in reversed(sounds)]
    assert all(np.array_equal(a, b) for a, b in zip(alone, reversed(again), strict=True))


def test_silence_is_left_as_it_is() -> None:
    finished = audio.finish(np.zeros((1, RATE), np.float32))
    assert finished.audio.shape == (1, RATE) and not finished.audio.any()
    assert finished.loudness == -math.inf and not finished.reached


def test_an_offset_changes_nothing() -> None:
    """What a fault of the model adds to every sample is gone; so are the steps that it makes at the ends."""
    bell = procedural.generate(1, "bell").audio[None]
    plain, lifted = (audio.finish(sound) for sound in (bell, bell + np.float32(0.05)))
    assert lifted.audio == pytest.approx(plain.audio, abs=1e-4)
    assert lifted.offset - plain.offset == pytest.approx(0.05, abs=1e-5)


def test_the_offset_under_a_fade_leaves_no_mean() -> None:
    sound = drawn(0, 1_000, 1.0, channels=2) + 0.3
    weights = envelope(1_000, 100, 200)
    left = weights * (sound - offset_under(sound, weights)[:, None])
    assert left.mean(axis=1) == pytest.approx(0, abs=1e-6)


def test_fades_rise_from_nothing() -> None:
    weights = envelope(1_000, 100, 200)
    assert weights[[0, -1]] == pytest.approx(0)
    assert weights[[50, -101]] == pytest.approx(0.5)
    assert weights[100:800] == pytest.approx(1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"samples": 0}, "samples must be 1 or more, got 0"),
        ({"loudness": 1.0}, "between -70 and 0 LUFS, got 1"),
        ({"true_peak": 0.1}, "true_peak must be 0 dB or less, got 0.1"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        audio.FinishSettings(**values)


@pytest.mark.parametrize("shape", [(100,), (1, 0), (0, 100)])
def test_what_is_no_audio_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be \\(channels, samples\\) and not empty"):
        audio.finish(np.zeros(shape, np.float32))
