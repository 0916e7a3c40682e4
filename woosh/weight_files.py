"""Reading files of weights without running anything that they may hold."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a `.safetensors` or `.pt` file by name, mapped from the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file, one that is damaged, or a `.pt` that holds more than tensors.
    """
    import pickle  # noqa: TID251 - only the name of the error

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.suffix not in (".safetensors", ".pt"):
        raise ValueError(f"{path} must be a .pt or a .safetensors file")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} is damaged or holds more than tensors, and is refused") from error
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise ValueError(f"{path} must hold tensors by name and nothing else")
    return tensors
