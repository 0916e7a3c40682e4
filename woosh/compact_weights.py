"""Weights in eight bits: the matrices of linear layers in whole numbers with one scale for each row, the rest in half precision.

`woosh.weight_files` writes and reads their files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

SCALES = ".row_scale"  # ends the name of a matrix's scales
LEAST_VALUES = 2**14  # of a matrix; smaller ones are not worth the loss
LARGEST = 127


def rounded(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix (R, N) in whole numbers from -127 to 127, int8, and the scale (R, 1) of each row, float16.

    Raises:
        ValueError: a value that is not finite, or whose scale half precision cannot hold.
    """
    matrix = matrix.float()
    largest = matrix.abs().amax(dim=1, keepdim=True)
    scale = (largest / LARGEST).half()
    # Rounded up, never down: the largest values of a row would be cut, those of a small one by a third.
    next_scale = (scale.view(torch.int16) + 1).view(torch.float16)
    scale = torch.where(scale.float() * LARGEST < largest, next_scale, scale)
    if not torch.isfinite(scale).all():
        raise ValueError("the matrix holds values that eight bits with a scale cannot hold")
    whole = torch.where(scale > 0, matrix / scale.float().clamp_min(1e-30), 0.0)
    return whole.round().clamp(-LARGEST, LARGEST).to(torch.int8), scale


def compacted(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a model by name, with their scales.

    Raises:
        ValueError: a value that neither form can hold.
    """
    matrices = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.weight.numel() >= LEAST_VALUES
    }
    return compacted_tensors(model.state_dict(), matrices)


def compacted_tensors(values: Mapping[str, Tensor], matrices: Collection[str]) -> dict[str, Tensor]:
    """Tensors by name with the scales of those that are kept in eight bits.

    Args:
        values: the tensors.
        matrices: names of those that are matrices to be kept in eight bits.

    Raises:
        ValueError: a value that neither form can hold.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in values.items():
        if name in matrices:
            tensors[name], tensors[name + SCALES] = rounded(value)
        elif value.is_floating_point():
            tensors[name] = value.half()
            if not torch.isfinite(tensors[name]).all():
                raise ValueError(f"{name} holds values beyond half precision")
        else:
            tensors[name] = value
    return {name: value.contiguous().cpu() for name, value in tensors.items()}


def restored(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors of `compacted` as a model has them, in a precision.

    Whole numbers without scales, such as those of a counter, stay as they are.

    Raises:
        ValueError: scales of nothing, or not one for each row.
    """
    scales = {name: value for name, value in tensors.items() if name.endswith(SCALES)}
    whole = {name.removesuffix(SCALES) for name in scales}
    for name in sorted(whole):
        if name not in tensors or tensors[name].dtype != torch.int8:
            raise ValueError(f"{name}{SCALES} are scales of no matrix in eight bits")
    values: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if name in whole:
            if value.ndim != 2 or scales[name + SCALES].shape != (len(value), 1):
                raise ValueError(f"the scales of {name} are not one for each of its rows")
            values[name] = (value.float() * scales[name + SCALES].float()).to(dtype)
        elif name not in scales:
            values[name] = value.to(dtype) if value.is_floating_point() else value
    return values
