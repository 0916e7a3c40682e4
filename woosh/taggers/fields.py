"""How far a convolutional network may see along frequency and along time, and the convolutions that keep to it.

The receptive field as a regulariser (arXiv 1907.01803), the ways of restricting it (arXiv 2105.12395), the frequency
as one more channel (arXiv 1909.02859) and damped kernels (arXiv 2011.02955). Maps are (B, C, F, T).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from woosh.weight_files import MOST_BLOCKS

STEM_KERNEL, STEM_STRIDE, STEM_PADDING = 5, 2, 1


def wide_kernels(rho: int, convolutions: int = 24) -> tuple[int, ...]:
    """Kernel sizes of a network's convolutions in order: 3, 1, then `rho` of 3, and 1 for all others.

    Raises:
        ValueError: rho is negative, or more than there are convolutions after the second.
    """
    if not 0 <= rho <= convolutions - 2:
        raise ValueError(f"rho is {rho}; it must be from 0 to {convolutions - 2}")
    return (3, 1, *[3] * rho, *[1] * (convolutions - 2 - rho))


@dataclass(frozen=True)
class Axis:
    """What restricts the field along one axis, frequency or time.

    Attributes:
        kernels: of the blocks' convolutions, two for each block, in order; odd.
        dilation: of these convolutions.
        halved_after: blocks after which a pool of 2 follows, counted from 1 through all stages.
        damping: weight of a kernel's edges, its middle has 1 (see `damping_line`); 1 damps nothing.
    """

    kernels: Sequence[int] = wide_kernels(5)
    dilation: int = 1
    halved_after: Sequence[int] = (1, 2, 4)
    damping: float = 1.0

    def __post_init__(self) -> None:
        if self.dilation < 1 or any(kernel < 1 or kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(
                f"kernels are {list(self.kernels)} with dilation {self.dilation}: they must be odd, the dilation 1 or more"
            )
        if not 0 <= self.damping <= 1:
            raise ValueError(f"damping is {self.damping}; it must be from 0 to 1")


class Reach(NamedTuple):
    """What one convolution sees, (frequency, time) each."""

    kernel: tuple[int, int]
    dilation: tuple[int, int]
    damping: tuple[float, float]  # of the kernel's edges

    @property
    def padding(self) -> tuple[int, int]:
        """What keeps the size of the map."""
        along_frequency, along_time = (
            d * (k - 1) // 2 for k, d in zip(self.kernel, self.dilation, strict=True)
        )
        return along_frequency, along_time


ONE_PLACE = Reach((1, 1), (1, 1), (1.0, 1.0))


@dataclass(frozen=True)
class Fields:
    """Everything that decides what a network of three stages sees.

    Attributes:
        blocks: of each stage, two convolutions each; a stage may have none.
        frequency: what restricts the field along frequency.
        time: likewise along time.

    Raises:
        ValueError: no three stages, more than a thousand blocks, or kernels of another number of convolutions.
    """

    blocks: Sequence[int] = (4, 4, 4)
    frequency: Axis = Axis()
    time: Axis = Axis()

    def __post_init__(self) -> None:
        if sum(self.blocks) > MOST_BLOCKS:
            raise ValueError(f"blocks are {list(self.blocks)}: at most {MOST_BLOCKS} together")
        convolutions = 2 * sum(self.blocks)
        counts = {len(self.frequency.kernels), len(self.time.kernels)}
        if len(self.blocks) != 3 or min(self.blocks) < 0 or counts != {convolutions}:
            raise ValueError(
                f"blocks are {list(self.blocks)}, with kernels for {sorted(counts)} convolutions: name three stages, and "
                "two kernels for each block"
            )

    def reach(self, block: int, convolution: int) -> Reach:
        """What the convolution 0 or 1 of a block sees; blocks are counted from 1 through all stages."""
        place = 2 * (block - 1) + convolution
        axes = (self.frequency, self.time)
        frequency_kernel, time_kernel = (axis.kernels[place] for axis in axes)
        return Reach(
            (frequency_kernel, time_kernel),
            (self.frequency.dilation, self.time.dilation),
            self.damping,
        )

    @property
    def damping(self) -> tuple[float, float]:
        """Of the edges of kernels (frequency, time)."""
        return self.frequency.damping, self.time.damping

    def pool_after(self, block: int) -> tuple[int, int]:
        """Size and stride of the pool after a block, (1, 1) for none."""
        along_frequency, along_time = (
            2 if block in axis.halved_after else 1 for axis in (self.frequency, self.time)
        )
        return along_frequency, along_time

    @property
    def least_frames(self) -> int:
        """Frames of which the stem and the pools along time leave one."""
        pools = len([block for block in self.time.halved_after if block <= sum(self.blocks)])
        return 2 ** (pools + 1) + STEM_KERNEL - 2 * STEM_PADDING - STEM_STRIDE

    def numbers(self, stage: int) -> range:
        """The blocks of a stage (counted from 0), counted from 1 through all stages."""
        before = sum(self.blocks[:stage])
        return range(before + 1, before + self.blocks[stage] + 1)


@dataclass(frozen=True)
class ConvolutionForm:
    """What the convolutions of a network are, whatever they see.

    Attributes:
        coordinates: every convolution of a block gets the frequency as one more channel, see `frequency_plane`.
        decomposition: by how much the wide convolution is narrower than its result, with a convolution of one place
            before and after it; None leaves it whole.
        groups: of channels that do not mix.
        prunable: weights may be masked out; the masks travel with them.

    Raises:
        ValueError: coordinates together with groups or a decomposition, which are not defined.
    """

    coordinates: bool = False
    decomposition: int | None = None
    groups: int = 1
    prunable: bool = False

    def __post_init__(self) -> None:
        if self.coordinates and (self.groups > 1 or self.decomposition is not None):
            raise ValueError("coordinates go with neither groups nor a decomposition: choose one")


USUAL_FIELDS = Fields()
WHOLE = ConvolutionForm()


def damping_line(kernel: int, least: float) -> Tensor:
    """Weights (kernel,) that fall in a straight line from 1 in the middle to `least` at the edges.

    C_i = 1 - (1 - least) |i - m| / m,  m = (kernel - 1) / 2;  1 where m is 0         (arXiv 2011.02955)
    """
    middle = (kernel - 1) / 2
    if middle == 0:
        return torch.ones(1, device="cpu")
    distance = (torch.arange(kernel, device="cpu") - middle).abs()
    return 1 - (1 - least) * distance / middle


def damping_plane(kernel: tuple[int, int], least: tuple[float, float]) -> Tensor:
    """The product of both axes' `damping_line`: (frequency, time)."""
    lines = [damping_line(size, edge) for size, edge in zip(kernel, least, strict=True)]
    return lines[0][:, None] * lines[1]


def frequency_plane(x: Tensor) -> Tensor:
    """The frequency of every place of a map (B, C, F, T): (B, 1, F, T), 2 i / F - 1 in row i (arXiv 1909.02859)."""
    count, _, bands, frames = x.shape
    line = 2 * torch.arange(bands, dtype=x.dtype, device=x.device) / bands - 1
    return line[:, None].expand(count, 1, bands, frames)


class FieldConvolution(nn.Module):
    """A convolution without bias that keeps to its reach: (B, C, F, T) -> (B, C', F, T).

    Args:
        before: channels C.
        after: channels C'.
        reach: what it sees.
        form: coordinates, groups and masks; a decomposition is `DecomposedConvolution`'s.
        stride: along both axes.
        padding: along both axes; None keeps the size.

    Raises:
        ValueError: channels that the groups cannot share.
    """

    damping: Tensor | None
    prune_mask: Tensor | None

    def __init__(
        self,
        before: int,
        after: int,
        reach: Reach = ONE_PLACE,
        form: ConvolutionForm = WHOLE,
        stride: int = 1,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        self.reach, self.stride, self.form = reach, stride, form
        self.padding = reach.padding if padding is None else (padding, padding)
        given = before + 1 if form.coordinates else before
        if given % form.groups or after % form.groups:
            raise ValueError(
                f"{given} and {after} channels cannot be shared by {form.groups} groups: choose another width or groups"
            )
        weight = torch.empty(after, given // form.groups, *reach.kernel)
        nn.init.kaiming_normal_(weight, nonlinearity="relu")
        self.weight = nn.Parameter(weight)
        # Constants on the CPU by name, which a module on the meta device holds all the same.
        damped = reach.damping != (1.0, 1.0) and math.prod(reach.kernel) > 1
        plane = damping_plane(reach.kernel, reach.damping) if damped else None
        self.register_buffer("damping", plane, persistent=False)
        mask = torch.ones(weight.shape, device="cpu") if form.prunable else None
        self.register_buffer("prune_mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        for factor in (self.damping, self.prune_mask):
            weight = weight if factor is None else weight * factor
        if self.form.coordinates:
            x = torch.cat([x, frequency_plane(x)], dim=1)
        return functional.conv2d(
            x, weight, None, self.stride, self.padding, self.reach.dilation, self.form.groups
        )


class DecomposedConvolution(nn.Module):
    """A wide convolution between two of one place, `decomposition` times as narrow as the result (arXiv 2011.02955)."""

    def __init__(self, before: int, after: int, reach: Reach, form: ConvolutionForm) -> None:
        super().__init__()
        if form.decomposition is None or after % form.decomposition:
            raise ValueError(
                f"{after} channels cannot be decomposed by {form.decomposition}: choose a divisor"
            )
        narrow = after // form.decomposition
        self.conv1 = FieldConvolution(before, narrow, ONE_PLACE, form)
        self.conv2 = FieldConvolution(narrow, narrow, reach, form)
        self.conv3 = FieldConvolution(narrow, after, ONE_PLACE, form)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(x)))


def block_convolution(before: int, after: int, reach: Reach, form: ConvolutionForm) -> nn.Module:
    """One of a block's convolutions, whole or decomposed."""
    if form.decomposition is None:
        return FieldConvolution(before, after, reach, form)
    return DecomposedConvolution(before, after, reach, form)


def plain(form: ConvolutionForm) -> ConvolutionForm:
    """The form of stem, shortcuts and head: masks alone."""
    return ConvolutionForm(prunable=form.prunable)


def stem(channels: int, width: int, fields: Fields, form: ConvolutionForm) -> nn.Sequential:
    """The first layer: (B, channels, bands, frames) -> (B, width, about bands / 2, about frames / 2).

    It pads by one, so that it does not keep the size; of a decomposed network it is not damped.
    """
    damping = (1.0, 1.0) if form.decomposition else fields.damping
    reach = Reach((STEM_KERNEL, STEM_KERNEL), (1, 1), damping)
    return nn.Sequential(
        FieldConvolution(channels, width, reach, plain(form), STEM_STRIDE, STEM_PADDING),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


def pool(size: tuple[int, int]) -> nn.Module:
    """Maximum over the places that a pool of `Fields.pool_after` joins."""
    return nn.Identity() if size == (1, 1) else nn.MaxPool2d(size)


def class_head(channels: int, classes: int, form: ConvolutionForm) -> nn.Sequential:
    """Classes of every place of the map, then their mean: (B, C, F, T) -> logits (B, classes)."""
    return nn.Sequential(
        FieldConvolution(channels, classes, ONE_PLACE, plain(form)),
        nn.BatchNorm2d(classes),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
