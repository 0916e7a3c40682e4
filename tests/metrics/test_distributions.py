"""Frechet and kernel distances, against closed forms and independent implementations."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist, pdist
from torch import Tensor

from tests.metrics.signals import noise, seeded
from woosh.metrics import distributions
from woosh.metrics.distributions import (
    Statistics,
    frechet_distance,
    frechet_distance_infinity,
    kernel_distance,
    median_distance,
    squared_distances,
    statistics_distance,
)


def test_frechet_distance_closed_forms() -> None:
    first = noise(500, 6)
    assert frechet_distance(first, first).item() == pytest.approx(0, abs=1e-9)
    assert frechet_distance(first, first + 2).item() == pytest.approx(6 * 4, rel=1e-6)
    spread = torch.cov(first.T).trace().item()
    centred = first - first.mean(dim=0)
    assert frechet_distance(centred, 3 * centred).item() == pytest.approx(4 * spread, rel=1e-5)


def exactly(mean: Tensor, covariance: Tensor, count: int = 100) -> Statistics:
    return Statistics(count, mean, covariance * (count - 1))


def test_frechet_distance_of_commuting_normal_distributions_is_the_closed_form() -> None:
    turned = torch.linalg.qr(noise(5, 5).double()).Q
    deviations = noise(2, 5, seed=1).double().abs()
    means = noise(2, 5, seed=2).double()
    first, second = (
        exactly(mean, turned * deviation.square() @ turned.T)
        for mean, deviation in zip(means, deviations, strict=True)
    )
    expected = (means[0] - means[1]).square().sum() + (deviations[0] - deviations[1]).square().sum()
    assert statistics_distance(first, second).item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("rows", [400, 5])
def test_frechet_distance_equals_the_matrix_root(rows: int) -> None:
    mix = noise(6, 6, seed=3)
    first, second = noise(400, 6), noise(rows, 6, seed=1) @ mix + 0.1
    means = first.double().mean(0) - second.double().mean(0)
    covariances = [np.cov(rows.double().numpy().T) for rows in (first, second)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    expected = means.square().sum().item() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(first, second).item() == pytest.approx(expected, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_set_has_no_frechet_distance_to_itself_in_many_dimensions(scale: float) -> None:
    embeddings = scale * noise(300, 256).abs()  # the covariance is nearly singular
    assert frechet_distance(embeddings, embeddings).item() == pytest.approx(0, abs=1e-6)


def test_frechet_distance_needs_two_rows_of_the_same_width() -> None:
    with pytest.raises(ValueError, match="at least two rows"):
        frechet_distance(noise(1, 4), noise(5, 4))
    with pytest.raises(ValueError, match="of width 4 and 5 of width 3"):
        frechet_distance(noise(5, 4), noise(5, 3))


@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 1)
)
def test_statistics_of_blocks_are_those_of_the_whole(sizes: list[int]) -> None:
    rows = noise(sum(sizes), 3) + 1000  # far from 0, where a naive sum of squares loses everything
    streamed = Statistics.empty(3)
    for block in rows.split(sizes):
        streamed = streamed.merged(Statistics.of(block))
    assert streamed.count == len(rows)
    assert torch.allclose(streamed.mean, rows.double().mean(dim=0), rtol=1e-12)
    assert np.allclose(streamed.covariance, np.cov(rows.double().numpy().T), rtol=1e-8, atol=1e-10)


def test_statistics_take_the_same_memory_for_any_number_of_rows() -> None:
    few, many = Statistics.of(noise(2, 8)), Statistics.of(noise(5000, 8))
    assert few.scatter.shape == many.scatter.shape == (8, 8)
    assert few.mean.dtype == many.scatter.dtype == torch.float64


def test_statistics_refuse_what_they_cannot_describe() -> None:
    with pytest.raises(ValueError, match="1 rows have no covariance"):
        _ = Statistics.of(noise(1, 3)).covariance
    with pytest.raises(ValueError, match="width 3 and 4"):
        Statistics.empty(3).merged(Statistics.empty(4))
    with pytest.raises(ValueError, match=r"must be \(clips, width\)"):
        Statistics.of(noise(4))
    broken = noise(5, 3)
    broken[3, 1], broken[4, 0] = math.nan, math.inf
    with pytest.raises(ValueError, match=r"2 of 5 embeddings hold NaN or infinity.* row 3"):
        Statistics.of(broken)


def test_frechet_distance_infinity_removes_the_bias_of_the_size() -> None:
    width = 8
    reference = exactly(torch.zeros(width).double(), torch.eye(width).double())
    biased, corrected = [], []
    for seed in range(8):
        generated = 5 * noise(300, width, seed=seed)  # of deviation 1: the distance is 0
        biased.append(statistics_distance(Statistics.of(generated), reference).item())
        corrected.append(frechet_distance_infinity(generated, reference, seeded(seed)).value)
    assert np.mean(biased) > 0.05
    assert abs(np.mean(corrected)) < 0.3 * np.mean(biased)


def test_frechet_distance_infinity_is_the_intercept_of_its_points() -> None:
    generated, reference = noise(200, 4), Statistics.of(noise(300, 4, seed=1))
    result = frechet_distance_infinity(generated, reference, seeded(), points=6)
    sizes, distances = zip(*result.points, strict=True)
    assert sizes == (20, 56, 92, 128, 164, 200)
    design = np.stack([np.ones(6), 1 / np.array(sizes)], axis=1)
    expected = np.linalg.lstsq(design, np.array(distances), rcond=None)[0]
    assert [result.value, result.slope] == pytest.approx(expected.tolist(), rel=1e-6)
    whole = statistics_distance(Statistics.of(generated), reference).item()
    assert distances[-1] == pytest.approx(whole, rel=1e-9)
    assert frechet_distance_infinity(generated, reference, seeded(), points=6) == result


def test_frechet_distance_infinity_refuses_too_few_clips() -> None:
    reference = Statistics.of(noise(30, 4))
    with pytest.raises(ValueError, match="9 clips are too few .* at least 10"):
        frechet_distance_infinity(noise(9, 4), reference, seeded())
    with pytest.raises(ValueError, match="two of width 5"):
        frechet_distance_infinity(noise(30, 5), reference, seeded())


def double_sum(first: np.ndarray, second: np.ndarray, bandwidth: float) -> float:
    """The unbiased squared MMD pair by pair, from its definition."""

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return math.exp(-np.square(x - y).sum() / (2 * bandwidth**2))

    def within(rows: np.ndarray) -> float:
        pairs = [kernel(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
        return sum(pairs) / (len(rows) * (len(rows) - 1))

    across = [kernel(x, y) for x in first for y in second]
    return within(first) + within(second) - 2 * sum(across) / len(across)


@pytest.mark.parametrize("block", [7, 1024])
def test_kernel_distance_equals_the_double_sum(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributions, "BLOCK_ROWS", block)
    generated, reference = noise(23, 5) + 0.1 + 30, noise(31, 5, seed=1) + 30
    result = kernel_distance(generated, reference, seeded())
    bandwidth = float(np.sort(pdist(reference.double().numpy()))[(31 * 30 // 2 - 1) // 2])
    assert result.bandwidth == pytest.approx(bandwidth, rel=1e-6)
    expected = 100 * double_sum(generated.double().numpy(), reference.double().numpy(), bandwidth)
    assert result.value == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_has_no_bias() -> None:
    values = [
        kernel_distance(noise(40, 4, seed=s), noise(40, 4, seed=1000 + s), seeded(), halves=2).value
        for s in range(200)
    ]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(len(values))


def test_the_standard_error_is_the_spread_over_other_clips() -> None:
    results = [
        kernel_distance(0.3 + noise(60, 4, seed=seed), noise(80, 4, seed=1000 + seed), seeded())
        for seed in range(60)
    ]
    spread = np.std([result.value for result in results])
    claimed = np.mean([result.standard_error for result in results])
    assert claimed == pytest.approx(spread, rel=0.25)


def test_kernel_distance_grows_with_the_shift_and_repeats_bit_by_bit() -> None:
    reference = noise(80, 6)
    generated = noise(60, 6, seed=1)
    values = [
        kernel_distance(generated + shift, reference, seeded()).value for shift in (0, 0.1, 0.3)
    ]
    assert values == sorted(values)
    assert kernel_distance(generated, reference, seeded(3)) == kernel_distance(
        generated, reference, seeded(3)
    )


def test_kernel_distance_refuses_what_has_none() -> None:
    with pytest.raises(ValueError, match="at least four rows"):
        kernel_distance(noise(3, 4), noise(9, 4), seeded())
    with pytest.raises(ValueError, match="same width"):
        kernel_distance(noise(9, 4), noise(9, 5), seeded())
    with pytest.raises(ValueError, match="more than half of the pairs"):
        kernel_distance(noise(9, 4), torch.zeros(9, 4), seeded())


def test_a_large_reference_is_drawn_from_for_the_bandwidth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = noise(300, 4).double()
    exact = median_distance(rows, seeded())
    monkeypatch.setattr(distributions, "BANDWIDTH_ROWS", 150)
    drawn = median_distance(rows, seeded())
    assert drawn != exact
    assert drawn == pytest.approx(exact, rel=0.05)


def test_squared_distances_equal_scipy() -> None:
    first, second = noise(9, 7).double(), noise(5, 7, seed=1).double()
    expected = cdist(first.numpy(), second.numpy(), "sqeuclidean")
    assert np.allclose(squared_distances(first, second), expected, rtol=1e-10, atol=1e-14)
