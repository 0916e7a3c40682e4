"""Synchrony: matching against brute force, chance, loudness and embeddings."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from woosh.metrics.onsets import matched_pairs, onset_f_measure
from woosh.metrics.synchrony import (
    alignment,
    chance_alignment,
    embedding_cosine,
    loudness_correlation,
    loudness_course,
    onsets_of,
)
from woosh.scenes import generate_scene

RATE = 48_000
times = st.lists(st.integers(0, 60), max_size=5).map(lambda t: [n / 100 for n in sorted(t)])


def most_pairs(wanted: list[float], found: list[float], tolerance: float) -> int:
    """The largest one-to-one matching, by trying all."""
    best = 0
    for size in range(1, min(len(wanted), len(found)) + 1):
        for chosen in itertools.combinations(wanted, size):
            for partners in itertools.permutations(found, size):
                if all(abs(a - b) <= tolerance for a, b in zip(chosen, partners, strict=True)):
                    best = size
    return best


@given(wanted=times, found=times, tolerance=st.sampled_from([0.0105, 0.0505, 0.1005]))
def test_as_many_pairs_as_there_can_be(
    wanted: list[float], found: list[float], tolerance: float
) -> None:
    pairs = matched_pairs(wanted, found, tolerance)
    assert len(pairs) == most_pairs(wanted, found, tolerance)
    assert all(abs(a - b) <= tolerance for a, b in pairs)
    score = alignment([(wanted, found)], [tolerance])[0]
    other = onset_f_measure(torch.tensor(wanted), torch.tensor(found), tolerance)
    assert score.f1 == pytest.approx(other)


def test_scores_of_known_clips() -> None:
    clips = [([1.0, 2.0, 3.0], [1.03, 2.5, 2.985]), ([0.5], [])]
    tight, middle, loose = alignment(clips)
    assert (tight.precision, tight.recall) == (pytest.approx(1 / 3), pytest.approx(1 / 4))
    assert (middle.precision, middle.recall) == (pytest.approx(2 / 3), pytest.approx(2 / 4))
    assert middle.f1 == loose.f1 == pytest.approx(4 / 7)
    assert middle.offset == pytest.approx(0.0075)
    assert alignment([([], [])])[0].f1 == 1
    assert alignment([([1.0], [])])[0].offset is None
    with pytest.raises(ValueError, match="no clip"):
        alignment([])
    with pytest.raises(ValueError, match="must rise"):
        alignment([([2.0, 1.0], [])])


def test_chance_is_what_strangers_reach() -> None:
    rng = np.random.default_rng(0)
    clips = [(t, t) for t in (sorted(rng.uniform(0, 8, 10).tolist()) for _ in range(40))]
    assert alignment(clips)[1].f1 == 1
    # 10 moments in 8 s, each met within 50 ms: about 10 * 0.1 / 8 of the onsets meet one.
    assert chance_alignment(clips)[1] == pytest.approx(0.11, abs=0.03)
    with pytest.raises(ValueError, match="two clips or more"):
        chance_alignment(clips[:1])


def test_the_scenes_own_sound_is_synchronous() -> None:
    clips = []
    for seed in range(12):
        clip = generate_scene(seed, ("hammer", "ball", "dripping", "door")[seed % 4], 6.0, 8)
        clips.append((clip.events, onsets_of(torch.from_numpy(clip.audio), RATE)))
    scores = alignment(clips)
    assert scores[1].f1 > 0.85
    assert abs(scores[1].offset or 1) < 0.015
    assert chance_alignment(clips)[1] < 0.3


def test_loudness_follows() -> None:
    intensity = torch.linspace(0, 1, 96)
    noise = torch.randn(4 * RATE, generator=torch.Generator().manual_seed(0))
    swelling = noise * 10 ** (1.5 * torch.linspace(0, 1, 4 * RATE) - 1.5)
    assert loudness_correlation(swelling, RATE, intensity, 24) > 0.97
    assert loudness_correlation(swelling.flip(0), RATE, intensity, 24) < -0.97
    assert abs(loudness_correlation(noise, RATE, intensity, 24)) < 0.3
    assert loudness_correlation(torch.zeros(4 * RATE), RATE, intensity, 24) == 0
    course = loudness_course(torch.full((2, RATE), 0.1), RATE, 24, 24)
    np.testing.assert_allclose(course, -20, atol=1e-5)


def test_embedding_cosine() -> None:
    sounds = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert embedding_cosine(sounds, torch.tensor([[3.0, 0.0], [1.0, 0.0]])) == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"both be \(N, D\)"):
        embedding_cosine(sounds, sounds[:1])
