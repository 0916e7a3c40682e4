"""How far apart two sets of embeddings are: Frechet distance and kernel distance.

Everything is computed on the CPU in float64, whatever the embeddings come as.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

KERNEL_SCALE = 100.0  # of the kernel distance, as in kadtk, the toolkit of its authors
BANDWIDTH_ROWS = 10_000  # of the reference set, whose pairs decide the bandwidth: 200 MB of them
BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Statistics:
    """Number, mean and covariance of a set of embeddings, in memory that does not grow with the set.

    A set of any size is described block by block:

        statistics = Statistics.empty(width)
        for block in blocks:
            statistics = statistics.merged(Statistics.of(block))

    Attributes:
        count: rows seen.
        mean: (D,) float64; zeros before the first row.
        scatter: (D, D) float64, the sum of outer products of the deviations from the mean.
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def empty(cls, width: int) -> Statistics:
        """Of no rows at all."""
        return cls(
            0,
            torch.zeros(width, dtype=torch.float64),
            torch.zeros(width, width, dtype=torch.float64),
        )

    @classmethod
    def of(cls, embeddings: Tensor) -> Statistics:
        """Of the rows of (N, D).

        Raises:
            ValueError: If it is no matrix or holds a value that is not finite.
        """
        rows = as_rows(embeddings)
        if len(rows) == 0:
            return cls.empty(rows.shape[1])
        mean = rows.mean(dim=0)
        deviations = rows - mean
        return cls(len(rows), mean, deviations.T @ deviations)

    def merged(self, other: Statistics) -> Statistics:
        """Of both sets together (Chan, Golub and LeVeque 1979).

        Raises:
            ValueError: If the widths differ.
        """
        if self.mean.shape != other.mean.shape:
            raise ValueError(
                f"statistics of width {len(self.mean)} and {len(other.mean)} cannot be merged"
            )
        count = self.count + other.count
        if count == 0:
            return self
        shift = other.mean - self.mean
        share = other.count / count
        scatter = self.scatter + other.scatter + self.count * share * torch.outer(shift, shift)
        return Statistics(count, self.mean + share * shift, scatter)

    @property
    def covariance(self) -> Tensor:
        """(D, D), unbiased.

        Raises:
            ValueError: If there are fewer than two rows.
        """
        if self.count < 2:
            raise ValueError(f"{self.count} rows have no covariance: at least two are needed")
        return self.scatter / (self.count - 1)


def as_rows(embeddings: Tensor) -> Tensor:
    """The embeddings (N, D) in float64 on the CPU.

    Raises:
        ValueError: If they are no matrix or hold a value that is not finite.
    """
    if embeddings.ndim != 2:
        raise ValueError(f"embeddings must be (clips, width), got {tuple(embeddings.shape)}")
    rows = embeddings.detach().cpu().double()
    broken = (~rows.isfinite().all(dim=1)).nonzero().flatten().tolist()
    if broken:
        raise ValueError(
            f"{len(broken)} of {len(rows)} embeddings hold NaN or infinity, the first is row "
            f"{broken[0]}: leave these clips out"
        )
    return rows


def frechet_distance(first: Tensor, second: Tensor) -> Tensor:
    """Frechet distance of the normal distributions fitted to two sets: see `statistics_distance`.

    Args:
        first: Embeddings (N, D), N >= 2.
        second: Embeddings (M, D), M >= 2.

    Returns:
        A float64 scalar, at least 0 up to rounding.

    Raises:
        ValueError: If a set has fewer than two rows or the widths differ.
    """
    return statistics_distance(Statistics.of(first), Statistics.of(second))


def statistics_distance(first: Statistics, second: Statistics) -> Tensor:
    """Frechet distance of two normal distributions (Heusel et al., 1706.08500, eq. 6).

    ``|m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2))``, the last trace being the sum of the
    singular values of ``C1^(1/2) C2^(1/2)``. It is the squared distance, as everybody reports it.
    A finite set gives too large a value; with as many rows as columns or fewer, the covariance is
    singular and the value says little.

    Returns:
        A float64 scalar, at least 0 up to rounding.

    Raises:
        ValueError: If a set has fewer than two rows or the widths differ.
    """
    if min(first.count, second.count) < 2 or first.mean.shape != second.mean.shape:
        raise ValueError(
            f"sets of {first.count} rows of width {len(first.mean)} and {second.count} of width "
            f"{len(second.mean)} have no Frechet distance: both need at least two rows and the "
            "same width"
        )
    return _distance_to(first, _matrix_root(first.covariance), second)


def _distance_to(first: Statistics, first_root: Tensor, second: Statistics) -> Tensor:
    shift = (first.mean - second.mean).square().sum()
    traces = first.covariance.trace() + second.covariance.trace()
    overlap = torch.linalg.svdvals(first_root @ _matrix_root(second.covariance)).sum()
    return shift + traces - 2.0 * overlap


def _matrix_root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0.0).sqrt() @ vectors.T


class Extrapolation(NamedTuple):
    """A distance that is followed from growing subsets to an infinite set."""

    value: float  # where the line meets 1 / size = 0
    slope: float  # the bias of one clip: the distance at size N is about value + slope / N
    points: tuple[tuple[int, float], ...]  # size of the subset, its distance


def frechet_distance_infinity(
    generated: Tensor, reference: Statistics, generator: Generator, points: int = 15
) -> Extrapolation:
    """FD-infinity: the Frechet distance that infinitely many generated clips would have.

    The bias of the distance is nearly linear in 1 / N (Chong and Forsyth, 1911.07023): subsets of
    growing size are drawn without repetition, and a line fitted by least squares over 1 / size is
    read at 0. The reference stays as it is, and so does the bias of its own finite size.

    Args:
        generated: Embeddings (N, D), N >= 2 (D + 1).
        reference: Statistics of width D, of at least two rows.
        generator: Of the subsets.
        points: Number of subsets; their sizes are evenly spaced from max(D + 1, N / 10) to N.

    Raises:
        ValueError: If there are too few clips, or the widths differ.
    """
    rows = as_rows(generated)
    count, width = rows.shape
    if count < 2 * (width + 1):
        raise ValueError(
            f"{count} clips are too few to extrapolate a Frechet distance of width {width}: "
            f"at least {2 * (width + 1)} are needed"
        )
    if reference.count < 2 or len(reference.mean) != width:
        raise ValueError(
            f"the reference has {reference.count} rows of width {len(reference.mean)}: at least "
            f"two of width {width} are needed"
        )
    root = _matrix_root(reference.covariance)
    sizes = np.linspace(max(width + 1, count // 10), count, points).round().astype(int)
    measured = []
    for size in sizes.tolist():
        subset = rows[torch.randperm(count, generator=generator)[:size]]
        measured.append((size, float(_distance_to(reference, root, Statistics.of(subset)))))
    slope, value = np.polyfit(1.0 / sizes, [distance for _, distance in measured], deg=1)
    return Extrapolation(float(value), float(slope), tuple(measured))


class KernelDistance(NamedTuple):
    """A kernel distance and how sure it is."""

    value: float  # may be below 0: the estimate has no bias
    standard_error: float  # of the value, for other clips of the same two sources
    bandwidth: float  # of the kernel, in the units of the embedding


def kernel_distance(
    generated: Tensor, reference: Tensor, generator: Generator, halves: int = 100
) -> KernelDistance:
    """Kernel audio distance (KAD, 2502.15602): 100 times the unbiased squared MMD.

    The kernel is ``exp(-|x - y|^2 / (2 s^2))``, its bandwidth s the median distance between the
    clips of the reference set, so that the two sets cannot be exchanged. The factor of 100 is that
    of kadtk, the authors' toolkit; the estimator is Gretton et al. 2012, eq. 3.

    The standard error comes from random halves of both sets, drawn without repetition: the
    deviation of a mean over half of the rows equals the standard error of the mean over all
    (delete-half jackknife, Shao and Wu 1989).

    Args:
        generated: Embeddings (N, D), N >= 4.
        reference: Embeddings (M, D), M >= 4. Of more than 10,000, as many drawn at random decide
            the bandwidth.
        generator: Of the halves and of that draw.
        halves: How many halves are drawn.

    Raises:
        ValueError: If a set has fewer than four rows, the widths differ, or more than half of the
            reference's pairs are equal.
    """
    first, second = as_rows(generated), as_rows(reference)
    if min(len(first), len(second)) < 4 or first.shape[1] != second.shape[1]:
        raise ValueError(
            f"sets of shapes {tuple(first.shape)} and {tuple(second.shape)} have no kernel "
            "distance: both need at least four rows and the same width"
        )
    centre = second.mean(dim=0)  # near 0 the product form of the distances is exact
    first, second = first - centre, second - centre
    bandwidth = median_distance(second, generator)
    if bandwidth == 0.0:
        raise ValueError(
            f"more than half of the pairs of the {len(second)} reference clips are equal, so the "
            "kernel has no bandwidth: are they silent, or copies?"
        )
    weights = [_halves(len(rows), halves, generator) for rows in (first, second)]
    own = [
        _kernel_sums(rows, rows, bandwidth, weight, weight, own=True)
        for rows, weight in zip((first, second), weights, strict=True)
    ]
    across = _kernel_sums(first, second, bandwidth, *weights, own=False)
    sizes = [weight.sum(dim=0) for weight in weights]
    within = sum(total / (size * (size - 1)) for total, size in zip(own, sizes, strict=True))
    estimates = KERNEL_SCALE * (within - 2.0 * across / (sizes[0] * sizes[1]))
    return KernelDistance(float(estimates[0]), float(estimates[1:].std()), bandwidth)


def median_distance(rows: Tensor, generator: Generator) -> float:
    """Median Euclidean distance between different rows of (N, D): the lower one of an even number.

    Args:
        rows: N >= 2.
        generator: Draws 10,000 of the rows where there are more.
    """
    if len(rows) > BANDWIDTH_ROWS:
        rows = rows[torch.randperm(len(rows), generator=generator)[:BANDWIDTH_ROWS]]
    count = len(rows)
    squares = np.empty(count * (count - 1) // 2, dtype=np.float32)
    filled = 0
    for start, block in _blocks(rows):
        distances = squared_distances(block, rows[start:]).float().numpy()
        for row in range(len(block)):
            others = distances[row, row + 1 :]
            squares[filled : filled + len(others)] = others
            filled += len(others)
    middle = (len(squares) - 1) // 2
    squares.partition(middle)
    return float(np.sqrt(squares[middle]))


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """Squared Euclidean distances (N, M) between rows of (N, D) and (M, D), by products.

    Exact to rounding of the squared lengths of the rows; `originality.pairwise_distances` takes
    differences instead, which takes many times as long.
    """
    lengths = first.square().sum(dim=1)[:, None] + second.square().sum(dim=1)
    return (lengths - 2.0 * first @ second.T).clamp(min=0.0)


def _halves(count: int, halves: int, generator: Generator) -> Tensor:
    """Weights (N, 1 + halves): all rows in the first column, a random half in each other one."""
    weights = torch.zeros(count, 1 + halves, dtype=torch.float64)
    weights[:, 0] = 1.0
    for column in range(1, 1 + halves):
        weights[torch.randperm(count, generator=generator)[: count // 2], column] = 1.0
    return weights


def _kernel_sums(
    first: Tensor,
    second: Tensor,
    bandwidth: float,
    first_weights: Tensor,
    second_weights: Tensor,
    own: bool,
) -> Tensor:
    """Sums of the kernel over the weighted pairs (R,); of a set with itself, over different rows."""
    total = torch.zeros(first_weights.shape[1], dtype=torch.float64)
    for start, block in _blocks(first):
        kernel = torch.exp(squared_distances(block, second) / (-2.0 * bandwidth**2))
        if own:
            kernel[range(len(block)), range(start, start + len(block))] = 0.0
        part = first_weights[start : start + len(block)]  # (block, R)
        total += (part * (kernel @ second_weights)).sum(dim=0)
    return total


def _blocks(rows: Tensor) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(rows), BLOCK_ROWS):
        yield start, rows[start : start + BLOCK_ROWS]
