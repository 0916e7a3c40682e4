"""Folders that a recipe fills: only ever with the same settings, and none that holds nothing is left behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from woosh.outside_files import read_yaml
from woosh.training.config import plain_values

SETTINGS_FILE, LOG_FILE = "config.yaml", "log.jsonl"


def check_output(output: Path, config: Any) -> None:
    """Raise if a folder holds what was made with other settings.

    Raises:
        FileExistsError: its config.yaml differs from this configuration.
        ValueError: its config.yaml cannot be read.
    """
    path = output / SETTINGS_FILE
    if path.is_file() and read_yaml(path) != plain_values(config):
        raise FileExistsError(
            f"{output} was made with other settings: name another output, or delete it"
        )


@contextmanager
def leaving_nothing(output: Path) -> Iterator[None]:
    """Around a recipe: if it fails before it has made anything, the folders that it made for that go again.

    Args:
        output: the recipe's folder. One that was there before stays, and so does one that holds more than the settings
            and a log without rows.
    """
    made = [folder for folder in (output, *output.parents) if not folder.exists()]
    try:
        yield
    except BaseException:
        if made and _holds_nothing(output):
            shutil.rmtree(output, ignore_errors=True)
            for folder in made[1:]:
                with suppress(OSError):  # another run has filled it meanwhile
                    folder.rmdir()
        raise


def _holds_nothing(output: Path) -> bool:
    """Whether a recipe has only begun to fill a folder."""
    return all(
        path.name == SETTINGS_FILE or (path.name == LOG_FILE and not path.stat().st_size)
        for path in output.rglob("*")
    )
