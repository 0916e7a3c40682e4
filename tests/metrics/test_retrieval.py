"""Retrieval metrics against brute force, the protocols' own rules, and random orders."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.signals import noise, seeded
from woosh.metrics.retrieval import (
    audio_to_text,
    caption_set,
    chance_recall,
    clap_score,
    cosine_scores,
    retrieval,
    text_to_audio,
)


def by_brute_force(scores: np.ndarray, relevant: np.ndarray) -> tuple[list[int], list[float]]:
    """First ranks and average precisions, candidate by candidate; ties stand as badly as they can."""
    ranks, precisions = [], []
    for row, right in zip(scores, relevant, strict=True):
        order = sorted(range(len(row)), key=lambda item: (-row[item], right[item]))
        places = [place for place, item in enumerate(order, start=1) if right[item]]
        ranks.append(places[0])
        found = [(hit + 1) / place for hit, place in enumerate(places) if place <= 10]
        precisions.append(sum(found) / min(10, len(places)))
    return ranks, precisions


@given(data=st.data(), queries=st.integers(1, 12), candidates=st.integers(1, 25))
def test_everything_equals_brute_force(data: st.DataObject, queries: int, candidates: int) -> None:
    seed = data.draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, data.draw(st.sampled_from([2, 5, 10**6])), (queries, candidates))
    relevant = rng.random((queries, candidates)) < 0.2
    relevant[np.arange(queries), rng.integers(0, candidates, queries)] = True
    ranks, precisions = by_brute_force(scores, relevant)
    result = retrieval(torch.from_numpy(scores).double(), torch.from_numpy(relevant))
    for depth, recall in (
        (1, result.recall_at_1),
        (5, result.recall_at_5),
        (10, result.recall_at_10),
    ):
        assert recall == pytest.approx(np.mean([rank <= depth for rank in ranks]))
    assert result.map_at_10 == pytest.approx(np.mean(precisions))
    assert result.median_rank == pytest.approx(np.median(ranks))
    assert (result.queries, result.candidates) == (queries, candidates)


def test_perfect_and_constant_scores() -> None:
    relevant = torch.eye(30, dtype=torch.bool)
    perfect = retrieval(torch.eye(30), relevant)
    assert perfect[:5] == (1, 1, 1, 1, 1)
    constant = retrieval(torch.zeros(30, 30), relevant)
    assert constant[:5] == (0, 0, 0, 0, 30)  # never right by luck


def test_reciprocal_rank_with_one_right_answer_as_in_dcase() -> None:
    scores = torch.arange(20.0).flip(0).repeat(3, 1)
    relevant = torch.zeros(3, 20, dtype=torch.bool)
    for query, place in enumerate((1, 4, 11)):
        relevant[query, place - 1] = True
    assert retrieval(scores, relevant).map_at_10 == pytest.approx((1 + 1 / 4 + 0) / 3)


def test_five_captions_per_clip_as_in_audiocaps() -> None:
    clips, per_clip = 7, 5
    scores = noise(clips * per_clip, clips)
    owners = torch.arange(clips).repeat_interleave(per_clip)
    relevant = owners[:, None] == torch.arange(clips)
    text = text_to_audio(scores, relevant)
    assert text.queries == 35
    own = scores[torch.arange(35), owners][:, None]
    assert text.recall_at_1 == pytest.approx(((scores > own).sum(1) == 0).double().mean().item())
    audio = audio_to_text(scores, relevant)
    # The rank of the best of a clip's captions: one more than the strangers' captions above it.
    best = scores.masked_fill(~relevant, -math.inf).amax(dim=0)
    ranks = 1 + ((scores > best) & ~relevant).sum(dim=0)
    assert audio.queries == 7
    assert audio.candidates == 35
    assert audio.recall_at_5 == pytest.approx((ranks <= 5).double().mean().item())
    assert audio.median_rank == ranks.double().median().item()


def test_clips_that_share_a_caption_are_right_for_it() -> None:
    found = caption_set([["Rain", "a storm"], ["rain "], ["a  Storm", "wind"]])
    assert found.captions == ("Rain", "a storm", "rain ", "a  Storm", "wind")
    assert found.owners == (0, 0, 1, 2, 2)
    expected = [[1, 1, 0], [1, 0, 1], [1, 1, 0], [1, 0, 1], [0, 0, 1]]
    assert found.relevant.int().tolist() == expected
    with pytest.raises(ValueError, match="1 clips have no caption, the first is number 1"):
        caption_set([["a"], []])


def test_chance_is_what_random_orders_reach() -> None:
    rng = np.random.default_rng(0)
    relevant = torch.from_numpy(rng.random((40, 23)) < 0.15)
    relevant[torch.arange(40), torch.from_numpy(rng.integers(0, 23, 40))] = True
    trials = [
        retrieval(torch.rand(40, 23, generator=seeded(seed)), relevant)[:3] for seed in range(400)
    ]
    assert chance_recall(relevant) == pytest.approx(np.mean(trials, axis=0), abs=0.012)


def test_chance_with_one_right_answer_is_depth_over_candidates() -> None:
    assert chance_recall(torch.eye(187, dtype=torch.bool)) == pytest.approx(
        (1 / 187, 5 / 187, 10 / 187)
    )
    assert chance_recall(torch.eye(4, dtype=torch.bool)) == pytest.approx((1 / 4, 1, 1))


def test_cosines_and_clap_score() -> None:
    text, audio = noise(6, 4), noise(6, 4, seed=1)
    expected = torch.nn.functional.cosine_similarity(
        text[:, None].double(), audio[None].double(), dim=-1
    )
    assert torch.allclose(cosine_scores(text, audio), expected)
    assert clap_score(text, audio) == pytest.approx(expected.diagonal().mean().item())
    assert clap_score(text, 3 * text) == pytest.approx(1)
    assert clap_score(text, -text) == pytest.approx(-1)


def test_what_cannot_be_ranked_is_refused() -> None:
    relevant = torch.eye(3, dtype=torch.bool)
    scores = torch.zeros(3, 3)
    scores[1, 1] = math.nan
    with pytest.raises(ValueError, match="NaN"):
        retrieval(scores, relevant)
    with pytest.raises(ValueError, match="differ in shape"):
        retrieval(torch.zeros(2, 3), relevant)
    with pytest.raises(ValueError, match="boolean matrix"):
        chance_recall(relevant.float())
    relevant[2] = False
    with pytest.raises(
        ValueError, match="1 queries have no right candidate, the first is number 2"
    ):
        retrieval(torch.zeros(3, 3), relevant)
    with pytest.raises(ValueError, match="same width"):
        cosine_scores(noise(2, 3), noise(2, 4))
    with pytest.raises(ValueError, match="audio embeddings hold a row that is zero"):
        clap_score(noise(2, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="form no pairs"):
        clap_score(noise(2, 3), noise(3, 3))
