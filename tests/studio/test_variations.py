"""Variations: the dial, what it does with real sounds, and sounds of every shape."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch.nn import functional

from tests.sounds import sound
from woosh import audio
from woosh.catalogue import DEFAULT_ALIGNER, FEW_STEP_MODEL, find_model
from woosh.embeddings.embedders import load_embedder
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.metrics.reconstruction import mel_distance
from woosh.procedural import generate
from woosh.studio.variations import as_learned, strength_of, vary

RATE = 48_000


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return load_sampler(find_model(FEW_STEP_MODEL))


def request_for(recording: np.ndarray, count: int = 1, seed: int = 1) -> Request:
    seconds = recording.shape[1] / RATE
    return Request("", seconds=seconds, sounds_per_prompt=count, seed=seed)


def test_the_dial_falls_from_the_sound_itself_to_nothing_of_it() -> None:
    """Both ends are exact, and less similarity is always more strength."""
    assert strength_of(1) == 0 and strength_of(0) == 1
    strengths = [strength_of(similarity) for similarity in np.linspace(1, 0, 101)]
    assert (np.diff(strengths) > 0).all()
    for similarity in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="similarity must be from 0 to 1"):
            strength_of(similarity)


def test_less_similarity_is_heard_and_measured_as_less(sampler: Sampler) -> None:
    """What the dial promises, by an ear that knows nothing of strengths and by spectra."""
    aligner = load_embedder(DEFAULT_ALIGNER)

    def embed(take: np.ndarray) -> torch.Tensor:
        heard = audio.resample(take, RATE, aligner.sample_rate)[0]
        return functional.normalize(aligner.embed(torch.from_numpy(heard)), dim=0)

    settings = (1, 0.8, 0.6, 0.4, 0.2, 0)
    cosines, distances = [], []
    for number, family in enumerate(("footsteps", "siren", "rain")):
        own = generate(seed=number, family=family).audio[None, :RATE]
        takes = [vary(sampler, own, request_for(own, seed=number), s)[0] for s in settings]
        cosines.append([float(embed(take) @ embed(own)) for take in takes])
        distances.append(
            [float(mel_distance(torch.from_numpy(own), torch.from_numpy(take))) for take in takes]
        )
    assert spearmanr(settings, np.mean(cosines, axis=0)).statistic >= 0.8
    assert spearmanr(settings, np.mean(distances, axis=0)).statistic <= -0.8


def test_variations_differ_from_each_other_and_are_made_again_by_their_seeds(
    sampler: Sampler,
) -> None:
    """A set has as many sounds as were asked for, and each can be had alone."""
    own = sound(1, 0.3)
    takes = vary(sampler, own, request_for(own, count=3), 0.7)
    assert takes.shape == (3, *own.shape)
    assert np.array_equal(takes[2], vary(sampler, own, request_for(own, seed=3), 0.7)[0])
    spectra = [torch.from_numpy(take) for take in takes]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert mel_distance(spectra[one], spectra[other]) > 0.05


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [1, 300, 4801, 30_000])
def test_every_length_and_number_of_channels_is_varied(
    sampler: Sampler, samples: int, channels: int
) -> None:
    """A variation is mono and exactly as long as its source, however short that is."""
    own = np.repeat(sound(2, 1)[:, 1000 : 1000 + samples], channels, axis=0)
    assert vary(sampler, own, request_for(own), 0.5).shape == (1, 1, samples)


@pytest.mark.parametrize("gain", [0.01, 0.5])
def test_a_variation_is_as_loud_as_its_source(sampler: Sampler, gain: float) -> None:
    """A quiet recording gives quiet cousins, although the model works at its own level."""
    own = gain * sound(3, 0.6)
    take = vary(sampler, own, request_for(own), 0.7)[0]
    assert audio.levelling_loudness(take) == pytest.approx(audio.levelling_loudness(own), abs=0.2)


def test_silence_is_no_source(sampler: Sampler) -> None:
    """Nothing can be like nothing: the error says so, and no noise is delivered."""
    silence = np.zeros((1, 4800), np.float32)
    with pytest.raises(ValueError, match="the sound is silent"):
        vary(sampler, silence, request_for(silence), 0.5)


def test_a_sound_that_ends_too_early_fades_into_the_silence() -> None:
    """No edge where silence is added, which the model would draw as a click; a whole sound stays as it is."""
    steady = np.full((1, 4800), 0.1, np.float32)
    assert np.abs(np.diff(as_learned(steady, 9600))).max() < 2e-3
    assert (as_learned(steady, 4800) == pytest.approx(0.8)) and as_learned(steady, 9600).shape == (
        1,
        9600,
    )
