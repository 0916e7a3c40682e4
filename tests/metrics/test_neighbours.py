"""Precision, recall, density and coverage, against brute force and cases that are known."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from tests.metrics.signals import noise
from woosh.metrics import neighbours
from woosh.metrics.neighbours import density_coverage, neighbour_radii, precision_recall


def radii_by_sorting(rows: np.ndarray, count: int) -> np.ndarray:
    return np.sort(cdist(rows, rows), axis=1)[:, count]  # the first is the row itself


@pytest.mark.parametrize("block", [5, 1024])
def test_all_four_equal_brute_force(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_ROWS", block)
    generated, reference = 1.3 * noise(41, 3) + 5.1, noise(33, 3, seed=1) + 5
    ours, theirs = generated.double().numpy(), reference.double().numpy()
    distances = cdist(ours, theirs)
    for count in (1, 3, 5):
        reach = radii_by_sorting(theirs, count)
        own_reach = radii_by_sorting(ours, count)
        precision = np.mean([(row <= reach).any() for row in distances])
        recall = np.mean([(column <= own_reach).any() for column in distances.T])
        assert precision_recall(generated, reference, count) == pytest.approx((precision, recall))
        density = sum(int((row < reach).sum()) for row in distances) / (count * len(ours))
        coverage = np.mean(
            [column.min() < radius for column, radius in zip(distances.T, reach, strict=True)]
        )
        assert density_coverage(generated, reference, count) == pytest.approx((density, coverage))


def test_a_set_compared_with_itself_is_perfect() -> None:
    embeddings = noise(50, 6) + 100
    shuffled = embeddings[torch.randperm(50, generator=torch.Generator().manual_seed(1))]
    assert precision_recall(shuffled, embeddings) == (1, 1)
    assert density_coverage(shuffled, embeddings) == pytest.approx((1, 1))


def test_sets_far_apart_share_nothing() -> None:
    assert precision_recall(noise(20, 3) + 9, noise(20, 3)) == (0, 0)
    assert density_coverage(noise(20, 3) + 9, noise(20, 3)) == (0, 0)


def test_a_collapsed_generator_is_precise_without_recall_or_coverage() -> None:
    reference = noise(200, 4)
    generated = reference[:1] + 0.001 * noise(200, 4, seed=1)
    precision, recall = precision_recall(generated, reference)
    assert precision == 1
    assert recall < 0.05
    assert density_coverage(generated, reference).coverage < 0.2


def test_density_and_coverage_take_a_single_generated_clip() -> None:
    reference = torch.arange(10.0)[:, None]
    assert density_coverage(torch.tensor([[0.1]]), reference, 2) == pytest.approx((1, 0.2))


def test_radii_of_known_points() -> None:
    points = torch.tensor([[0.0], [1.0], [3.0], [7.0]]).double()
    assert neighbour_radii(points, 1).tolist() == [1, 1, 4, 16]
    assert neighbour_radii(points, 2).tolist() == [9, 4, 9, 36]


def test_too_few_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="3 neighbours"):
        precision_recall(noise(3, 2), noise(9, 2))
    with pytest.raises(ValueError, match="5 neighbours"):
        density_coverage(noise(9, 2), noise(5, 2))
    with pytest.raises(ValueError, match="same width"):
        precision_recall(noise(9, 2), noise(9, 3))
