"""CP-ResNet: a residual network of restricted receptive field (arXiv 1907.01803, 2105.12395).

One class is every published form: each rho, frequency-aware (arXiv 1909.02859), frequency-damped and decomposed
(arXiv 2011.02955), with blocks removed, and with two branches that shake (arXiv 2007.13503). Parameters have the
published names and shapes. Maps are (B, C, F, T).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Generator, Tensor, nn

from woosh.taggers.fields import (
    ONE_PLACE,
    USUAL_FIELDS,
    WHOLE,
    ConvolutionForm,
    Fields,
    Reach,
    block_convolution,
    class_head,
    pool,
    stem,
)
from woosh.taggers.mobilenet import Tags
from woosh.taggers.shake_shake import shaken

STAGES = (1, 2, 4)  # channels of the stages as multiples of the width


def two_convolutions(
    before: int, after: int, reaches: tuple[Reach, Reach], form: ConvolutionForm
) -> dict[str, nn.Module]:
    """The layers of a branch by their published names."""
    first, second = reaches
    return {
        "conv1": block_convolution(before, after, first, form),
        "bn1": nn.BatchNorm2d(after),
        "conv2": block_convolution(after, after, second, form),
        "bn2": nn.BatchNorm2d(after),
    }


def through(branch: Any, x: Tensor) -> Tensor:
    """A map through the layers of `two_convolutions`, before it is added."""
    hidden = branch.bn1(branch.conv1(x)).relu()
    return branch.bn2(branch.conv2(hidden))


class Block(nn.Module):
    """Two convolutions, or two branches of them, added to what they were given.

    Args:
        before: channels given.
        after: channels made; others than given need a shortcut of one place.
        reaches: of both convolutions.
        form: of the convolutions.
        shakes: whether there are two branches.
    """

    def __init__(
        self,
        before: int,
        after: int,
        reaches: tuple[Reach, Reach],
        form: ConvolutionForm,
        shakes: bool,
    ) -> None:
        super().__init__()
        for name, layer in two_convolutions(before, after, reaches, form).items():
            self.add_module(name, layer)
        self.shortcut: nn.Module = nn.Identity()
        if before != after:
            layers = OrderedDict(
                conv=block_convolution(before, after, ONE_PLACE, without_coordinates(form)),
                bn=nn.BatchNorm2d(after),
            )
            self.shortcut = nn.Sequential(layers)
        self.second = (
            nn.ModuleDict(two_convolutions(before, after, reaches, form)) if shakes else None
        )

    def forward(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        added = through(self, x)
        if self.second is not None:
            other = through(self.second, x)
            added = shaken(added, other, generator) if self.training else (added + other) / 2
        return (added + self.shortcut(x)).relu()


class Stage(nn.Module):
    """Blocks and pools in a row, under the names that they are given by."""

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        for layer in self.children():
            x = layer(x, generator) if isinstance(layer, Block) else layer(x)
        return x


def without_coordinates(form: ConvolutionForm) -> ConvolutionForm:
    """The form of a shortcut, which is decomposed as the block is and does not see the frequency."""
    return ConvolutionForm(False, form.decomposition, form.groups, form.prunable)


class CpResNet(nn.Module):
    """Spectrograms of any length -> what is heard, and one feature vector per clip.

    Args:
        width: channels of the first stage; the others have twice and four times as many.
        channels: of the spectrogram.
        classes: of the head.
        fields: blocks, and what they see along both axes.
        form: of the blocks' convolutions.
        shakes: two branches in every block, mixed by chance in training.
    """

    def __init__(
        self,
        width: int = 128,
        channels: int = 2,
        classes: int = 10,
        fields: Fields = USUAL_FIELDS,
        form: ConvolutionForm = WHOLE,
        shakes: bool = False,
    ) -> None:
        super().__init__()
        self.config = {
            "width": width,
            "channels": channels,
            "classes": classes,
            "fields": fields,
            "form": form,
            "shakes": shakes,
        }
        self.in_c = stem(channels, width, fields, form)
        before = width
        for stage, multiple in enumerate(STAGES):
            layers: dict[str, nn.Module] = {}
            for place, number in enumerate(fields.numbers(stage), start=1):
                reaches = (fields.reach(number, 0), fields.reach(number, 1))
                layers[f"block{place}"] = Block(before, width * multiple, reaches, form, shakes)
                layers[f"pool{place}"] = pool(fields.pool_after(number))
                before = width * multiple
            self.add_module(f"stage{stage + 1}", Stage(layers))
        self.feature_width = before
        self.feed_forward = class_head(before, classes, form)

    def forward(self, x: Tensor, generator: Generator | None = None) -> Tags:
        """Classify spectrograms.

        Args:
            x: (B, channels, bands, frames), at least 20 of both with three pools.
            generator: draws, in training, how branches are mixed.
        """
        last = self.maps(x, generator)[-1]  # (B, feature width, F, T)
        return Tags(self.feed_forward(last), last.mean(dim=(2, 3)))

    def maps(self, x: Tensor, generator: Generator | None = None) -> list[Tensor]:
        """What the stem and the three stages make of spectrograms (B, channels, bands, frames)."""
        maps = [self.in_c(x)]
        stages: tuple[Any, ...] = (self.stage1, self.stage2, self.stage3)
        for stage in stages:
            maps.append(stage(maps[-1], generator))
        return maps
