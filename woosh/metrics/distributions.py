"""How far apart two sets of embeddings are."""

from __future__ import annotations

import torch
from torch import Tensor


def frechet_distance(first: Tensor, second: Tensor) -> Tensor:
    """Frechet distance of the normal distributions fitted to two sets (Heusel et al., 1706.08500).

    ``|m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2))``, the last trace being the sum of the
    singular values of ``C1^(1/2) C2^(1/2)``.

    Args:
        first: Embeddings (N, D), N >= 2.
        second: Embeddings (M, D), M >= 2.

    Returns:
        A float64 scalar, at least 0 up to rounding.

    Raises:
        ValueError: If a set has fewer than two rows or the widths differ.
    """
    if min(len(first), len(second)) < 2 or first.shape[1] != second.shape[1]:
        raise ValueError(
            f"sets of shapes {tuple(first.shape)} and {tuple(second.shape)} have no Frechet "
            "distance: both need at least two rows and the same width"
        )
    first, second = first.double(), second.double()
    shift = (first.mean(dim=0) - second.mean(dim=0)).square().sum()
    first_covariance, second_covariance = torch.cov(first.T), torch.cov(second.T)
    product = _matrix_root(first_covariance) @ _matrix_root(second_covariance)
    overlap = torch.linalg.svdvals(product).sum()
    return shift + first_covariance.trace() + second_covariance.trace() - 2.0 * overlap


def _matrix_root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0.0).sqrt() @ vectors.T
