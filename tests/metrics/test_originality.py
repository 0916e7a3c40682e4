"""Distances between clips of one set and another."""

import pytest
import torch

from tests.metrics.signals import noise
from woosh.metrics.originality import (
    mean_pairwise_distance,
    originality,
    pairwise_distances,
    recording_distances,
)


def test_pairwise_distances() -> None:
    first, second = noise(7, 40), noise(5, 40, seed=1)
    second[2] = first[4]
    distances = pairwise_distances(first, second)
    expected = (first[:, None].double() - second[None].double()).norm(dim=-1)
    assert torch.allclose(distances, expected)
    assert distances[4, 2] == 0


def test_mean_pairwise_distance() -> None:
    corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    assert mean_pairwise_distance(corners).item() == pytest.approx((3 + 4 + 5) / 3)
    assert mean_pairwise_distance(corners[:1].expand(4, 2)) == 0
    with pytest.raises(ValueError, match="at least two"):
        mean_pairwise_distance(corners[:1])


def test_planted_copies_are_found() -> None:
    recordings = recording_distances(noise(30, 12), [str(index) for index in range(30)])
    training, outputs = noise(29, 12, seed=1), noise(20, 12, seed=2)
    honest = originality(outputs, training, recordings)
    outputs[:5] = training[20:25]
    planted = originality(outputs, training, recordings)
    assert honest.copied < 0.2 < 0.25 <= planted.copied
    assert planted.copied <= planted.below_nearest <= planted.below_pair
    assert honest.spread == pytest.approx(1, abs=0.1)


def test_collapse_shows_as_little_spread() -> None:
    recordings = recording_distances(noise(30, 12), [str(index) for index in range(30)])
    outputs = noise(1, 12, seed=3) + 0.05 * noise(20, 12, seed=2)
    assert originality(outputs, noise(9, 12, seed=1), recordings).spread < 0.1


def test_clips_of_one_recording_are_not_compared() -> None:
    rows = torch.tensor([[0.0], [0.1], [3.0], [7.0]])
    distances = recording_distances(rows, ["a", "a", "b", "c"])
    assert torch.allclose(distances.nearest, torch.tensor([3.0, 2.9, 2.9, 4.0]).double())
    assert len(distances.pairs) == 5
    with pytest.raises(ValueError, match="nothing to compare"):
        recording_distances(rows, ["a"] * 4)
