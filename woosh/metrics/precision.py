"""How well a tagger names sounds: by labels that are true, and by those that another tagger gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

POSITIVE = 0.3  # probability from which another tagger's label counts as true


class Agreement(NamedTuple):
    """Of a tagger with another one.

    Attributes:
        mean_average_precision: over the labels that the other one gives to a sound at least.
        labels: how many these are.
        same_first: share of the sounds whose most probable label is the same.
    """

    mean_average_precision: float
    labels: int
    same_first: float


def average_precision(scores: Tensor, positive: Tensor) -> float:
    """Precision at every positive, averaged, the sounds in the order of their scores.

    Equal scores count together, as in scikit-learn's `average_precision_score`.

    Args:
        scores: (N,).
        positive: (N,), one true value at least.

    Raises:
        ValueError: no positive.
    """
    if not positive.any():
        raise ValueError("average precision of a label that no sound has is not defined")
    order = scores.argsort(descending=True, stable=True)
    ordered, right = scores[order], positive[order].double()
    found = right.cumsum(0)
    # Only where a score differs from the next one does a threshold stand.
    last = torch.cat([ordered[1:] != ordered[:-1], torch.ones(1, dtype=torch.bool)])
    precision = (found / torch.arange(1, len(scores) + 1))[last]
    recall = torch.cat([torch.zeros(1), found[last] / found[-1]])
    return float((recall.diff() * precision).sum())


def roc_area(scores: Tensor, positive: Tensor) -> float:
    """Area under the curve of true over false positives: the chance that a positive scores above a negative.

    Equal scores count half (Hanley and McNeil 1982), as in scikit-learn's `roc_auc_score`.

    Args:
        scores: (N,).
        positive: (N,), a true and a false value at least.

    Raises:
        ValueError: no positive, or no negative.
    """
    found, others = scores[positive], scores[~positive].sort().values
    if not len(found) or not len(others):
        raise ValueError("the area of a label that all or no sounds have is not defined")
    below = torch.searchsorted(others, found, right=False)
    up_to = torch.searchsorted(others, found, right=True)
    return float((below + up_to).double().mean() / (2 * len(others)))


def mean_average_precision(
    scores: Tensor, positive: Tensor, known: Tensor | None = None
) -> tuple[float, int]:
    """Mean of `average_precision` over the labels that a sound has, and how many these are; 0 and 0 of none.

    Args:
        scores: (N, C).
        positive: (N, C) bool.
        known: (N, C) bool, which of these are known; each label counts over its own sounds. None where all are.
    """
    known = torch.ones_like(positive) if known is None else known
    values = [
        average_precision(scores[asked, label], positive[asked, label])
        for label, asked in enumerate(known.T)
        if positive[asked, label].any()
    ]
    return (sum(values) / len(values), len(values)) if values else (0.0, 0)


def mean_roc_area(
    scores: Tensor, positive: Tensor, known: Tensor | None = None
) -> tuple[float, int]:
    """Mean of `roc_area` over the labels that some sounds have and some have not, and how many these are.

    Arguments as of `mean_average_precision`; 0.5 and 0 of no label.
    """
    known = torch.ones_like(positive) if known is None else known
    values = [
        roc_area(scores[asked, label], positive[asked, label])
        for label, asked in enumerate(known.T)
        if positive[asked, label].any() and not positive[asked, label].all()
    ]
    return (sum(values) / len(values), len(values)) if values else (0.5, 0)


def agreement(own: Tensor, other: Tensor) -> Agreement:
    """How well a tagger's probabilities (N, C) agree with another one's."""
    mean, labels = mean_average_precision(own, other >= POSITIVE)
    same = own.argmax(dim=1) == other.argmax(dim=1)
    return Agreement(mean, labels, same.double().mean().item())


def right_among(scores: Tensor, positive: Tensor, count: int) -> float:
    """Share of the sounds for which one of the `count` most probable labels is right; (N, C) both."""
    best = scores.topk(min(count, scores.shape[1]), dim=1).indices
    return positive.gather(1, best).any(dim=1).double().mean().item()


def report(
    scores: Tensor,
    labels: Tensor | None,
    teacher: Tensor | None,
    names: Sequence[str],
    known: Tensor | None = None,
) -> dict[str, float]:
    """What is known of a tagger's scores (N, C), as figures by name.

    Args:
        scores: probabilities, or logits of one-of-all tasks.
        labels: which are true (N, C), 0 or 1, or None.
        teacher: another tagger's probabilities (N, C), or None.
        names: of the labels (C).
        known: which of the labels are known (N, C), 0 or 1; None where all are.
    """
    result: dict[str, float] = {"sounds": float(len(scores))}
    if labels is not None:
        right = labels > 0.5
        asked = None if known is None else known > 0.5
        mean, present = mean_average_precision(scores, right, asked)
        result |= {
            "mean_average_precision": mean,
            "mean_roc_area": mean_roc_area(scores, right, asked)[0],
            "labels": float(present),
            "right_first": right_among(scores, right, 1),
        }
        if len(names) > 5:
            result["right_among_five"] = right_among(scores, right, 5)
    if teacher is not None:
        found = agreement(scores, teacher)
        result |= {
            "teacher_mean_average_precision": found.mean_average_precision,
            "teacher_labels": float(found.labels),
            "same_first": found.same_first,
        }
    return result
