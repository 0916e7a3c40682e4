"""Checkpoints of several files run nothing when they are resumed: torch's own reader would, in two places."""

import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as distributed
from accelerate import Accelerator
from torch import nn

from woosh.training import resume_checkpoint, save_checkpoint


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """One process writes what several do in earnest, of which torch warns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*single process.*")
        yield


class Deed:
    """A pickle of it makes a folder when it is read as any pickle is."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.trace),)


def checkpoint(folder: Path, **more: Any) -> tuple[Accelerator, Path]:
    """A run that has saved its step 5, whose optimiser's state lies in several files."""
    accelerator = Accelerator(cpu=True)
    save_checkpoint(accelerator, folder, 5, kept=1)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    part = folder / "step-5" / "optimizer_0"
    distributed.save(
        {"optimizer": optimizer.state_dict(), **more},
        storage_writer=distributed.FileSystemWriter(part),
    )
    return accelerator, part


def test_what_torch_writes_is_read(tmp_path: Path) -> None:
    accelerator, part = checkpoint(tmp_path)
    assert (part / ".metadata").is_file() and list(part.glob("*.distcp"))
    resume_checkpoint(accelerator, tmp_path)


def test_a_table_of_contents_runs_nothing(tmp_path: Path) -> None:
    """It is a bare pickle, which torch's reader takes as it is."""
    accelerator, part = checkpoint(tmp_path)
    trace = tmp_path / "trace"
    (part / ".metadata").write_bytes(f"cos\nmkdir\n(V{trace}\ntR.".encode())
    with pytest.raises(ValueError, match=r"\.metadata is damaged or holds more than"):
        resume_checkpoint(accelerator, tmp_path)
    assert not trace.exists()
    with pytest.raises(AttributeError):
        distributed.FileSystemReader(part).read_metadata()
    assert trace.exists()  # so it does harm to whoever reads it freely


def test_values_that_are_no_tensors_run_nothing(tmp_path: Path) -> None:
    """A learning rate is pickled by itself, within the file of the tensors."""
    trace = tmp_path / "trace"
    accelerator, _ = checkpoint(tmp_path, value=Deed(trace))
    with pytest.raises(ValueError, match=r"\.metadata is damaged or holds more than"):
        resume_checkpoint(accelerator, tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("name", "other"),
    [
        (b"float32", b"compile"),  # torch's own, but no type of numbers
        (b"__0_0.distcp", b"../../../etc"),
        (b"_StorageInfo", b"_StoragePref"),
    ],
)
def test_a_table_that_names_anything_else_is_refused(
    tmp_path: Path, name: bytes, other: bytes
) -> None:
    """Neither another thing of the same modules nor a file of another folder belongs to a checkpoint."""
    accelerator, part = checkpoint(tmp_path)
    table = part / ".metadata"
    assert len(name) == len(other) and name in table.read_bytes()
    table.write_bytes(table.read_bytes().replace(name, other))
    with pytest.raises(ValueError, match=re.escape(f"{table} is damaged or holds more than")):
        resume_checkpoint(accelerator, tmp_path)
