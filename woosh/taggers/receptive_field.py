"""How much of its input one place of a network's map sees, by formula, for any network of convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

EXAMPLE_SIZE = 256  # bands and frames of a map that is made up
ATEN = torch.ops.aten
CONVOLUTION = ATEN.convolution.default
POOLS = {
    ATEN.max_pool2d_with_indices.default,
    ATEN.max_pool3d_with_indices.default,
    ATEN.avg_pool1d.default,
    ATEN.avg_pool2d.default,
}
# Operations on whole axes (the names of all their overloads), and where their axes stand among the arguments.
REDUCTIONS = {
    ATEN.mean,
    ATEN.sum,
    ATEN.amax,
    ATEN.amin,
    ATEN.linalg_vector_norm,
    ATEN.var_mean,
    ATEN._adaptive_avg_pool2d,
    ATEN.native_group_norm,
}


@dataclass(frozen=True)
class Sight:
    """What one place of a map sees.

    Attributes:
        field: places of the first convolution's input along each axis; infinite along an axis that was summed up.
        stride: places of that input from one place of the map to the next.
    """

    field: tuple[float, ...]
    stride: tuple[int, ...]

    def through(
        self, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
    ) -> Sight:
        """Behind one more layer (arXiv 1907.01803):

        RF_n = RF_{n-1} + d_n (k_n - 1) S_{n-1},   S_n = S_{n-1} s_n
        """
        field = tuple(
            own + d * (k - 1) * step
            for own, step, k, d in zip(self.field, self.stride, kernel, dilation, strict=True)
        )
        steps = tuple(own * s for own, s in zip(self.stride, stride, strict=True))
        return Sight(field, steps)

    def joined(self, other: Sight) -> Sight:
        """Of what is made from two maps, place by place: the wider one along each axis."""
        field = tuple(max(pair) for pair in zip(self.field, other.field, strict=True))
        stride = tuple(max(pair) for pair in zip(self.stride, other.stride, strict=True))
        return Sight(field, stride)

    def summed(self, axes: Sequence[int]) -> Sight:
        """Behind a sum over the axes of these numbers."""
        field = tuple(math.inf if axis in axes else own for axis, own in enumerate(self.field))
        return Sight(field, self.stride)


class Watch(TorchDispatchMode):
    """Follows what the places of every map see, from the first convolution on."""

    def __init__(self) -> None:
        super().__init__()
        self.sights: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self.last: Sight | None = None  # of the map of the last convolution

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ARG002 - torch names them
        result = func(*args, **(kwargs or {}))
        sight = self._sight(func, args)
        if sight is not None:
            for made in result if isinstance(result, tuple | list) else [result]:
                if isinstance(made, Tensor):
                    self.sights[made] = sight
        return result

    def _sight(self, func: Any, args: Sequence[Any]) -> Sight | None:
        """Of what an operation makes; None before the first convolution."""
        seen = [self.sights[x] for x in tensors_in(args) if x in self.sights]
        if func is CONVOLUTION:
            x, weight, _, stride, _, dilation, transposed = args[:7]
            if transposed:
                raise ValueError("a transposed convolution has no receptive field of this kind")
            axes = x.ndim - 2
            before = self.sights.get(x) or Sight((1,) * axes, (1,) * axes)
            self.last = before.through(weight.shape[2:], every(stride, axes), every(dilation, axes))
            return self.last
        if not seen:
            return None
        joined = seen[0]
        for other in seen[1:]:
            joined = joined.joined(other)
        if func in POOLS:
            axes = len(joined.field)
            kernel = every(args[1], axes)
            return joined.through(kernel, every(args[2] or kernel, axes), (1,) * axes)
        if func.overloadpacket in REDUCTIONS:
            return joined.summed(summed_axes(func, args, len(joined.field)))
        return joined


def tensors_in(values: Sequence[Any]) -> list[Tensor]:
    """The tensors among arguments and the lists among them."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors_in(value)
    return found


def every(values: Sequence[int], axes: int) -> tuple[int, ...]:
    """One value for each axis, from a list that may hold one for all."""
    return tuple(values) if len(values) == axes else tuple(values) * axes


def summed_axes(func: Any, args: Sequence[Any], count: int) -> list[int]:
    """The axes of a map, counted without batch and channels, that a reduction sums up."""
    places = {ATEN.linalg_vector_norm: 2}.get(func.overloadpacket, 1)
    named = args[places] if len(args) > places else None
    x = args[0]
    if (
        func.overloadpacket in (ATEN._adaptive_avg_pool2d, ATEN.native_group_norm)
        or not isinstance(named, list | tuple)
        or x.ndim != count + 2
    ):
        return list(range(count))
    return [dim % x.ndim - 2 for dim in named]


def receptive_field(model: nn.Module, *inputs: Tensor) -> tuple[float, ...]:
    """What one place of the last convolution's map sees of the first convolution's input, along each axis.

    A network runs once on tensors without values, and the formula of arXiv 1907.01803 follows every operation; where
    maps join, the wider field counts. Of a map that a whole axis flows into, as behind squeeze-and-excitation, the field
    is infinite. The unit is a place of what the first convolution is given: a band and a frame, or in a discriminator
    of periods a period.

    Args:
        model: on any device; it stays as it is.
        inputs: what the model takes; none stands for a map of 256 x 256 places with the channels that its first
            convolution takes.

    Returns:
        (frequency, time) of a map, (time,) of a sequence; infinite where it is everything.

    Raises:
        ValueError: a network without convolutions, or with a transposed one.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    training = model.training
    device = next(model.parameters()).device
    try:
        model.eval()
        with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True), Watch() as watch:
            model(*(inputs or (example(model).to(device),)))
    finally:
        model.train(training)
    if watch.last is None:
        raise ValueError(f"{type(model).__name__} has no convolution")
    return watch.last.field


def example(model: nn.Module) -> Tensor:
    """A map (1, channels, 256, 256) for a network's first convolution, which has four-dimensional weights.

    Raises:
        ValueError: none has.
    """
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim == 4:
            return torch.zeros(1, weight.shape[1], EXAMPLE_SIZE, EXAMPLE_SIZE)
    raise ValueError(
        f"{type(model).__name__} has no convolution of maps: give what the model takes"
    )
