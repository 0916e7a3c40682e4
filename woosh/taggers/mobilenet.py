"""The trunk of an efficient audio network: MobileNetV3-Large on a log-mel spectrogram (arXiv 2211.04772)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


class BlockSize(NamedTuple):
    """One inverted residual block at width 1."""

    kernel: int
    expanded: int  # channels between expansion and projection
    out: int
    squeeze: bool  # squeeze-and-excitation between depthwise convolution and projection
    activation: type[nn.Module]
    stride: int


STEM_CHANNELS = 16
BLOCKS = (
    BlockSize(3, 16, 16, False, nn.ReLU, 1),
    BlockSize(3, 64, 24, False, nn.ReLU, 2),
    BlockSize(3, 72, 24, False, nn.ReLU, 1),
    BlockSize(5, 72, 40, True, nn.ReLU, 2),
    BlockSize(5, 120, 40, True, nn.ReLU, 1),
    BlockSize(5, 120, 40, True, nn.ReLU, 1),
    BlockSize(3, 240, 80, False, nn.Hardswish, 2),
    BlockSize(3, 200, 80, False, nn.Hardswish, 1),
    BlockSize(3, 184, 80, False, nn.Hardswish, 1),
    BlockSize(3, 184, 80, False, nn.Hardswish, 1),
    BlockSize(3, 480, 112, True, nn.Hardswish, 1),
    BlockSize(3, 672, 112, True, nn.Hardswish, 1),
    BlockSize(5, 672, 160, True, nn.Hardswish, 2),
    BlockSize(5, 960, 160, True, nn.Hardswish, 1),
    BlockSize(5, 960, 160, True, nn.Hardswish, 1),
)


def rounded(channels: float) -> int:
    """The multiple of 8 nearest to a number of channels, at least 8 and 90 % of it."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def convolution(
    before: int,
    after: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] = nn.Identity,
) -> nn.Sequential:
    """Convolution without bias, batch normalisation, activation."""
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after, eps=0.001, momentum=0.01),
        activation(),
    )


class SqueezeExcitation(nn.Module):
    """Weigh every channel of a map (B, C, F, T) by what its mean says (arXiv 1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, rounded(channels / 4))
        self.fc2 = nn.Linear(rounded(channels / 4), channels)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.fc1(x.mean(dim=(2, 3))).relu()  # (B, C / 4)
        weight = self.fc2(hidden).sigmoid()  # (B, C)
        return x * weight[:, :, None, None]


class ChannelSqueeze(nn.Module):
    """Squeeze-and-excitation under the name that published checkpoints have for a list of them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList([SqueezeExcitation(channels)])

    def forward(self, x: Tensor) -> Tensor:
        return self.conc_se_layers[0](x)


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, squeeze-and-excitation, projection (arXiv 1905.02244)."""

    def __init__(self, before: int, size: BlockSize, width: float) -> None:
        super().__init__()
        expanded, after = rounded(size.expanded * width), rounded(size.out * width)
        layers: list[nn.Module] = []
        if expanded != before:
            layers.append(convolution(before, expanded, 1, activation=size.activation))
        layers.append(
            convolution(
                expanded, expanded, size.kernel, size.stride, expanded, activation=size.activation
            )
        )
        if size.squeeze:
            layers.append(ChannelSqueeze(expanded))
        layers.append(convolution(expanded, after, 1))
        self.block = nn.Sequential(*layers)
        self.keeps_shape = before == after and size.stride == 1

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.keeps_shape else self.block(x)


class MobileNet(ModelMixin, ConfigMixin):
    """Log-mel spectrograms of any length -> one feature vector per clip.

    Its parameters have the names and shapes of the published networks, whose classifier stands
    apart: width 1 is the trunk of "mn10".

    Args:
        width: factor on the channels of every layer.
    """

    @register_to_config
    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        before = rounded(STEM_CHANNELS * width)
        layers: list[nn.Module] = [convolution(1, before, 3, 2, activation=nn.Hardswish)]
        for size in BLOCKS:
            layers.append(InvertedResidual(before, size, width))
            before = rounded(size.out * width)
        self.feature_width = 6 * before
        layers.append(convolution(before, self.feature_width, 1, activation=nn.Hardswish))
        self.features = nn.Sequential(*layers)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Log-mel (B, bands, T) of `woosh.taggers.log_mel.LogMel` -> features (B, feature_width)."""
        stem, *blocks = self.features
        maps = stem(log_mel[:, None])  # (B, 16 width, bands / 2, T / 2)
        # Channels last in memory: depthwise convolutions are half as long about it on a CPU.
        maps = maps.contiguous(memory_format=torch.channels_last)
        for block in blocks:
            maps = block(maps)  # at last (B, feature_width, bands / 32, T / 32)
        return maps.mean(dim=(2, 3))
