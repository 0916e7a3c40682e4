"""Folders that a recipe fills over several runs: only ever with the same settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from woosh.training.config import plain_values


def check_output(output: Path, config: Any) -> None:
    """Raise if a folder holds what was made with other settings.

    Raises:
        FileExistsError: its config.yaml differs from this configuration.
    """
    import yaml

    path = output / "config.yaml"
    if path.is_file() and yaml.safe_load(path.read_text()) != plain_values(config):
        raise FileExistsError(
            f"{output} was made with other settings: name another output, or delete it"
        )
