"""A run's whole state on disk: complete or absent, the newest ones kept."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import load
from safetensors import SafetensorError

from woosh.training.sharded_checkpoints import TABLE, check_table

NAME = re.compile(r"step-(\d+)")


def list_checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in a folder, the oldest first."""
    found = [path for path in folder.glob("step-*") if NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def newest_checkpoint(folder: Path) -> Path:
    """The complete checkpoint in a folder that is of most steps.

    Raises:
        FileNotFoundError: there is none.
    """
    found = list_checkpoints(folder)
    if not found:
        raise FileNotFoundError(f"no checkpoint in {folder} to resume from; leave resume off")
    return found[-1]


def save_checkpoint(accelerator: Accelerator, folder: Path, step: int, kept: int) -> None:
    """Save the run's state as `step-N`, so that a kill at any moment leaves the last good one.

    The state goes to a folder beside it that takes the name when complete. A step that is there already is left
    as it is.

    Args:
        accelerator: of the run.
        folder: of all checkpoints.
        step: steps done.
        kept: how many checkpoints stay, the newest.

    Raises:
        OSError: it cannot be written; what was written of it is removed.
    """
    target, partial = folder / f"step-{step}", folder / f"step-{step}.partial"
    if target.is_dir():
        return
    if accelerator.is_main_process:
        shutil.rmtree(partial, ignore_errors=True)
    accelerator.wait_for_everyone()
    try:
        accelerator.save_state(str(partial))
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        good = list_checkpoints(folder)
        left = f"the last good one is {good[-1]}" if good else "there is none before it"
        raise OSError(f"the checkpoint {target} could not be written ({error}); {left}") from error
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        partial.replace(target)
        for old in list_checkpoints(folder)[:-kept]:
            shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()


def resume_checkpoint(accelerator: Accelerator, folder: Path) -> None:
    """Load the newest complete checkpoint.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or holds more than the tensors and numbers of a checkpoint.
    """
    newest = newest_checkpoint(folder)
    check_pickles(newest)
    try:
        accelerator.load_state(str(newest))
    except (SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise ValueError(
            f"the checkpoint {newest} is damaged or of other settings: {error}; delete it to go on from the one before"
        ) from error


def check_pickles(folder: Path) -> None:
    """Raise unless every pickle of a checkpoint, below its folder too, holds plain data only.

    Accelerate reads what a run registers with `weights_only=False`, which runs what a pickle names, and passes over
    random states that it cannot read; torch.distributed does likewise. Here all are read first in the way that runs nothing.

    Raises:
        ValueError: one that is damaged or would run code, by its path.
    """
    for path in sorted(folder.rglob("*")):
        try:
            if path.suffix in (".pkl", ".bin", ".pt"):
                load(path, map_location="cpu", weights_only=True)
            elif path.name.endswith(TABLE):
                check_table(path)
        except Exception as error:  # a damaged pickle raises nearly everything
            raise ValueError(
                f"{path} is damaged or holds more than a checkpoint's tensors and numbers, and is refused; delete "
                f"{folder} to go on from the checkpoint before"
            ) from error
