"""Whether generated sounds repeat the training data, or each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


def pairwise_distances(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distances (N, M) between the rows of (N, D) and (M, D), float64.

    Differences are taken row by row: the faster product form gives equal rows a distance of 1e-7
    instead of 0, and a copy has to be found as one.
    """
    return torch.cdist(first.double(), second.double(), compute_mode="donot_use_mm_for_euclid_dist")


def mean_pairwise_distance(embeddings: Tensor) -> Tensor:
    """Mean Euclidean distance over the pairs of different rows of (N, D): how varied a set is.

    Raises:
        ValueError: If there are fewer than two rows.
    """
    if len(embeddings) < 2:
        raise ValueError(f"{len(embeddings)} rows form no pair: at least two are needed")
    return torch.pdist(embeddings.double()).mean()


class RecordingDistances(NamedTuple):
    """How far apart the recordings of one class are; clips of one group count as one recording."""

    pairs: Tensor  # (P,) between every two recordings
    nearest: Tensor  # (R,) from each recording to the nearest other one


class Originality(NamedTuple):
    """Whether a set of generated clips repeats the training data, or itself."""

    below_pair: float  # share nearer to a training clip than the median pair of recordings
    below_nearest: float  # share nearer than a recording's median distance to its nearest other
    copied: float  # share nearer than 95 % of the recordings are to their nearest other
    spread: float  # mean distance between the outputs over the mean distance between recordings


def recording_distances(embeddings: Tensor, groups: Sequence[str]) -> RecordingDistances:
    """Distances between the recordings of one class.

    Args:
        embeddings: (R, D).
        groups: Name of the original recording that each row was cut from.

    Raises:
        ValueError: If all rows are of one recording.
    """
    distances = pairwise_distances(embeddings, embeddings)
    names = sorted(set(groups))
    if len(names) < 2:
        raise ValueError(
            f"all {len(groups)} clips are of the recording {names}: nothing to compare"
        )
    numbers = torch.tensor([names.index(group) for group in groups])
    different = numbers[:, None] != numbers[None]
    nearest = distances.masked_fill(~different, torch.inf).amin(dim=1)
    return RecordingDistances(distances[different.triu()], nearest)


def originality(outputs: Tensor, training: Tensor, recordings: RecordingDistances) -> Originality:
    """Compares generated clips of one class with the training clips and among themselves.

    A new recording has some training clip near it by chance, more likely so the more clips there
    are. The first share is therefore high for new recordings too; of them about half fall under
    the second bound and 5 % under the third.

    Args:
        outputs: Embeddings of generated clips (N, D), N >= 2.
        training: Embeddings of all clips that the generator was trained on (M, D).
        recordings: Of the class, in the same embedding.
    """
    nearest = pairwise_distances(outputs, training).amin(dim=1)
    spread = mean_pairwise_distance(outputs) / recordings.pairs.mean()

    def share_below(bound: Tensor) -> float:
        return (nearest < bound).double().mean().item()

    return Originality(
        below_pair=share_below(recordings.pairs.median()),
        below_nearest=share_below(recordings.nearest.median()),
        copied=share_below(recordings.nearest.quantile(0.05)),
        spread=spread.item(),
    )
