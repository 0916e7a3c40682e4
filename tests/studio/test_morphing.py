"""Morphs: from one sound to the other, with ends that are the sounds themselves."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch.nn import functional

from tests.sounds import sound
from woosh import audio
from woosh.autoencoder.reconstruction import reconstruct_generated
from woosh.catalogue import DEFAULT_ALIGNER, FEW_STEP_MODEL, find_model
from woosh.embeddings.embedders import load_embedder
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.metrics.reconstruction import mel_distance, scale_peak
from woosh.procedural import generate
from woosh.studio.morphing import morph

RATE = 48_000
REQUEST = Request("", seconds=0.5, seed=1)


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return load_sampler(find_model(FEW_STEP_MODEL))


def test_a_morph_leaves_one_sound_and_comes_to_the_other(sampler: Sampler) -> None:
    """Step by step the aligner hears less of the first sound and more of the second."""
    aligner = load_embedder(DEFAULT_ALIGNER)

    def embed(take: np.ndarray) -> torch.Tensor:
        heard = audio.resample(take, RATE, aligner.sample_rate)[0]
        return functional.normalize(aligner.embed(torch.from_numpy(heard)), dim=0)

    shares = np.linspace(0, 1, 5)
    to_first, to_second = [], []
    for seed, families in enumerate((("rain", "siren"), ("footsteps", "rain"))):
        first, second = (generate(seed=seed, family=f).audio[None, :RATE] for f in families)
        made = [embed(take.sound) for take in morph(sampler, (first, second), REQUEST, shares, 0.6)]
        to_first.append([float(vector @ made[0]) for vector in made])
        to_second.append([float(vector @ made[-1]) for vector in made])
    assert spearmanr(shares, np.mean(to_first, axis=0)).statistic <= -0.8
    assert spearmanr(shares, np.mean(to_second, axis=0)).statistic >= 0.8


def test_the_ends_are_the_sounds_and_the_middle_is_drawn(sampler: Sampler) -> None:
    """Nothing is drawn at the ends; between them the strength makes another sound than the mixture."""
    pair, shares = (0.5 * sound(1), 0.1 * sound(2, 0.3)), np.array([0, 0.5, 1])
    mixed, drawn = (
        [take.sound for take in morph(sampler, pair, REQUEST, shares, s)] for s in (0, 0.6)
    )
    assert [take.shape for take in drawn] == [(1, RATE // 2)] * 3
    assert np.array_equal(mixed[0], drawn[0])
    assert mel_distance(torch.from_numpy(mixed[1]), torch.from_numpy(drawn[1])) > 0.05
    own = reconstruct_generated(sampler.autoencoder, 0.8 * pair[0] / np.abs(pair[0]).max())
    itself, start = (scale_peak(torch.from_numpy(take)) for take in (own, drawn[0]))
    assert mel_distance(itself, start) < 0.01
    assert audio.levelling_loudness(drawn[0]) == pytest.approx(
        audio.levelling_loudness(pair[0]), abs=0.2
    )
    assert (
        audio.levelling_loudness(drawn[0])
        > audio.levelling_loudness(drawn[1])
        > audio.levelling_loudness(drawn[2])
    )


def test_what_cannot_be_morphed_is_refused(sampler: Sampler) -> None:
    """Shares outside of the way, several sounds of one request, and silence."""
    pair = (sound(1), sound(2))
    with pytest.raises(ValueError, match="shares must be from 0 to 1"):
        next(morph(sampler, pair, REQUEST, np.array([1.5]), 0.5))
    several = Request(["a", "b"], seconds=0.5, seed=1)
    with pytest.raises(ValueError, match="of one request for one sound, not 2"):
        next(morph(sampler, pair, several, np.array([0.5]), 0.5))
    with pytest.raises(ValueError, match="the sound is silent"):
        next(morph(sampler, (pair[0], 0 * pair[1]), REQUEST, np.array([0.5]), 0.5))
