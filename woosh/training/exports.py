"""What a run leaves for its users: a file or folder that is whole, or not there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from woosh.whole_files import failures_named

Result = TypeVar("Result")


def write_whole(target: Path, write: Callable[[Path], Result]) -> Result:
    """Write a file or a folder beside its place, and move it there when complete.

    A kill leaves what was there before; between the two moves of a folder it leaves nothing under the name.

    Args:
        target: the file or folder; what is there goes.
        write: makes it at the path that it is given; what it made goes if it fails.

    Returns:
        What `write` returns.

    Raises:
        OSError: the disk is full, or fails otherwise.
    """
    partial = target.with_name(f"{target.name}.partial")
    previous = target.with_name(f"{target.name}.previous")
    for left in (partial, previous):  # of a run that was killed
        _remove(left)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with failures_named(target):
            result = write(partial)
    except BaseException:
        _remove(partial)
        raise
    if target.is_dir():  # a folder that holds something cannot be replaced in one move
        target.replace(previous)
    partial.replace(target)
    _remove(previous)
    return result


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
