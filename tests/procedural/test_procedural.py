"""The procedural sounds: their form, their captions, their events, and that they repeat."""

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from woosh.procedural import FAMILIES, ProceduralSound, captions, generate
from woosh.procedural.plan import NUMBERS, phrases
from woosh.procedural.synthesis import RATE, modes, oscillate, room, shape

STRUCK = (
    "impact",
    "knock",
    "gunshot",
    "beeps",
    "laser",
    "footsteps",
    "drips",
    "clock",
    "horn",
    "dog",
)
CONTINUOUS = (
    "rain",
    "wind",
    "stream",
    "helicopter",
    "hum",
    "static",
    "appliance",
    "applause",
    "swarm",
)


@cache
def sound(seed: int, family: str) -> ProceduralSound:
    """A sound of natural length for seed 0 and of two seconds for the others."""
    return generate(seed, family, None if seed == 0 else 2.0)


def energy(audio: np.ndarray, start: float, stop: float) -> float:
    """Mean square between two times in seconds."""
    piece = audio[max(0, round(start * RATE)) : round(stop * RATE)].astype(np.float64)
    return float(np.mean(piece**2)) if len(piece) else 0.0


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_form(family: str, seed: int):
    made = sound(seed, family)
    assert made.family == family
    assert made.audio.dtype == np.float32
    assert made.audio.shape == (round(made.seconds * RATE),)
    assert np.isfinite(made.audio).all()
    assert 0.1 <= np.abs(made.audio).max() <= 1.0
    assert made.events
    assert all(0 <= event < made.seconds for event in made.events)
    assert list(made.events) == sorted(made.events)


@pytest.mark.parametrize("family", FAMILIES)
def test_captions_tell_the_parameters(family: str):
    for seed in range(60):
        texts = captions(seed, family)
        assert len(texts) >= 3
        assert len(set(texts)) == len(texts)
        for text in texts:
            assert text == text.strip()
            assert text == text.lower()
            assert not text.endswith(".")
            assert "  " not in text
            assert " ," not in text
            words = text.split()
            for word, following in zip(words, words[1:], strict=False):
                assert word != following, text
                assert not (word == "a" and following[0] in "aeiou"), text
                assert not (word == "an" and following[0] not in "aeiou8"), text


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_first_caption_names_every_parameter(family: str, seed: int):
    made = sound(seed, family)
    for name, value in made.parameters.items():
        word = NUMBERS[value] if isinstance(value, int) else value
        assert word in made.captions[0], f"{name}={value!r} is missing in {made.captions[0]!r}"


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_sound(family: str):
    first, second = sound(1, family), generate(1, family, 2.0)
    assert np.array_equal(first.audio, second.audio)
    assert (first.captions, first.events) == (second.captions, second.events)
    assert first.captions == captions(1, family, 2.0)
    assert sound(0, family).captions == captions(0, family)
    assert not np.array_equal(first.audio, sound(2, family).audio)


def test_seed_chooses_the_family():
    families = {generate(seed, seconds=0.3).family for seed in range(12)}
    assert len(families) > 5
    made = generate(3, seconds=0.5)
    assert np.array_equal(made.audio, generate(3, made.family, 0.5).audio)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), seconds=st.floats(0.3, 3.0))
def test_any_seed_and_length(seed: int, seconds: float):
    made = generate(seed, seconds=seconds)
    assert made.audio.shape == (round(seconds * RATE),)
    assert np.isfinite(made.audio).all()
    assert 0.1 <= np.abs(made.audio).max() <= 1.0
    assert all(0 <= event < seconds for event in made.events)
    assert made.captions == captions(seed, seconds=seconds)


@pytest.mark.parametrize("seconds", [0.3, 10.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_captions_and_events_at_the_limits(family: str, seconds: float):
    assert len(captions(5, family, seconds)) >= 3


@pytest.mark.parametrize("family", FAMILIES)
def test_the_shortest_sounds_are_heard(family: str):
    """An event that does not fit any more must not leave silence, whose level cannot be set."""
    made = generate(5, family, 0.3)
    assert np.isfinite(made.audio).all() and np.abs(made.audio).max() >= 0.1


@pytest.mark.parametrize("family", STRUCK)
def test_energy_rises_at_events(family: str):
    for seed in (0, 1, 2):
        made = sound(seed, family)
        for event in made.events:
            before = energy(made.audio, event - 0.03, event - 0.002)
            assert energy(made.audio, event, event + 0.06) > 1.2 * before, (seed, event)


@pytest.mark.parametrize("family", CONTINUOUS)
def test_continuous_sounds_have_no_dead_part(family: str):
    made = sound(0, family)
    whole = energy(made.audio, 0, made.seconds)
    for start in np.arange(0, made.seconds - 0.5, 0.5):
        assert energy(made.audio, start, start + 0.5) > 0.005 * whole, start
    assert energy(made.audio, made.seconds - 0.3, made.seconds) > 0.005 * whole


def test_pause_is_silent_and_told():
    seed = next(s for s in range(200) if "second" in captions(s, "gunshot")[0])
    made = generate(seed, "gunshot")
    pause = NUMBERS.index(str(made.parameters["pause"]).split()[0])
    assert all("second" in text for text in made.captions)
    assert made.events[0] > pause
    assert energy(made.audio, 0, pause) < 1e-3 * energy(made.audio, pause, made.seconds)


def test_far_is_quieter_than_near():
    near, far = [], []
    for seed in range(30):
        made = generate(seed, "horn", 0.5)
        words, peak = made.parameters.get("distance", ""), float(np.abs(made.audio).max())
        if words in ("nearby", "close by", "up close"):
            near.append(peak)
        elif words:
            far.append(peak)
    assert min(near) > max(far)


def test_unknown_family_lists_the_families():
    with pytest.raises(ValueError, match=r"'trombone'.*rain.*rooster"):
        generate(0, "trombone")
    with pytest.raises(ValueError, match="trombone"):
        captions(0, "trombone")


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.29, 10.1, float("nan")])
def test_length_out_of_range(seconds: float):
    with pytest.raises(ValueError, match="between 0.3 and 10"):
        generate(0, "rain", seconds)


def test_phrases_repair_blanks_and_articles():
    assert phrases("a  old   dog ,  , barks ", "an old dog, barks", "a cat") == (
        "an old dog, barks",
        "a cat",
    )


def test_mode_decays_by_sixty_decibels():
    ring = modes(np.array([1000.0]), np.array([0.5]), np.array([1.0]), RATE)
    early, late = np.abs(ring[:480]).max(), np.abs(ring[24_000:24_480]).max()
    assert 20 * np.log10(late / early) == pytest.approx(-60, abs=1.0)


def test_oscillator_makes_the_harmonics_asked_for():
    wave = oscillate(np.arange(RATE) * 100.0 / RATE, [1.0, 0.0, 0.5])
    spectrum = np.abs(np.fft.rfft(wave)) / (RATE / 2)
    assert spectrum[[100, 200, 300]] == pytest.approx([1.0, 0.0, 0.5], abs=1e-3)


def test_unit_gains_leave_the_signal():
    audio = np.random.default_rng(0).standard_normal(5000)
    gains = np.ones((-(-5000 // 512) + 1, 513))
    assert shape(audio, gains) == pytest.approx(audio, abs=1e-9)


def test_distance_dulls_and_reverberates():
    click = np.zeros(RATE)
    click[100] = 1.0
    near = room(np.random.default_rng(0), click, 1.0)
    far = room(np.random.default_rng(0), click, 80.0)
    assert np.abs(near[:95]).max() < 1e-3 * np.abs(near).max()
    share = [np.sum(a[5000:] ** 2) / np.sum(a**2) for a in (near, far)]
    assert share[1] > 10 * share[0]
