"""CP-Mobile: a small network of inverted residual blocks for acoustic scenes (arXiv 2503.11363).

Parameters have the published names and shapes. Maps are (B, C, F, T).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from woosh.taggers.mobilenet import Tags, fully_convolutional_head, rounded
from woosh.weight_files import MOST_BLOCKS

STEM_SHARE = 4  # the first of the two first convolutions has a quarter of the base's channels
POOL = 3  # places along both axes that a strided shortcut averages
FLOOR = 1e-6  # beside the mean response


class ResponseNorm(nn.Module):
    """Global response normalisation with one scale and one offset for all channels (after arXiv 2301.00808).

    y = gamma x |x_c| / (mean over channels of |x| + 1e-6) + beta + x,   |x_c| over all places of a channel
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.beta = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        response = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        share = response / (response.mean(dim=1, keepdim=True) + FLOOR)
        return self.gamma * (x * share) + self.beta + x


def normalised(
    before: int,
    after: int,
    kernel: int,
    stride: Sequence[int] = (1, 1),
    groups: int = 1,
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Convolution without bias, batch normalisation, activation."""
    rows, columns = stride
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, (rows, columns), kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
        activation(),
    )


class MobileBlock(nn.Module):
    """Expansion, depthwise convolution, projection; added where channels agree, then normalised by its response.

    Args:
        before: channels given.
        after: channels made.
        expansion: factor on the channels between.
        stride: along frequency and time.
    """

    def __init__(self, before: int, after: int, expansion: float, stride: Sequence[int]) -> None:
        super().__init__()
        expanded = rounded(before * expansion)
        self.after_block_norm = ResponseNorm()
        self.block = nn.Sequential(
            normalised(before, expanded, 1),
            normalised(expanded, expanded, 3, stride, groups=expanded),
            normalised(expanded, after, 1, activation=nn.Identity),
        )
        self.shortcut: nn.Module | None = None
        if before == after:
            rows, columns = stride
            strided = (rows, columns) != (1, 1)
            pool = nn.AvgPool2d(POOL, (rows, columns), padding=POOL // 2)
            self.shortcut = pool if strided else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        made = self.block(x)
        if self.shortcut is not None:
            made = made + self.shortcut(x)
        return self.after_block_norm(made).relu()


class CpMobile(nn.Module):
    """Spectrograms of any length -> what is heard, and one feature vector per clip.

    Args:
        base: channels of the first stage.
        multiplier: factor on the channels from stage to stage.
        expansion: factor on a block's channels between expansion and projection.
        blocks: of each stage.
        strides: along frequency and time, of blocks counted from 1 through all stages; others have none. The numbers may
            be texts, as saved files have them.
        channels: of the spectrogram.
        classes: of the head.

    Raises:
        ValueError: no block, or more than a thousand.
    """

    def __init__(  # noqa: PLR0913
        self,
        base: int = 32,
        multiplier: float = 2.3,
        expansion: float = 3.0,
        blocks: Sequence[int] = (3, 2, 1),
        strides: Mapping[Any, Sequence[int]] = {2: (2, 2), 4: (2, 1)},  # noqa: B006 - never changed
        channels: int = 1,
        classes: int = 10,
    ) -> None:
        super().__init__()
        if not 0 < sum(blocks) <= MOST_BLOCKS:
            raise ValueError(f"blocks are {list(blocks)}: from 1 to {MOST_BLOCKS} together")
        self.config = {
            "base": base,
            "multiplier": multiplier,
            "expansion": expansion,
            "blocks": blocks,
            "strides": strides,
            "channels": channels,
            "classes": classes,
        }
        strides = {int(block): stride for block, stride in strides.items()}
        before = rounded(base)
        first = max(1, before // STEM_SHARE)
        self.in_c = nn.Sequential(
            normalised(channels, first, 3, (2, 2)), normalised(first, before, 3, (2, 2))
        )
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        number = 0
        for stage, count in enumerate(blocks):
            layers: OrderedDict[str, nn.Module] = OrderedDict()
            after = rounded(base * multiplier**stage)
            for _ in range(count):
                number += 1
                stride = strides.get(number, (1, 1))
                layers[f"b{number}"] = MobileBlock(before, after, expansion, stride)
                before = after
            stages[f"s{stage + 1}"] = nn.Sequential(layers)
        self.stages = nn.Sequential(stages)
        self.feature_width = before
        self.feed_forward = fully_convolutional_head(before, classes)

    def forward(self, x: Tensor) -> Tags:
        """Classify spectrograms (B, channels, bands, frames)."""
        last = self.maps(x)[-1]
        return Tags(self.feed_forward(last), last.mean(dim=(2, 3)))

    def maps(self, x: Tensor) -> list[Tensor]:
        """What every block makes of spectrograms (B, channels, bands, frames)."""
        hidden, maps = self.in_c(x), []
        for stage in self.stages:
            for block in stage:  # type: ignore[union-attr]
                hidden = block(hidden)
                maps.append(hidden)
        return maps
