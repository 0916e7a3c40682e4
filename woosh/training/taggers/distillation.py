"""What a tagger learns from: labels, a teacher's logits, or both, and mixtures of two sounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from woosh.training.config import check_choice

NOTHING = (
    "sounds with neither labels that count nor a teacher's logits teach nothing: set label_share above 0, or let a "
    "teacher hear them (training/teach.py)"
)
TASKS = ("multi-label", "multi-class")  # each label by itself, or one of all


@dataclass(frozen=True)
class Targets:
    """What is true of a batch of sounds, and what a teacher says of it; one of both at least.

    Attributes:
        labels: probabilities (B, C), 0 or 1 where a sound is not mixed.
        teacher: logits (B, C).
        known: which of the labels are known (B, C), 0 or 1; None where all are.
    """

    labels: Tensor | None
    teacher: Tensor | None
    known: Tensor | None = None


@dataclass(frozen=True)
class DistillationSettings:
    """How labels and teacher are weighed.

    Attributes:
        task: one of `TASKS`.
        label_share: lambda, of the labels' term; the rest is the teacher's. It counts where both are there.
        temperature: T, by which the teacher's logits are divided; for "multi-class" the student's too.
    """

    task: str
    label_share: float
    temperature: float

    def __post_init__(self) -> None:
        check_choice("task", self.task, TASKS)
        if not 0 <= self.label_share <= 1 or self.temperature <= 0:
            raise ValueError(
                f"label_share is {self.label_share} and temperature {self.temperature}: "
                "from 0 to 1, and above 0"
            )


@dataclass(frozen=True)
class Mixture:
    """Two sounds of a batch in one (mixup, arXiv 1710.09412): share of the first, the rest of the partner.

    Attributes:
        share: (B,), from 0.5 to 1.
        partner: rows of the second sounds (B,).
    """

    share: Tensor
    partner: Tensor

    def of(self, values: Tensor) -> Tensor:
        """Rows (B, ...) mixed with their partners' rows."""
        share = self.share.reshape(-1, *[1] * (values.ndim - 1)).to(values)
        return share * values + (1 - share) * values[self.partner]


def draw_mixture(count: int, alpha: float, generator: np.random.Generator) -> Mixture:
    """Shares from Beta(alpha, alpha), the larger one first, and a permutation; alpha 0 mixes nothing."""
    partner = torch.from_numpy(generator.permutation(count))
    if alpha == 0:
        return Mixture(torch.ones(count), partner)
    share = torch.from_numpy(generator.beta(alpha, alpha, count)).float()
    return Mixture(torch.maximum(share, 1 - share), partner)


def distillation_loss(
    logits: Tensor, targets: Targets, mixture: Mixture, settings: DistillationSettings
) -> dict[str, Tensor]:
    """Loss of a batch, with the terms that it consists of.

    For "multi-label" (arXiv 2211.04772)

        L = lambda BCE(z, y) + (1 - lambda) BCE(z, sigmoid(t / T)),

    for "multi-class" (arXiv 2503.11363)

        L = lambda CE(z, y) + (1 - lambda) T^2 mean over sounds and classes of KL(softmax(t / T) || softmax(z / T)),

    in both with the targets of the two sounds of a mixture in the mixture's shares.

    Args:
        logits: z of the student (B, C).
        targets: labels y and teacher's logits t.
        mixture: of the sounds of the batch.
        settings: task, lambda and T.

    Returns:
        "loss", and of "label" and "teacher" those that count.

    Raises:
        ValueError: targets of neither kind.
    """
    terms: dict[str, Tensor] = {}
    if targets.labels is not None and (settings.label_share > 0 or targets.teacher is None):
        labels = mixture.of(targets.labels.float())
        terms["label"] = label_loss(logits, labels, settings.task, known_of(targets, mixture))
    if targets.teacher is not None and (settings.label_share < 1 or targets.labels is None):
        terms["teacher"] = teacher_loss(logits, targets.teacher.float(), mixture, settings)
    if not terms:
        raise ValueError(NOTHING)
    if len(terms) == 1:
        return {"loss": next(iter(terms.values())), **terms}
    share = settings.label_share
    return {"loss": share * terms["label"] + (1 - share) * terms["teacher"], **terms}


def known_of(targets: Targets, mixture: Mixture) -> Tensor | None:
    """Which labels of mixed sounds are known (B, C): those that are of both, where there are two; None where all are."""
    if targets.known is None:
        return None
    alone = (mixture.share == 1)[:, None].to(targets.known.device)
    both = targets.known * targets.known[mixture.partner]
    return torch.where(alone, targets.known, both)


def label_loss(logits: Tensor, labels: Tensor, task: str, known: Tensor | None = None) -> Tensor:
    """Cross-entropy with labels (B, C): of each label by itself, or of the distribution over all.

    Of partial labels, the mean over those that are `known` (B, C); of none it is 0.

    Raises:
        ValueError: partial labels for "multi-class", whose one label is known or not.
    """
    if task == "multi-class":
        if known is not None:
            raise ValueError("labels are known in part only: set task to multi-label")
        return functional.cross_entropy(logits, labels)
    if known is None:
        return functional.binary_cross_entropy_with_logits(logits, labels)
    weighed = functional.binary_cross_entropy_with_logits(logits, labels, known, reduction="sum")
    return weighed / known.sum().clamp_min(1.0)


def teacher_loss(
    logits: Tensor, teacher: Tensor, mixture: Mixture, settings: DistillationSettings
) -> Tensor:
    """The teacher's term of `distillation_loss`, for the student's and the teacher's logits (B, C)."""
    temperature = settings.temperature
    if settings.task == "multi-label":
        wanted = mixture.of(torch.sigmoid(teacher / temperature))
        return functional.binary_cross_entropy_with_logits(logits, wanted)
    own = functional.log_softmax(logits / temperature, dim=1)
    wanted = functional.log_softmax(teacher / temperature, dim=1)  # (B, C)
    of_first = functional.kl_div(own, wanted, reduction="none", log_target=True)
    of_second = functional.kl_div(own, wanted[mixture.partner], reduction="none", log_target=True)
    share = mixture.share[:, None].to(logits)
    return temperature**2 * (share * of_first + (1 - share) * of_second).mean()


def constant_logits(targets: Iterable[Targets], settings: DistillationSettings) -> Tensor:
    """The logits (C,) of a tagger that says of every sound how common each label is in all of the targets.

    Raises:
        ValueError: targets of neither kind.
    """
    several = settings.task == "multi-label"
    shares = []
    for target in targets:
        if target.labels is not None:
            known = torch.ones_like(target.labels) if target.known is None else target.known
            present = (known * target.labels).float().sum(dim=0)
            # A label that nobody was asked for says nothing: half of the sounds may have it.
            shares.append(
                torch.where(known.any(dim=0), present / known.sum(dim=0).clamp_min(1), 0.5)
            )
        elif target.teacher is not None:
            logits = target.teacher.float() / settings.temperature
            wanted = logits.sigmoid() if several else logits.softmax(dim=1)
            shares.append(wanted.mean(dim=0))
    if not shares:
        raise ValueError(NOTHING)
    share = torch.stack(shares).mean(dim=0).clamp(1e-6, 1 - 1e-6)
    return share.logit() if several else share.log()
