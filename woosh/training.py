"""Pieces that the recipes' loops share: averaging, schedule, updates, atomic checkpoints, logs, half precision."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import torch
import yaml
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

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


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """Exponential moving average of a model's parameters; the average is its `.module`."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))


Model = TypeVar("Model", bound=nn.Module)


class Objective(nn.Module):
    """A recipe's training step as a module's forward, which is what data parallelism wraps.

    Args:
        model: the network; `step(model, *arguments)` may call any of its methods.
        step: pure function that gives the loss and a dictionary of detached scalars.
    """

    def __init__(
        self, model: nn.Module, step: Callable[..., tuple[Tensor, dict[str, Tensor]]]
    ) -> None:
        super().__init__()
        self.model, self.step = model, step

    def forward(self, *arguments: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss, and scalars for the log."""
        return self.step(self.model, *arguments)


class Progress:
    """How many steps are done; saved with every checkpoint."""

    def __init__(self) -> None:
        self.step = 0

    def state_dict(self) -> dict[str, int]:
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.step = state["step"]


def save_checkpoint(accelerator: Accelerator, folder: Path) -> None:
    """Save the run's whole state so that a kill at any moment leaves one good checkpoint.

    The state goes to a sibling folder that takes the old one's name when complete.
    """
    partial, previous = (
        folder.with_name(folder.name + ".partial"),
        folder.with_name(folder.name + ".old"),
    )
    if accelerator.is_main_process:
        shutil.rmtree(partial, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(previous, ignore_errors=True)
        if folder.exists():
            Path(folder).replace(previous)
        Path(partial).replace(folder)
        shutil.rmtree(previous, ignore_errors=True)


def resume_checkpoint(accelerator: Accelerator, folder: Path) -> None:
    """Load the last good checkpoint of `save_checkpoint`.

    Raises:
        FileNotFoundError: there is none.
    """
    previous = folder.with_name(folder.name + ".old")
    for candidate in (
        folder,
        previous,
    ):  # `.old` is the good one if a kill fell between the renames
        if candidate.is_dir():
            accelerator.load_state(str(candidate))
            return
    raise FileNotFoundError(f"no checkpoint at {folder} to resume from; leave resume off")


class Updates:
    """Applies gradients as long as they are finite, and hears SIGTERM.

    Args:
        accelerator: of the run.
        optimizers: prepared by it.
        schedules: one for each optimiser.
        parameters: whose gradients are clipped together.
        clip_norm: greatest norm of all gradients.
        non_finite: when a loss or a gradient is NaN or infinite, "stop" saves the state and raises,
            "skip" leaves the weights as they are and counts. Half precision with a loss scale (fp16)
            overflows now and then; there only the loss counts.
        output: folder of the run.
        progress: of the run.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        optimizers: Sequence[Any],
        schedules: Sequence[LRScheduler],
        parameters: Iterable[nn.Parameter],
        clip_norm: float,
        non_finite: str,
        output: Path,
        progress: Progress,
    ) -> None:
        if non_finite not in NON_FINITE:
            raise ValueError(f"non_finite is {non_finite!r}; it must be one of {NON_FINITE}")
        self.accelerator, self.optimizers, self.schedules = accelerator, optimizers, schedules
        self.parameters, self.clip_norm, self.non_finite = list(parameters), clip_norm, non_finite
        self.output, self.progress = output, progress
        self.skipped = 0
        self.gradient_norm = 0.0  # of the last step, before clipping
        self.stopping = False  # in every process, since one of them was asked to
        self._asked = False
        signal.signal(signal.SIGTERM, self._hear)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    def apply(self, loss: Tensor, batch: int) -> None:
        """Back-propagate a loss, step the optimisers and schedules, and forget the gradients.

        Args:
            loss: of this process's batch, a scalar.
            batch: its number, for the message.

        Raises:
            FloatingPointError: a number is not finite, and the policy is to stop. The checkpoint and
                `non_finite.json` are written before.
        """
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.clip_norm)
        self.gradient_norm = float(norm) if norm is not None else 0.0
        scaled = self.accelerator.scaler is not None
        finite = bool(loss.isfinite()) and (
            scaled or bool(torch.tensor(self.gradient_norm).isfinite())
        )
        signs = torch.tensor([not finite, self._asked], dtype=torch.float32, device=loss.device)
        refused, asked = self.accelerator.reduce(
            signs, "sum"
        ).tolist()  # any process decides for all
        self.stopping = asked > 0
        if refused and self.non_finite == "stop":
            self._save_and_raise(float(loss.detach()), batch)
        self.skipped += refused > 0
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            if not refused:
                optimizer.step()
            optimizer.zero_grad()
            schedule.step()

    def _save_and_raise(self, loss: float, batch: int) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        save_checkpoint(self.accelerator, self.output / "checkpoint")
        facts = {
            "step": self.progress.step + 1,
            "batch": batch,
            "process": self.accelerator.process_index,
            "loss": str(loss),
            "gradient_norm": str(self.gradient_norm),
        }
        self.output.mkdir(parents=True, exist_ok=True)
        name = f"non_finite_{self.accelerator.process_index}.json"
        (self.output / name).write_text(json.dumps(facts) + "\n")
        raise FloatingPointError(
            f"step {facts['step']}, batch {batch}: loss {loss}, gradient norm {self.gradient_norm}; the "
            f"state before it is in {self.output / 'checkpoint'}: go on with resume=true and "
            "non_finite=skip, or a lower learning rate"
        )


class Log:
    """One JSON object per line with the step, its scalars and the throughput.

    Args:
        output: folder of the run; the configuration is written there too.
        config: the recipe's dataclass.
        start: steps that a resumed run had done at its checkpoint: an earlier log is kept up to there, since a
            killed run may have written rows that are done again. 0 starts a new one.
    """

    def __init__(self, output: Path, config: Any, start: int = 0) -> None:
        output.mkdir(parents=True, exist_ok=True)
        values = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(config).items()
        }
        (output / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
        self.path = output / "log.jsonl"
        lines = self.path.read_text().splitlines(keepends=True) if self.path.is_file() else []
        whole = [line for line in lines if line.endswith("\n")]  # a kill may tear the last one
        self.path.write_text("".join(line for line in whole if json.loads(line)["step"] <= start))
        self.begun = time.perf_counter()

    def write(self, step: int, scalars: dict[str, float], amount: float, unit: str) -> None:
        """Append a row.

        Args:
            step: steps done.
            scalars: what to record, plain numbers.
            amount: how much was processed since the last row, in `unit`.
            unit: e.g. "clips".
        """
        now = time.perf_counter()
        speed = {f"{unit}_per_second": round(amount / (now - self.begun), 3)}
        self.begun = now
        rounded = {name: round(value, 5) for name, value in scalars.items()}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **rounded, **speed}) + "\n")


def half(model: Model) -> Model:
    """A model's weights in half precision, the form in which built-in models are shipped.

    Raises:
        ValueError: a weight that half precision cannot hold.
    """
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value.half()).all():
            raise ValueError(f"{name} holds values beyond half precision")
    return model.half()
