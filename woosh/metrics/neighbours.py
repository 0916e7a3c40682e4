"""Fidelity and variety of a generated set by nearest neighbours in an embedding."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from woosh.metrics.distributions import BLOCK_ROWS, as_rows, squared_distances

ROUNDING = 1e-9  # relative; squared distances this near to each other are equal


class PrecisionRecall(NamedTuple):
    """Shares of clips within the other set's reach."""

    precision: float  # of the generated clips, within reach of the reference
    recall: float  # of the reference clips, within reach of the generated set


class DensityCoverage(NamedTuple):
    """How densely the generated clips fill the reference's neighbourhoods."""

    density: float  # about 1 for equal distributions, may exceed 1
    coverage: float  # share of the reference's neighbourhoods that hold a generated clip


def precision_recall(generated: Tensor, reference: Tensor, neighbours: int = 3) -> PrecisionRecall:
    """Improved precision and recall (Kynkaanniemi et al., 1904.06991, eq. 1 and 2).

    A set's reach is the union of balls around its clips, each up to the clip's k-th nearest
    neighbour in the set, borders included.

    Args:
        generated: Embeddings (N, D), N > k.
        reference: Embeddings (M, D), M > k.
        neighbours: k; the paper's is 3.

    Raises:
        ValueError: If a set has k rows or fewer, or the widths differ.
    """
    rows, others = _checked(generated, reference, neighbours)
    reach, other_reach = neighbour_radii(rows, neighbours), neighbour_radii(others, neighbours)
    in_reference = torch.zeros(len(rows), dtype=torch.bool)
    in_generated = torch.zeros(len(others), dtype=torch.bool)
    for start in range(0, len(rows), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        distances = squared_distances(rows[part], others)  # (block, M)
        in_reference[part] = (distances <= other_reach * (1.0 + ROUNDING)).any(dim=1)
        in_generated |= (distances <= reach[part, None] * (1.0 + ROUNDING)).any(dim=0)
    return PrecisionRecall(_share(in_reference), _share(in_generated))


def density_coverage(generated: Tensor, reference: Tensor, neighbours: int = 5) -> DensityCoverage:
    """Density and coverage (Naeem et al., 2002.09797, eq. 4 and 5).

    A reference clip's neighbourhood is the ball up to its k-th nearest neighbour in the reference,
    borders excluded as in the authors' code: a set compared with itself has density 1 and
    coverage 1.

    Args:
        generated: Embeddings (N, D).
        reference: Embeddings (M, D), M > k.
        neighbours: k; the paper's is 5.

    Raises:
        ValueError: If the reference has k rows or fewer, the generated set none, or the widths
            differ.
    """
    rows, others = _checked(generated, reference, neighbours, generated_alone=True)
    radii = neighbour_radii(others, neighbours) * (1.0 - ROUNDING)
    inside = 0
    covered = torch.zeros(len(others), dtype=torch.bool)
    for start in range(0, len(rows), BLOCK_ROWS):
        within = squared_distances(rows[start : start + BLOCK_ROWS], others) < radii  # (block, M)
        inside += int(within.sum())
        covered |= within.any(dim=0)
    return DensityCoverage(inside / (neighbours * len(rows)), _share(covered))


def neighbour_radii(rows: Tensor, neighbours: int) -> Tensor:
    """Squared distance (N,) from each row of (N, D) to its k-th nearest other row."""
    radii = []
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        distances = squared_distances(block, rows)
        distances[range(len(block)), range(start, start + len(block))] = torch.inf
        radii.append(distances.kthvalue(neighbours, dim=1).values)
    return torch.cat(radii)


def _checked(
    generated: Tensor, reference: Tensor, neighbours: int, generated_alone: bool = False
) -> tuple[Tensor, Tensor]:
    """Both sets around the reference's mean, where the product form of the distances is exact."""
    rows, others = as_rows(generated), as_rows(reference)
    fewest = 1 if generated_alone else neighbours + 1
    if rows.shape[1] != others.shape[1] or len(rows) < fewest or len(others) <= neighbours:
        raise ValueError(
            f"sets of shapes {tuple(rows.shape)} and {tuple(others.shape)} do not fit "
            f"{neighbours} neighbours: the reference needs more rows than that, the generated set "
            f"at least {fewest}, and both the same width"
        )
    centre = others.mean(dim=0)
    return rows - centre, others - centre


def _share(answers: Tensor) -> float:
    return answers.double().mean().item()
