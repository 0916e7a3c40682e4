"""One training: its processes, steps, average, log and checkpoints; the recipe brings data, model and loss."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar, cast

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, IterableDataset
from tqdm.auto import tqdm

from woosh.data.streaming import NumberedBatches
from woosh.training.average import MovingAverage
from woosh.training.checkpoints import (
    list_checkpoints,
    newest_checkpoint,
    resume_checkpoint,
    save_checkpoint,
)
from woosh.training.exports import write_whole
from woosh.training.log import Log, check_trackers
from woosh.training.modules import TrainingStep
from woosh.training.updates import GradientLimits, Trained, Updates

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class RunConfig:
    """What every recipe's YAML says of the run itself."""

    output: str  # folder
    steps: int
    accumulation: int  # batches of one step, per process
    clip_norm: float
    non_finite: str  # "stop" or "skip", when a loss or a gradient is NaN or infinite
    ema_decay: float
    precision: str  # "no", "bf16" or "fp16"
    seed: int
    log_every: int
    save_every: int
    evaluate_every: int  # 0: never
    kept_checkpoints: int
    trackers: tuple[str, ...]  # "tensorboard", "wandb"
    resume: bool  # go on from the newest checkpoint in the output folder


class StepCount:
    """How many steps are done, which is saved with every checkpoint."""

    def __init__(self) -> None:
        self.step = 0

    def state_dict(self) -> dict[str, int]:
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.step = state["step"]


def _outlive_termination(_worker: int) -> None:
    """A scheduler asks all processes to end; those that prepare batches leave it to the run, which saves first."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Run(Generic[Model]):
    """A training from its first step, or from a checkpoint, to its last.

    A recipe builds its model after `Run`, which sets the seed; then `follow` and `updates` once, and in the loop
    `batches`, `gathering`, `Updates.apply`, `advance`, `due` with an evaluation, and `save_if_due`; after the loop
    `export_average` or `export`, also of a resumed run that has no step left: it may have been killed before its export.

    Args:
        config: of the run.
        settings: the recipe's whole configuration, for the log.

    Raises:
        FileExistsError: the output folder holds the checkpoints of another run.
        FileNotFoundError: it holds none to go on from.
        ValueError: a setting that is not possible.
    """

    def __init__(self, config: RunConfig, settings: Any) -> None:
        for name in ("steps", "accumulation", "log_every", "save_every", "kept_checkpoints"):
            if getattr(config, name) < 1:
                raise ValueError(f"{name} is {getattr(config, name)}; it must be 1 or more")
        check_trackers(config.trackers)
        self.config, self.settings = config, settings
        self.output = Path(config.output)
        self.checkpoints = self.output / "checkpoints"
        if config.resume:
            newest_checkpoint(self.checkpoints)  # before the data are read
        elif list_checkpoints(self.checkpoints):
            raise FileExistsError(
                f"{self.output} holds the checkpoints of a run: go on with resume=true, or name another "
                "output"
            )
        self.accelerator = Accelerator(
            mixed_precision=config.precision,
            gradient_accumulation_steps=config.accumulation,
            log_with=list(config.trackers) or None,
            project_dir=str(self.output),
        )
        self.step_count = StepCount()
        self.stopping = False  # in every process, since one of them was asked to
        self._asked = False
        self._steps: list[TrainingStep] = []
        self._updates: list[Updates] = []
        self._sums: dict[str, Tensor] = {}
        self._batches, self._amount, self._operations = 0, 0.0, 0
        signal.signal(signal.SIGTERM, self._hear)
        set_seed(config.seed)

    @property
    def device(self) -> torch.device:
        """Of this process."""
        return self.accelerator.device

    @property
    def step(self) -> int:
        """Steps done."""
        return self.step_count.step

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.accelerator.is_main_process

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    def follow(self, model: Model) -> None:
        """Average this model's weights; before `updates`, which may shard them."""
        self.average = MovingAverage(model, self.config.ema_decay)
        self.model = model

    def updates(
        self,
        step: TrainingStep,
        optimizers: Sequence[Optimizer],
        schedules: Sequence[LRScheduler],
    ) -> tuple[Any, Updates]:
        """Prepare a training step with its optimisers: what to call, and what applies its losses."""
        prepared, *ready = self.accelerator.prepare(step, *optimizers)
        self.accelerator.register_for_checkpointing(*schedules)
        updates = Updates(
            self.accelerator,
            Trained(list(prepared.parameters()), ready, schedules),
            GradientLimits(self.config.clip_norm, self.config.non_finite),
            self.output,
            self._save_failed,
        )
        self._steps.append(step)
        self._updates.append(updates)
        return prepared, updates

    def start(self) -> None:
        """After all `updates`: load the checkpoint if the run is resumed, and open the log."""
        self.average.follow(self.model)
        self.accelerator.register_for_checkpointing(self.average, self.step_count)
        set_seed(self.config.seed, device_specific=True)
        if self.config.resume:
            resume_checkpoint(self.accelerator, self.checkpoints)
        # Not earlier: a run that is refused for its data or settings leaves no folder.
        self.output.mkdir(parents=True, exist_ok=True)
        if self.config.trackers:
            self.accelerator.init_trackers("woosh")
        tracked = self.accelerator if self.config.trackers else None
        self.log = Log(self.output, self.settings, self.step, tracked) if self.is_main else None

    def batches(self, source: Any, workers: int = 0, per_step: int | None = None) -> Iterator[Any]:
        """This process's batches from the first that the run has not seen, with a bar, until the run ends.

        Args:
            source: gives a batch by its number (`woosh.data.clips.Numbered`), or a stream of numbered batches
                (`woosh.data.streaming.StreamedBatches`).
            workers: processes that prepare batches; 0 does it here.
            per_step: batches of one step, `accumulation` by default.

        Yields:
            A batch's number, which no other batch of the run has, and the batch.
        """
        per_step = self.config.accumulation if per_step is None else per_step
        processes, rank = self.accelerator.num_processes, self.accelerator.process_index
        if isinstance(source, IterableDataset):
            source.start(rank, processes, self.step * per_step)
            order = None
        else:
            first = self.step * per_step * processes
            last = self.config.steps * per_step * processes
            source = NumberedBatches(source, first, last - first)
            order = range(rank, len(source), processes)
        # A generator of its own: a loader that is made anew must not draw from the run's random numbers.
        loader = DataLoader(
            source,
            batch_size=None,
            sampler=order,
            num_workers=workers,
            generator=torch.Generator(),
            worker_init_fn=_outlive_termination,
        )
        self._bar = tqdm(total=self.config.steps, initial=self.step, disable=not self.is_main)
        with self._bar:
            if self.step < self.config.steps:
                yield from self._guarded(loader)

    def _guarded(self, loader: Iterable[Any]) -> Iterator[Any]:
        """Batches until the run ends; where they cannot be read, the state is saved before the error goes on."""
        batches = iter(loader)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (OSError, ValueError):
                # Of several processes the others would wait; before the first step there is nothing to save.
                if self.step and self.accelerator.num_processes == 1:
                    self.save()
                raise
            yield batch
            if self._ending:
                return

    def gathering(self, *prepared: nn.Module) -> AbstractContextManager[Any]:
        """Around one batch: gradients are exchanged between processes with the last batch of a step only."""
        return self.accelerator.accumulate(*prepared)

    def advance(self, scalars: Mapping[str, Tensor], amount: float, unit: str) -> None:
        """Count a batch; with the last one of a step, average, and log if it is time.

        Args:
            scalars: of the batch; the log gets their means since its last row.
            amount: of data that this process saw, in `unit`.
            unit: e.g. "clips".
        """
        for name, value in scalars.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value
        self._amount += amount * self.accelerator.num_processes
        self._batches += 1
        if not self.accelerator.sync_gradients:
            return
        self.average.update()
        self.step_count.step += 1
        asked = torch.tensor(float(self._asked), device=self.device)
        self.stopping = cast(Tensor, self.accelerator.reduce(asked, "sum")).item() > 0
        self._bar.update()
        if self.step % self.config.log_every == 0:
            self._write(unit)

    def _write(self, unit: str) -> None:
        """A row of means since the last one."""
        operations = sum(step.operations for step in self._steps)
        values = {name: float(value) / self._batches for name, value in self._sums.items()}
        for number, updates in enumerate(self._updates):
            values[f"gradient_norm_{number}" if number else "gradient_norm"] = updates.gradient_norm
        values["skipped"] = sum(updates.skipped for updates in self._updates)
        values["learning_rate"] = float(self._updates[0].trained.schedules[0].get_last_lr()[0])
        if self.log is not None:
            done = operations - self._operations
            self.log.write(self.step, values, self._amount, unit, done)
        self._sums, self._batches, self._amount, self._operations = {}, 0, 0.0, operations

    def due(self, every: int) -> bool:
        """Whether a step was just completed whose number `every` (0: never) divides."""
        return every > 0 and self.accelerator.sync_gradients and self.step % every == 0

    @property
    def must_save(self) -> bool:
        """Whether a step was just completed after which the state is to be saved."""
        return self.accelerator.sync_gradients and (
            self.step % self.config.save_every == 0 or self._ending
        )

    @property
    def must_export(self) -> bool:
        """Whether the averaged model is to be written within the loop: after its end it is written anyway."""
        return self.must_save and not self._ending

    @property
    def _ending(self) -> bool:
        return self.stopping or self.step == self.config.steps

    def save(self) -> None:
        """Write the whole state."""
        kept = self.config.kept_checkpoints
        save_checkpoint(self.accelerator, self.checkpoints, self.step, kept)

    def _save_failed(self) -> int:
        self.save()
        return self.step + 1

    def save_if_due(self, name: str, write: Callable[[Model, Path], object]) -> None:
        """After a step at which it is time, write the whole state and, unless the loop ends here, the averaged model.

        All processes must call it at once. For the arguments see `export_average`.
        """
        if self.must_save:
            self.save()
        if self.must_export:
            self.export_average(name, write)

    def export_average(self, name: str, write: Callable[[Model, Path], object]) -> None:
        """Let the main process write the averaged model. All processes must call it at once.

        Args:
            name: of the file or folder in the output folder.
            write: writes a model to a path.
        """
        average = self.averaged()
        self.export(name, lambda path: write(average, path))

    def export(self, name: str, write: Callable[[Path], object]) -> None:
        """Let the main process write a file or folder of the output folder; it is whole, or not there."""
        if self.is_main:
            write_whole(self.output / name, write)

    def averaged(self) -> Model:
        """The averaged model, in evaluation mode. All processes must ask at once."""
        return self.average.module().eval()
