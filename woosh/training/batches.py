"""What a training step is handed: tensors in dataclasses, which are moved and counted together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

Batch = TypeVar("Batch")


def map_tensors(function: Callable[[Tensor], Tensor], batch: Any) -> Any:
    """A batch with a function of every tensor in the tensor's place; the batch itself stays as it is.

    Args:
        function: of one tensor.
        batch: a tensor, or dataclasses, named tuples, tuples and lists of tensors and of anything else, which is kept.
    """

    def inside(value: Any) -> Any:
        return map_tensors(function, value)

    if isinstance(batch, Tensor):
        return function(batch)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        values = {f.name: inside(getattr(batch, f.name)) for f in dataclasses.fields(batch)}
        return dataclasses.replace(batch, **values)
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*map(inside, batch))
    if isinstance(batch, tuple | list):
        return type(batch)(map(inside, batch))
    return batch


def to_device(batch: Batch, device: torch.device) -> Batch:
    """A batch with all its tensors on a device."""
    return map_tensors(lambda tensor: tensor.to(device), batch)


def shapes_of(batch: Any) -> tuple[torch.Size, ...]:
    """The shapes of all tensors of a batch, in the order of its fields."""
    shapes: list[torch.Size] = []

    def note(tensor: Tensor) -> Tensor:
        shapes.append(tensor.shape)
        return tensor

    map_tensors(note, batch)
    return tuple(shapes)
