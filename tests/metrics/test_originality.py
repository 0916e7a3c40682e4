"""Distances between clips of one set and another."""

import pytest
import torch

from tests.metrics.signals import noise
from woosh.metrics.originality import mean_pairwise_distance, pairwise_distances


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
