"""Sound <-> latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from woosh.autoencoder.mel import WooshMelAutoencoder
from woosh.autoencoder.network import WooshAutoencoder
from woosh.outside_files import expanded, read_object
from woosh.weight_files import load_saved

__all__ = ["Autoencoder", "WooshAutoencoder", "WooshMelAutoencoder", "load_autoencoder"]

Autoencoder = WooshAutoencoder | WooshMelAutoencoder  # the same interface


def load_autoencoder(folder: str | Path, dtype: torch.dtype | None = None) -> Any:
    """The autoencoder of either kind that `save_pretrained` wrote into a folder.

    Args:
        folder: of its config.json and weights.
        dtype: of the weights; None leaves it as saved.

    Raises:
        FileNotFoundError: the folder holds no network.
        ValueError: another network, or damaged weights.
    """
    kinds = {kind.__name__: kind for kind in (WooshAutoencoder, WooshMelAutoencoder)}
    config = expanded(folder) / "config.json"
    name = WooshAutoencoder.__name__
    if config.is_file():
        name = str(read_object(config).get("_class_name", name))
    if name not in kinds:
        raise ValueError(f"{folder} holds a {name}, not an autoencoder")
    return load_saved(kinds[name], folder, dtype)
