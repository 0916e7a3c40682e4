"""The DenseNet form of a network of restricted receptive field: every layer sees all before it (arXiv 1907.01803).

The growth and the halving between stages are DenseNet's (arXiv 1608.06993); kernels and pools stand where `CpResNet`
has them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from woosh.taggers.fields import (
    ONE_PLACE,
    USUAL_FIELDS,
    WHOLE,
    ConvolutionForm,
    FieldConvolution,
    Fields,
    Reach,
    block_convolution,
    class_head,
    plain,
    pool,
    stem,
)
from woosh.taggers.mobilenet import Tags

HIDDEN = 4  # channels between a layer's convolutions as a multiple of the growth
STAGES = 3


def normalised(
    before: int, after: int, reach: Reach, form: ConvolutionForm
) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Batch normalisation, activation, convolution."""
    return nn.BatchNorm2d(before), nn.ReLU(), block_convolution(before, after, reach, form)


class DenseLayer(nn.Module):
    """Two convolutions, whose result goes beside what they were given."""

    def __init__(
        self, before: int, growth: int, reaches: tuple[Reach, Reach], form: ConvolutionForm
    ) -> None:
        super().__init__()
        first, second = reaches
        hidden = HIDDEN * growth
        self.layers = nn.Sequential(
            *normalised(before, hidden, first, form), *normalised(hidden, growth, second, form)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], dim=1)


class CpDenseNet(nn.Module):
    """Spectrograms of any length -> what is heard, and one feature vector per clip.

    Args:
        growth: channels that each block adds; the stem makes twice as many.
        channels: of the spectrogram.
        classes: of the head.
        fields: blocks, and what they see along both axes.
        form: of the blocks' convolutions.
    """

    def __init__(
        self,
        growth: int = 64,
        channels: int = 2,
        classes: int = 10,
        fields: Fields = USUAL_FIELDS,
        form: ConvolutionForm = WHOLE,
    ) -> None:
        super().__init__()
        self.config = {
            "growth": growth,
            "channels": channels,
            "classes": classes,
            "fields": fields,
            "form": form,
        }
        before = 2 * growth
        layers: list[nn.Module] = [stem(channels, before, fields, form)]
        for stage in range(STAGES):
            for number in fields.numbers(stage):
                reaches = (fields.reach(number, 0), fields.reach(number, 1))
                layers.append(DenseLayer(before, growth, reaches, form))
                layers.append(pool(fields.pool_after(number)))
                before += growth
            if stage < STAGES - 1:  # half the channels go on
                half = before // 2
                joined = FieldConvolution(before, half, ONE_PLACE, plain(form))
                layers.append(nn.Sequential(nn.BatchNorm2d(before), nn.ReLU(), joined))
                before = half
        layers += [nn.BatchNorm2d(before), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.feature_width = before
        self.feed_forward = class_head(before, classes, form)

    def forward(self, x: Tensor) -> Tags:
        """Classify spectrograms (B, channels, bands, frames)."""
        last = self.features(x)  # (B, feature width, F, T)
        return Tags(self.feed_forward(last), last.mean(dim=(2, 3)))
