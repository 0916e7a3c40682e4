"""Dynamic MobileNets (arXiv 2310.15648): convolutions, activations and attention that follow each clip.

One class is the published "dymn04", "dymn10", "dymn20" and their forms with dynamic blocks only where
squeeze-and-excitation was. Parameters have the published names and shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from woosh.parts import ConfigMixin, ModelMixin, register_to_config
from woosh.taggers.mobilenet import (
    HIDDEN,
    BlockShape,
    InvertedResidual,
    Tags,
    block_shapes,
    convolution,
    mlp_head,
    rounded,
)

KERNELS = 4  # of a dynamic convolution
PIECES = 2  # lines of a dynamic ReLU
NARROWEST, WIDEST = 32, 128  # of the context at width 1
CONTEXT_DIVISOR = 4
FIRST_TEMPERATURE = 30.0


def kernel_temperature(epoch: int, first: float = FIRST_TEMPERATURE) -> float:
    """Temperature of the kernels' attention in an epoch counted from 0: it falls by 1 to 1, where it stays.

    So all kernels learn at first. Fine-tuning starts, and stays, at 1.
    """
    return max(first - epoch, 1.0)


class Context(NamedTuple):
    """What a block knows of its input."""

    vector: Tensor  # (B, H)
    bands: Tensor  # (B, C, F, 1), before the sigmoid
    frames: Tensor  # (B, C, 1, T), before the sigmoid


class BlockView(NamedTuple):
    """What a dynamic block chose for each clip."""

    expansion: Tensor | None  # attention of the kernels (B, 4); None without an expansion
    depthwise: Tensor
    projection: Tensor
    lines: Tensor  # coefficients of the dynamic ReLU (B, C, 4): two slopes, two offsets


class ContextGenerator(nn.Module):
    """Means over frames and over bands of a block's input, through one narrow layer."""

    def __init__(self, shape: BlockShape, size: int) -> None:
        super().__init__()
        self.stride = shape.stride
        self.joint_conv = nn.Conv2d(shape.before, size, 1, bias=False)
        self.joint_norm = nn.BatchNorm2d(size, eps=0.001, momentum=0.01)
        self.conv_f = nn.Conv2d(size, shape.expanded, 1)
        self.conv_t = nn.Conv2d(size, shape.expanded, 1)

    def forward(self, x: Tensor) -> Context:
        bands = x.mean(dim=3, keepdim=True)  # (B, C, F, 1)
        frames = x.mean(dim=2, keepdim=True).transpose(2, 3)  # (B, C, T, 1)
        joint = self.joint_norm(self.joint_conv(torch.cat([bands, frames], dim=2)))
        joint = functional.hardswish(joint)  # (B, H, F + T, 1)
        parts = joint.split([bands.shape[2], frames.shape[2]], dim=2)
        if self.stride > 1:
            pool = (3, 1), (self.stride, 1), (1, 0)
            parts = [functional.avg_pool2d(part, *pool) for part in parts]
        of_bands, of_frames = parts
        return Context(
            joint.mean(dim=(2, 3)), self.conv_f(of_bands), self.conv_t(of_frames.transpose(2, 3))
        )


class DynamicConvolution(nn.Module):
    """A convolution whose kernel is, for each clip, a mixture of several."""

    def __init__(self, before: int, after: int, kernel: int, context: int) -> None:
        super().__init__()
        self.before, self.after, self.kernel = before, after, kernel
        weight = torch.stack([self.fresh_kernel().flatten() for _ in range(KERNELS)])
        self.weight = nn.Parameter(weight[None, None])  # (1, 1, 4, values of a kernel)
        self.residuals = nn.ModuleList([nn.Linear(context, KERNELS)])

    @property
    def depthwise(self) -> bool:
        """Whether each channel is convolved alone: kernels larger than one place are."""
        return self.kernel > 1

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of one kernel."""
        return (self.after, 1 if self.depthwise else self.before, self.kernel, self.kernel)

    def fresh_kernel(self) -> Tensor:
        """One kernel to start training from (He, fan out)."""
        kernel = torch.empty(self.shape)
        nn.init.kaiming_normal_(kernel, mode="fan_out")
        return kernel

    def attention(self, context: Tensor, temperature: float) -> Tensor:
        """How much of each kernel (B, 4), from the context (B, H)."""
        return (self.residuals[0](context) / temperature).softmax(dim=-1)

    def forward(self, x: Tensor, attention: Tensor, stride: int = 1) -> Tensor:
        count, channels, *size = x.shape
        kernels = (attention @ self.weight[0, 0]).reshape(count * self.after, *self.shape[1:])
        groups = count * (self.before if self.depthwise else 1)
        mixed = functional.conv2d(
            x.reshape(1, count * channels, *size),
            kernels,
            stride=stride,
            padding=self.kernel // 2,
            groups=groups,
        )
        return mixed.reshape(count, self.after, *mixed.shape[2:])


class StaticConvolution(nn.Module):
    """The plain convolution in the place of a dynamic one, under the name that published files have for it."""

    def __init__(self, before: int, after: int, kernel: int) -> None:
        super().__init__()
        self.module = nn.Conv2d(
            before,
            after,
            kernel,
            padding=kernel // 2,
            groups=before if kernel > 1 else 1,
            bias=False,
        )

    def attention(self, context: Tensor, _temperature: float) -> Tensor:
        """All of the one kernel (B, 1)."""
        return context.new_ones(context.shape[0], 1)

    def forward(self, x: Tensor, _attention: Tensor, stride: int = 1) -> Tensor:
        padding, groups = self.module.padding, self.module.groups
        return functional.conv2d(x, self.module.weight, None, stride, padding, groups=groups)  # type: ignore[arg-type]


class DynamicRelu(nn.Module):
    """The larger of two lines, whose slopes and offsets follow each clip, for every channel (arXiv 2003.10027)."""

    lambdas: Tensor
    init_v: Tensor

    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        self.coef_net = nn.Sequential(nn.Linear(context, 2 * PIECES * channels))
        # On the CPU by name: they are constants, which a module on the meta device holds all the same.
        self.register_buffer("lambdas", torch.tensor([1.0, 1.0, 0.5, 0.5], device="cpu"))
        plain_relu = torch.tensor([1.0, 0.0, 0.0, 0.0], device="cpu")
        self.register_buffer("init_v", plain_relu)

    def lines(self, context: Tensor) -> Tensor:
        """Context (B, H) -> two slopes and two offsets of each channel (B, C, 4)."""
        theta = 2 * self.coef_net(context).sigmoid() - 1
        return theta.unflatten(1, (-1, 2 * PIECES)) * self.lambdas + self.init_v

    def forward(self, x: Tensor, lines: Tensor) -> Tensor:
        first, second, first_offset, second_offset = lines[..., None, None].unbind(dim=2)
        return torch.maximum(x * first + first_offset, x * second + second_offset)


class DynamicBlock(nn.Module):
    """Expansion, depthwise convolution, dynamic ReLU, attention over bands and frames, projection."""

    def __init__(
        self,
        shape: BlockShape,
        context: int,
        *,
        dynamic_convolution: bool = True,
        coordinate_attention: bool = True,
    ) -> None:
        super().__init__()

        def build(before: int, after: int, kernel: int) -> DynamicConvolution | StaticConvolution:
            if dynamic_convolution:
                return DynamicConvolution(before, after, kernel, context)
            return StaticConvolution(before, after, kernel)

        self.stride, self.keeps_shape = shape.stride, shape.keeps_shape
        self.coordinate_attention = coordinate_attention
        expanded = shape.expanded
        expands = expanded != shape.before
        self.exp_conv = build(shape.before, expanded, 1) if expands else None
        self.exp_norm = nn.BatchNorm2d(expanded, eps=0.001, momentum=0.01) if expands else None
        self.activation = shape.activation()
        self.depth_conv = build(expanded, expanded, shape.kernel)
        self.depth_norm = nn.BatchNorm2d(expanded, eps=0.001, momentum=0.01)
        self.depth_act = DynamicRelu(expanded, context)
        self.proj_conv = build(expanded, shape.after, 1)
        self.proj_norm = nn.BatchNorm2d(shape.after, eps=0.001, momentum=0.01)
        self.context_gen = ContextGenerator(shape, context)

    def view(self, context: Tensor, temperature: float) -> BlockView:
        """What the block chooses for a context (B, H)."""
        convolutions = (self.exp_conv, self.depth_conv, self.proj_conv)
        chosen = [c if c is None else c.attention(context, temperature) for c in convolutions]
        return BlockView(*chosen, lines=self.depth_act.lines(context))  # type: ignore[arg-type]

    def forward(self, x: Tensor, temperature: float) -> tuple[Tensor, BlockView]:
        """The block's map, and what it chose."""
        context = self.context_gen(x)
        chosen = self.view(context.vector, temperature)
        hidden = x
        if self.exp_conv is not None and self.exp_norm is not None:
            assert chosen.expansion is not None
            hidden = self.activation(self.exp_norm(self.exp_conv(x, chosen.expansion)))
        hidden = self.depth_norm(self.depth_conv(hidden, chosen.depthwise, self.stride))
        hidden = self.depth_act(hidden, chosen.lines)
        if self.coordinate_attention:
            hidden = hidden * context.bands.sigmoid() * context.frames.sigmoid()
        hidden = self.proj_norm(self.proj_conv(hidden, chosen.projection))
        return (x + hidden if self.keeps_shape else hidden), chosen


class DynamicMobileNet(ModelMixin, ConfigMixin):
    """Log-mel spectrograms of any length -> what is heard, and one feature vector per clip.

    Args:
        width: factor on the channels of every layer; 0.4 is "dymn04".
        classes: of the head.
        strides: of the blocks 2, 4, 7 and 13.
        replace_squeeze: dynamic blocks only where MobileNets squeeze and excite; the others stay plain.
        dynamic_convolution: False keeps plain convolutions in dynamic blocks.
        coordinate_attention: False leaves out the attention over bands and frames.

    Attributes:
        temperature: of the kernels' attention, see `kernel_temperature`.
    """

    @register_to_config
    def __init__(
        self,
        width: float = 1.0,
        classes: int = 527,
        strides: Sequence[int] = (2, 2, 2, 2),
        replace_squeeze: bool = False,
        dynamic_convolution: bool = True,
        coordinate_attention: bool = True,
    ) -> None:
        super().__init__()
        self.temperature = 1.0
        shapes = block_shapes(width, strides, (128, 1000))

        def build(shape: BlockShape) -> nn.Module:
            if replace_squeeze and not shape.squeeze:
                return InvertedResidual(shape)
            return DynamicBlock(
                shape,
                context_size(shape.expanded, width),
                dynamic_convolution=dynamic_convolution,
                coordinate_attention=coordinate_attention,
            )

        last = shapes[-1].after
        self.feature_width = 6 * last
        # In the order in which published files list them.
        self.layers = nn.ModuleList(build(shape) for shape in shapes)
        self.in_c = convolution(1, shapes[0].before, 3, stride=2, activation=nn.Hardswish)
        self.out_c = convolution(last, self.feature_width, 1, activation=nn.Hardswish)
        self.classifier = mlp_head(self.feature_width, int(HIDDEN * width), classes)

    def set_temperature(self, value: float) -> None:
        """Set the temperature of the kernels' attention.

        Raises:
            ValueError: not above 0.
        """
        if not value > 0:
            raise ValueError(f"the temperature must be above 0, got {value}")
        self.temperature = float(value)

    def forward(self, log_mel: Tensor) -> Tags:
        """Log-mel (B, 1, bands, frames) of `woosh.taggers.log_mel.LogMel` -> logits and features."""
        x = self.maps(log_mel)[-1]  # (B, feature width, bands / 32, frames / 32)
        return Tags(self.classifier(x), x.mean(dim=(2, 3)))

    def maps(self, log_mel: Tensor) -> list[Tensor]:
        """What the stem, the fifteen blocks and the last convolution make of a log-mel (B, 1, bands, frames)."""
        maps = [self.in_c(log_mel)]
        for layer in self.layers:
            if isinstance(layer, DynamicBlock):
                maps.append(layer(maps[-1], self.temperature)[0])
            else:
                maps.append(layer(maps[-1]))
        return [*maps, self.out_c(maps[-1])]

    def views(self, log_mel: Tensor) -> list[BlockView | None]:
        """What every block chooses for each clip, for study.

        Args:
            log_mel: (B, 1, bands, frames).

        Returns:
            For each of the fifteen blocks the attention of its kernels, at the temperature that is set, and the
            coefficients of its dynamic ReLU, see `BlockView`; None for a block that is not dynamic.
        """
        maps = self.maps(log_mel)
        return [
            layer.view(layer.context_gen(x).vector, self.temperature)
            if isinstance(layer, DynamicBlock)
            else None
            for layer, x in zip(self.layers, maps, strict=False)
        ]


def context_size(expanded: int, width: float) -> int:
    """H, the channels of a block's context: a quarter of the expanded ones, within bounds that follow the width."""
    least, most = rounded(NARROWEST * width), rounded(WIDEST * width)
    return min(max(rounded(expanded / CONTEXT_DIVISOR), least), most)
