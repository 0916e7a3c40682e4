"""From a loss to new weights: schedule, accumulation, clipping, and what happens at NaN."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from woosh.training.config import check_choice

NON_FINITE = ("stop", "skip")  # what happens at a NaN or an infinity


def cosine_schedule(
    optimizer: Optimizer, warmup_steps: int, steps: int, final_fraction: float = 0.02
) -> LambdaLR:
    """Linear warm-up, then half a cosine down to `final_fraction` of the learning rate."""

    def fraction(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
        return final_fraction + (1 - final_fraction) * (1 + math.cos(math.pi * progress)) / 2

    return LambdaLR(optimizer, fraction)


@dataclass(frozen=True)
class WarmupAndDecay:
    """Rise, plateau and fall of the learning rate, as the published taggers were trained; in steps.

    Attributes:
        warmup_steps: of the rise.
        decay_start: first step of the fall.
        decay_steps: of the fall.
        final_fraction: of the learning rate, from the end of the fall on.
    """

    warmup_steps: int
    decay_start: int
    decay_steps: int
    final_fraction: float

    def fraction(self, step: int) -> float:
        """exp(-5 (1 - s / warmup)^2) with s from 1/2 on, then 1, then a straight line down (arXiv 2110.05069)."""
        rise = 1.0
        if step < self.warmup_steps:
            rise = math.exp(-5 * (1 - max(step, 0.5) / self.warmup_steps) ** 2)
        progress = min(1.0, max(0.0, (step - self.decay_start) / max(1, self.decay_steps)))
        return rise * (1 - (1 - self.final_fraction) * progress)

    def schedule(self, optimizer: Optimizer) -> LambdaLR:
        """The schedule of an optimiser."""
        return LambdaLR(optimizer, self.fraction)


def adamw(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
) -> torch.optim.AdamW:
    """AdamW over the parameters that are trained, in one fused kernel."""
    trained = [value for value in parameters if value.requires_grad]
    return torch.optim.AdamW(
        trained, lr=learning_rate, betas=betas, weight_decay=weight_decay, fused=True
    )


def muon(
    model: nn.Module, blocks: tuple[str, ...], learning_rate: float, weight_decay: float
) -> list[Optimizer]:
    """Muon (orthogonalised updates) for the matrices of the blocks, AdamW for everything else.

    Muon's steps are scaled to the size of AdamW's (arXiv 2502.16982), so one learning rate serves.

    Args:
        model: whose parameters are trained.
        blocks: beginnings of the blocks' names.
        learning_rate: of both.
        weight_decay: of both.
    """
    matrices = {
        name: value
        for name, value in model.named_parameters()
        if value.ndim == 2 and name.startswith(blocks) and "modulation" not in name
    }
    others = [value for name, value in model.named_parameters() if name not in matrices]
    first = torch.optim.Muon(
        [value for value in matrices.values() if value.requires_grad],
        lr=learning_rate,
        weight_decay=weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return [first, adamw(others, learning_rate, weight_decay, (0.9, 0.95))]


@dataclass(frozen=True)
class Trained:
    """What a loss changes.

    Attributes:
        parameters: whose gradients are clipped together.
        optimizers: of these, prepared by the accelerator.
        schedules: one for each optimiser.
    """

    parameters: Sequence[nn.Parameter]
    optimizers: Sequence[Any]
    schedules: Sequence[LRScheduler]


@dataclass(frozen=True)
class GradientLimits:
    """Which gradients are applied.

    Attributes:
        clip_norm: greatest norm of all gradients together; longer ones are shortened to it.
        non_finite: when a loss or a gradient is NaN or infinite, "stop" saves the state and raises,
            "skip" leaves the weights as they are and counts. Half precision with a loss scale (fp16)
            overflows now and then; there only the loss counts.
    """

    clip_norm: float
    non_finite: str


class Updates:
    """Applies the gradients of one training step as long as they are finite.

    Args:
        accelerator: of the run.
        trained: parameters, optimisers and schedules.
        limits: of the gradients.
        output: folder for the facts of a failure.
        save: writes the state before a failure; gives the number of the step that failed.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        trained: Trained,
        limits: GradientLimits,
        output: Path,
        save: Callable[[], int],
    ) -> None:
        check_choice("non_finite", limits.non_finite, NON_FINITE)
        self.accelerator, self.trained, self.limits = accelerator, trained, limits
        self.output, self.save = output, save
        self.skipped = 0
        self.gradient_norm = 0.0  # of the last step, before clipping
        self._losses: list[Tensor] = []
        self._batches: list[int] = []

    def apply(self, loss: Tensor, batch: int) -> None:
        """Back-propagate a loss; with the last one of a step, move the weights and forget the gradients.

        Args:
            loss: of this process's batch, a scalar.
            batch: its number, for the message.

        Raises:
            FloatingPointError: a number is not finite, and the policy is to stop. The checkpoint and
                `non_finite_RANK.json` are written before.
        """
        self.accelerator.backward(loss)
        self._losses.append(loss.detach())
        self._batches.append(batch)
        if not self.accelerator.sync_gradients:
            return
        norm = self.accelerator.clip_grad_norm_(self.trained.parameters, self.limits.clip_norm)
        self.gradient_norm = float(norm) if norm is not None else 0.0
        scaled = self.accelerator.scaler is not None
        finite = bool(torch.stack(self._losses).isfinite().all()) and (
            scaled or math.isfinite(self.gradient_norm)
        )
        fault = torch.tensor(float(not finite), device=loss.device)
        # Any process decides for all.
        refused = cast(Tensor, self.accelerator.reduce(fault, "sum")).item() > 0
        if refused and self.limits.non_finite == "stop":
            self._save_and_raise()
        self.skipped += refused
        self._losses, self._batches = [], []
        pairs = zip(self.trained.optimizers, self.trained.schedules, strict=True)
        for optimizer, schedule in pairs:
            if not refused:
                optimizer.step()
            optimizer.zero_grad()
            schedule.step()

    def _save_and_raise(self) -> None:
        for optimizer in self.trained.optimizers:
            optimizer.zero_grad()
        losses = [float(loss) for loss in self._losses]
        facts = {
            "step": self.save(),
            "batches": self._batches,
            "process": self.accelerator.process_index,
            "losses": [str(loss) for loss in losses],
            "gradient_norm": str(self.gradient_norm),
        }
        name = f"non_finite_{self.accelerator.process_index}.json"
        (self.output / name).write_text(json.dumps(facts) + "\n")
        raise FloatingPointError(
            f"step {facts['step']}, batches {self._batches}: losses {losses}, gradient norm "
            f"{self.gradient_norm}; the state before it is in {self.output / 'checkpoints'}: go on with "
            "resume=true and non_finite=skip, or a lower learning rate"
        )
