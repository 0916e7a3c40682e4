"""What is done with sounds, by models of the released architecture: one channel or two, whatever the weights."""

from dataclasses import replace

import numpy as np
import pytest

from tests.sounds import sound
from tests.toys import CHANNELS, make_pipeline, randomise
from woosh.autoencoder import WooshAutoencoder
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.studio.edit import edit
from woosh.studio.extend import extend
from woosh.studio.joins import FADE_SECONDS
from woosh.studio.loop import best_stretch, make_loop, renew_seam
from woosh.studio.morphing import morph
from woosh.studio.places import Region
from woosh.studio.variations import vary

RATE = 48_000


@pytest.fixture(scope="module", params=[1, 2], ids=["mono", "stereo"])
def sampler(request: pytest.FixtureRequest) -> Sampler:
    """100 latent frames per second, of an autoencoder that works on the spectra of all its channels at once."""
    autoencoder = WooshAutoencoder(
        latent_channels=CHANNELS,
        width=16,
        inner_width=24,
        encoder_layers=1,
        decoder_layers=1,
        audio_channels=request.param,
    )
    return replace(make_pipeline(max_frames=100).sampler, autoencoder=randomise(autoencoder, 1))


@pytest.fixture
def own(sampler: Sampler) -> np.ndarray:
    """1.5 s of as many channels as the model has, which differ."""
    channels = [np.tile(sound(seed, 0.5), 3) for seed in range(sampler.autoencoder.audio_channels)]
    return np.concatenate(channels)


def test_only_a_part_is_new_in_every_channel(sampler: Sampler, own: np.ndarray) -> None:
    made = edit(sampler, own, RATE, Request("rain", seed=4), [Region(0.5, 0.9)])
    fade = round(FADE_SECONDS * RATE)
    start, stop = round(0.5 * RATE) - fade, round(0.9 * RATE) + fade
    assert made.shape == own.shape
    assert np.array_equal(made[:, :start], own[:, :start])
    assert np.array_equal(made[:, stop:], own[:, stop:])
    for new, old in zip(made, own, strict=True):
        assert not np.array_equal(new[start + fade : stop - fade], old[start + fade : stop - fade])
    if len(own) == 2:
        assert not np.array_equal(*made[:, start + fade : stop - fade])


@pytest.mark.parametrize("before", [False, True])
def test_a_longer_sound_keeps_what_was_there(
    sampler: Sampler, own: np.ndarray, before: bool
) -> None:
    made = extend(sampler, own, RATE, Request("rain", seconds=2.0, seed=2), before)
    fade = round(FADE_SECONDS * RATE)
    assert made.shape == (len(own), 2 * RATE)
    if before:
        assert np.array_equal(made[:, RATE // 2 + fade :], own[:, fade:])
        assert made[:, : RATE // 2].any(axis=1).all()
    else:
        assert np.array_equal(made[:, : own.shape[1] - fade], own[:, :-fade])
        assert made[:, own.shape[1] :].any(axis=1).all()


def test_loops_have_every_channel_and_their_length(sampler: Sampler, own: np.ndarray) -> None:
    loop = make_loop(sampler, Request("rain", seconds=0.617, seed=3))
    assert loop.audio.shape == (len(own), round(0.617 * RATE)) and loop.audio.any(axis=1).all()
    stretch = best_stretch(own, RATE, 0.9)
    renewed = renew_seam(sampler, own, RATE, Request("rain", seed=1), stretch)
    assert renewed.audio.shape == (len(own), round(0.9 * RATE))
    kept = slice(round(0.4 * RATE), round(0.5 * RATE))
    start = stretch.start + kept.start
    assert np.array_equal(renewed.audio[:, kept], own[:, start : start + RATE // 10])


def test_variations_and_morphs_have_the_models_channels(sampler: Sampler, own: np.ndarray) -> None:
    """As long as the sound and different from take to take; the source itself is taken in mono."""
    sounds = vary(sampler, own, Request("", seconds=1.5, sounds_per_prompt=2, seed=1), 0.7)
    assert sounds.shape == (2, *own.shape) and not np.array_equal(*sounds)
    one = Request("", seconds=1.5, seed=1)
    pair = (own, own[:, ::-1].copy())
    takes = list(morph(sampler, pair, one, np.linspace(0, 1, 3), 0.6))
    assert [take.sound.shape for take in takes] == [own.shape] * 3


def test_a_model_of_two_channels_refuses_what_has_one(sampler: Sampler, own: np.ndarray) -> None:
    """By name; one of a single channel takes every number of them, each by itself."""
    other = own[:1] if len(own) == 2 else np.repeat(own, 3, axis=0)
    if len(own) == 2:
        with pytest.raises(ValueError, match="makes 2 channels, and the sound has 1"):
            edit(sampler, other, RATE, Request("rain", seed=4), [Region(0.5, 0.9)])
    else:
        made = edit(sampler, other, RATE, Request("rain", seed=4), [Region(0.5, 0.9)])
        assert np.array_equal(made[0], made[1]) and np.array_equal(made[0], made[2])
