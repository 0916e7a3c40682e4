"""Efficient audio networks: MobileNetV3-Large on a log-mel spectrogram (arXiv 2211.04772).

One class is every published network "mn01" to "mn40": widths, heads, strides and axes of squeeze-and-excitation.
Parameters have the published names and shapes. Maps are (B, C, F, T): channels, bands, frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from woosh.parts import ConfigMixin, ModelMixin, register_to_config

HEADS = ("mlp", "fully_convolutional", "attention")
AXES = {"c": 1, "f": 2, "t": 3}  # dimensions of a map that squeeze-and-excitation may weigh
MERGES = ("max", "mean", "sum", "min")
STRIDED = (2, 4, 7, 13)  # blocks whose stride may be chosen, counted from 1
TAIL = 13  # the first block of the part that may be reduced or dilated
ATTENTION_FLOOR = 1e-7


class BlockSize(NamedTuple):
    """One inverted residual block at width 1."""

    kernel: int
    expanded: int  # channels between expansion and projection
    out: int
    squeeze: bool  # squeeze-and-excitation between depthwise convolution and projection
    activation: type[nn.Module]


STEM_CHANNELS = 16
HIDDEN = 1280  # channels of the head's hidden layer at width 1
BLOCKS = (
    BlockSize(3, 16, 16, False, nn.ReLU),
    BlockSize(3, 64, 24, False, nn.ReLU),
    BlockSize(3, 72, 24, False, nn.ReLU),
    BlockSize(5, 72, 40, True, nn.ReLU),
    BlockSize(5, 120, 40, True, nn.ReLU),
    BlockSize(5, 120, 40, True, nn.ReLU),
    BlockSize(3, 240, 80, False, nn.Hardswish),
    BlockSize(3, 200, 80, False, nn.Hardswish),
    BlockSize(3, 184, 80, False, nn.Hardswish),
    BlockSize(3, 184, 80, False, nn.Hardswish),
    BlockSize(3, 480, 112, True, nn.Hardswish),
    BlockSize(3, 672, 112, True, nn.Hardswish),
    BlockSize(5, 672, 160, True, nn.Hardswish),
    BlockSize(5, 960, 160, True, nn.Hardswish),
    BlockSize(5, 960, 160, True, nn.Hardswish),
)


class Tags(NamedTuple):
    """What a tagger says of a batch of clips."""

    logits: Tensor | None  # (B, classes); None from a network without a head
    features: Tensor  # (B, feature width)


def rounded(channels: float) -> int:
    """The multiple of 8 nearest to a number of channels, at least 8 and 90 % of it."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def convolution(
    before: int,
    after: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    activation: type[nn.Module] = nn.Identity,
) -> nn.Sequential:
    """Convolution without bias, batch normalisation, activation."""
    padding = (kernel - 1) // 2 * dilation
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(after, eps=0.001, momentum=0.01),
        activation(),
    )


class SqueezeExcitation(nn.Module):
    """Weigh the entries of one axis of a map by what its means over the other axes say (arXiv 1709.01507)."""

    def __init__(self, axis: int, size: int, divisor: int) -> None:
        super().__init__()
        self.axis, self.size = axis, size
        self.fc1 = nn.Linear(size, rounded(size // divisor))
        self.fc2 = nn.Linear(rounded(size // divisor), size)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[self.axis] != self.size:
            raise ValueError(
                f"this network weighs {self.size} entries of dimension {self.axis}, the map has "
                f"{x.shape[self.axis]}: its squeeze-and-excitation fixes the size of the spectrogram"
            )
        others = [axis for axis in (1, 2, 3) if axis != self.axis]
        hidden = self.fc1(x.mean(dim=others)).relu()  # (B, size / divisor)
        weight = self.fc2(hidden).sigmoid()  # (B, size)
        shape = [x.shape[0], 1, 1, 1]  # not len(x), which would fix the batch of an exported graph
        shape[self.axis] = self.size
        return x * weight.reshape(shape)


class ConcurrentSqueeze(nn.Module):
    """Squeeze-and-excitation of several axes side by side, their maps merged entry by entry."""

    def __init__(self, axes: Sequence[SqueezeExcitation], merge: str) -> None:
        super().__init__()
        self.merge = merge
        self.conc_se_layers = nn.ModuleList(axes)

    def forward(self, x: Tensor) -> Tensor:
        if len(self.conc_se_layers) == 1:
            return self.conc_se_layers[0](x)
        maps = torch.stack([layer(x) for layer in self.conc_se_layers])
        if self.merge in ("max", "min"):
            return maps.amax(dim=0) if self.merge == "max" else maps.amin(dim=0)
        return maps.mean(dim=0) if self.merge == "mean" else maps.sum(dim=0)


class BlockShape(NamedTuple):
    """An inverted residual block of a network: a `BlockSize` at its width, in its place."""

    before: int  # channels
    expanded: int
    after: int
    kernel: int
    stride: int
    dilation: int
    activation: type[nn.Module]
    squeeze: bool
    bands: int  # of the map that it makes
    frames: int

    @property
    def keeps_shape(self) -> bool:
        """Whether what it makes can be added to what it was given."""
        return self.before == self.after and self.stride == 1


def block_shapes(
    width: float,
    strides: Sequence[int],
    input_size: Sequence[int],
    *,
    reduced_tail: bool = False,
    dilated: bool = False,
) -> list[BlockShape]:
    """The fifteen blocks of a network.

    Args:
        width: factor on all channels.
        strides: of the blocks `STRIDED`.
        input_size: bands and frames of the spectrogram.
        reduced_tail: half the channels from the last strided block on.
        dilated: a dilation of 2 from the last strided block on, in place of its stride.

    Raises:
        ValueError: not four strides, or not bands and frames.
    """
    if len(strides) != len(STRIDED) or not set(strides) <= {1, 2}:
        raise ValueError(f"strides must be four of 1 or 2, got {list(strides)}")
    if len(input_size) != 2 or min(input_size) < 1:
        raise ValueError(f"input_size must be bands and frames, got {list(input_size)}")
    bands, frames = (-(-size // 2) for size in input_size)  # after the stem
    before, shapes = rounded(STEM_CHANNELS * width), []
    by_block: dict[int, int] = dict(zip(STRIDED, strides, strict=True))
    for number, size in enumerate(BLOCKS, start=1):
        tail = number >= TAIL
        half_out = 2 if reduced_tail and tail else 1
        half_expanded = 2 if reduced_tail and number > TAIL else 1
        stride = 1 if dilated and tail else by_block.get(number, 1)
        bands, frames = -(-bands // stride), -(-frames // stride)
        after = rounded(size.out // half_out * width)
        shapes.append(
            BlockShape(
                before,
                rounded(size.expanded // half_expanded * width),
                after,
                size.kernel,
                stride,
                2 if dilated and tail else 1,
                size.activation,
                size.squeeze,
                bands,
                frames,
            )
        )
        before = after
    return shapes


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, squeeze-and-excitation, projection (arXiv 1905.02244)."""

    def __init__(self, shape: BlockShape, squeeze: nn.Module | None = None) -> None:
        super().__init__()
        expanded, activation = shape.expanded, shape.activation
        layers: list[nn.Module] = []
        if expanded != shape.before:
            layers.append(convolution(shape.before, expanded, 1, activation=activation))
        layers.append(
            convolution(
                expanded,
                expanded,
                shape.kernel,
                stride=shape.stride,
                dilation=shape.dilation,
                groups=expanded,
                activation=activation,
            )
        )
        if squeeze is not None:
            layers.append(squeeze)
        layers.append(convolution(expanded, shape.after, 1))
        self.block = nn.Sequential(*layers)
        self.keeps_shape = shape.keeps_shape

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.keeps_shape else self.block(x)


class AttentionPooling(nn.Module):
    """Classes from a map, every frame weighed for every class, by several heads.

    Args:
        channels: C, of the map.
        classes: of the result.
        heads: mixed with learned weights.
    """

    def __init__(self, channels: int, classes: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_weight = nn.Parameter(torch.full((1, heads, 1), 1 / heads))
        self.subspace_proj = nn.Linear(channels, 2 * heads * classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, T) -> logits (B, classes)."""
        frames = x.mean(dim=2).transpose(1, 2)  # (B, T, C)
        projected = self.subspace_proj(frames).unflatten(-1, (2, self.heads, -1))
        attention, value = projected.unbind(dim=2)  # (B, T, H, classes) each
        weight = attention.sigmoid().clamp(ATTENTION_FLOOR, 1 - ATTENTION_FLOOR)
        weight = weight / weight.sum(dim=1, keepdim=True)
        return ((weight * value).sum(dim=1) * self.head_weight).sum(dim=1)


def mlp_head(channels: int, hidden: int, classes: int) -> nn.Sequential:
    """Mean of the map, one hidden layer: (B, C, F, T) -> logits (B, classes)."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, hidden),
        nn.Hardswish(),
        nn.Dropout(0.2),
        nn.Linear(hidden, classes),
    )


def fully_convolutional_head(channels: int, classes: int) -> nn.Sequential:
    """Classes of every place of the map, then their mean: (B, C, F, T) -> logits (B, classes)."""
    return nn.Sequential(
        nn.Conv2d(channels, classes, 1, bias=False),
        nn.BatchNorm2d(classes),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


class MobileNet(ModelMixin, ConfigMixin):
    """Log-mel spectrograms of any length -> what is heard, and one feature vector per clip.

    Args:
        width: factor on the channels of every layer; 0.4 is "mn04".
        classes: of the head; None leaves the head out, for a network that is to embed.
        head: one of `HEADS`: pooling and a hidden layer, classes of every place, or attention pooling.
        attention_heads: of the attention pooling.
        strides: of the blocks 2, 4, 7 and 13: 1 keeps the resolution.
        squeeze_axes: axes of squeeze-and-excitation, of "c", "f" and "t"; empty leaves it out. "f" and "t" fix the
            size of the spectrogram.
        squeeze_merge: one of `MERGES`, of several axes' maps.
        squeeze_divisor: by how much squeeze-and-excitation narrows.
        input_size: bands and frames of the spectrogram; of no effect unless "f" or "t" is squeezed.
        reduced_tail: half the channels in the last three blocks and the head.
        dilated: the last three blocks look twice as far in place of the last stride.
    """

    @register_to_config
    def __init__(  # noqa: PLR0913
        self,
        width: float = 1.0,
        classes: int | None = None,
        head: str = "mlp",
        attention_heads: int = 4,
        strides: Sequence[int] = (2, 2, 2, 2),
        squeeze_axes: str = "c",
        squeeze_merge: str = "max",
        squeeze_divisor: int = 4,
        input_size: Sequence[int] = (128, 1000),
        reduced_tail: bool = False,
        dilated: bool = False,
    ) -> None:
        super().__init__()
        if head not in HEADS or squeeze_merge not in MERGES:
            raise ValueError(
                f"head is {head!r}, of {', '.join(HEADS)}; squeeze_merge is {squeeze_merge!r}, of "
                f"{', '.join(MERGES)}"
            )
        if not set(squeeze_axes) <= set(AXES) or len(set(squeeze_axes)) != len(squeeze_axes):
            raise ValueError(f"squeeze_axes must be of c, f and t, got {squeeze_axes!r}")

        def squeeze(shape: BlockShape) -> nn.Module | None:
            sizes = {"c": shape.expanded, "f": shape.bands, "t": shape.frames}
            parts = [
                SqueezeExcitation(AXES[axis], sizes[axis], squeeze_divisor)
                for axis in AXES
                if axis in squeeze_axes
            ]
            return ConcurrentSqueeze(parts, squeeze_merge) if shape.squeeze and parts else None

        shapes = block_shapes(
            width, strides, input_size, reduced_tail=reduced_tail, dilated=dilated
        )
        stem = convolution(1, shapes[0].before, 3, stride=2, activation=nn.Hardswish)
        blocks = [InvertedResidual(shape, squeeze(shape)) for shape in shapes]
        last = shapes[-1].after
        self.feature_width = 6 * last
        final = convolution(last, self.feature_width, 1, activation=nn.Hardswish)
        self.features = nn.Sequential(stem, *blocks, final)
        hidden = int(HIDDEN // (2 if reduced_tail else 1) * width)
        self.classifier = (
            None if classes is None else build_head(head, self, hidden, classes, attention_heads)
        )

    def forward(self, log_mel: Tensor) -> Tags:
        """Log-mel (B, 1, bands, frames) of `woosh.taggers.log_mel.LogMel` -> logits and features."""
        x = self.maps(log_mel)[-1]  # (B, feature width, bands / 32, frames / 32)
        return Tags(None if self.classifier is None else self.classifier(x), x.mean(dim=(2, 3)))

    def maps(self, log_mel: Tensor) -> list[Tensor]:
        """What the stem, the fifteen blocks and the last convolution make of a log-mel (B, 1, bands, frames)."""
        stem, *blocks = self.features
        maps = [stem(log_mel)]  # (B, 16 width, bands / 2, frames / 2)
        # Channels last in memory: depthwise convolutions are half as long about it on a CPU.
        maps[0] = maps[0].contiguous(memory_format=torch.channels_last)
        for block in blocks:
            maps.append(block(maps[-1]))
        return maps


def build_head(
    head: str, network: MobileNet, hidden: int, classes: int, attention_heads: int
) -> nn.Module:
    """One of `HEADS` for the maps of a network."""
    if head == "mlp":
        return mlp_head(network.feature_width, hidden, classes)
    if head == "fully_convolutional":
        return fully_convolutional_head(network.feature_width, classes)
    return AttentionPooling(network.feature_width, classes, attention_heads)
