"""Pieces that the recipes' loops share: averaging, schedule, atomic checkpoints, logs, half precision."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


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
