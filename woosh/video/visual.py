"""A small network that watches: frames -> one vector per frame that says what happens, when, and how strongly.

It is what the built-in video model sees with, in place of Synchformer. Trained on `woosh.scenes`, whose records hold the
events; the flow then hears its features. Shapes: B batch, F frames, W width.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from woosh.parts import ConfigMixin, ModelMixin, register_to_config
from woosh.video.pictures import WATCHED_RATE
from woosh.video.shots import split_at_cuts

GROUPS = 8  # of channels that are normalised together
DILATIONS = (1, 2, 4, 1)  # frames between a temporal filter's taps
CONTEXT = 1 + 2 * sum(DILATIONS)  # frames on either side that a frame's features depend on


class Happenings(NamedTuple):
    """What the network says of every frame."""

    features: Tensor  # (B, F, W), for the flow
    event: Tensor  # (B, F), logit: a sound begins between this frame and the next
    offset: Tensor  # (B, F), where between them, 0 to 1
    intensity: Tensor  # (B, F), of what goes on, 0 to 1
    family: Tensor  # (B, families), logits of the whole clip


class Spatial(nn.Module):
    """Halves height and width: (N, C, H, W) -> (N, C', H / 2, W / 2)."""

    def __init__(self, channels: int, wider: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, 2, 1, groups=channels)
        self.pointwise = nn.Conv2d(channels, wider, 1)
        self.norm = nn.GroupNorm(GROUPS, wider)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.norm(self.pointwise(self.depthwise(x))))


class Temporal(nn.Module):
    """Looks at five frames around each, some apart, and adds what it found: (B, W, F) -> the same."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        # Of single frames: a long film must look the same in pieces.
        self.norm = nn.LayerNorm(width)
        self.near = nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return x + self.mix(functional.silu(self.near(normed)))


class VisualEncoder(ModelMixin, ConfigMixin):
    """Frames at 24 per second -> features of each, with a few frames of foresight and hindsight.

    Args:
        size: height and width of a frame in pixels.
        channels: after the first layer; they double with every halving.
        width: of the features, W.
        families: kinds of scenes that the head tells apart.
    """

    @register_to_config
    def __init__(
        self, size: int = 96, channels: int = 24, width: int = 128, families: int = 9
    ) -> None:
        super().__init__()
        if size % 32:
            raise ValueError(f"size is {size}; it must be a multiple of 32")
        if channels % GROUPS or width % GROUPS:
            raise ValueError(f"channels {channels} and width {width} must be multiples of {GROUPS}")
        # Three frames at once, so that motion is seen before places are forgotten.
        self.stem = nn.Conv3d(3, channels, (3, 5, 5), (1, 4, 4), (1, 2, 2))
        self.stem_norm = nn.GroupNorm(GROUPS, channels)
        self.halvings = nn.ModuleList(
            Spatial(channels * 2**level, channels * 2 ** (level + 1)) for level in range(3)
        )
        self.flatten = nn.Linear(8 * channels * (size // 32) ** 2, width)
        self.moments = nn.ModuleList(Temporal(width, dilation) for dilation in DILATIONS)
        self.norm = nn.LayerNorm(width)
        self.frame_head = nn.Linear(width, 3)
        self.family_head = nn.Linear(width, families)

    @property
    def frame_size(self) -> int:
        """Height and width of the frames that it takes, in pixels."""
        return self.config.size

    def features(self, frames: Tensor) -> Tensor:
        """Frames (B, F, 3, H, W) of 8 bits, or floats in 0 to 255 -> features (B, F, W).

        Raises:
            ValueError: frames of another shape.
        """
        size = self.config.size
        if frames.ndim != 5 or frames.shape[2:] != (3, size, size) or frames.shape[1] < 1:
            raise ValueError(f"frames must be (B, F, 3, {size}, {size}), not {tuple(frames.shape)}")
        count = len(frames)
        x = rearrange(frames.to(self.dtype) / 127.5 - 1, "b f c h w -> b c f h w")
        # The first and the last frame stand still beyond the ends.
        x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], dim=2)
        x = rearrange(self.stem(x)[:, :, 1:-1], "b c f h w -> (b f) c h w")
        x = functional.silu(self.stem_norm(x))
        for halving in self.halvings:
            x = halving(x)  # (B F, 8 C, H / 32, W / 32) in the end
        x = rearrange(self.flatten(x.flatten(1)), "(b f) c -> b c f", b=count)
        for moment in self.moments:
            x = moment(x)
        return self.norm(rearrange(x, "b c f -> b f c"))

    @torch.no_grad()
    def watch(self, windows: Iterable[Tensor]) -> Tensor:
        """Windows (n, 3, H, W) of one film, 8 bits, one after another -> features (F, W), as if seen at once.

        Every shot is seen alone: a cut is nothing that happens.

        Raises:
            ValueError: no frame, or frames of another shape.
        """
        size, told, known = self.config.size, [], 0  # `known` frames of `held` are told already
        nothing = torch.zeros(0, 3, size, size, dtype=torch.uint8)
        held = nothing
        for frames, another_shot in split_at_cuts(windows):
            if another_shot:
                told.append(self._of(held)[known:])
                held, known = nothing, 0
            held = torch.cat([held, frames])
            ready = len(held) - known - CONTEXT  # what lies ahead of them is there
            if ready > 0:
                told.append(self._of(held)[known : known + ready])
                known += ready
                left = max(0, known - CONTEXT)
                held, known = held[left:], known - left
        if len(held) == 0:
            raise ValueError("there is no frame to watch")
        told.append(self._of(held)[known:])
        return torch.cat(told)

    def _of(self, frames: Tensor) -> Tensor:
        return self.features(frames[None].to(self.device))[0].float().cpu()

    def forward(self, frames: Tensor) -> Happenings:
        """Frames (B, F, 3, H, W) -> features and what they mean."""
        return self.meaning(self.features(frames))

    def meaning(self, features: Tensor) -> Happenings:
        """Features (B, F, W) and what they mean."""
        event, offset, intensity = self.frame_head(features).unbind(dim=-1)
        return Happenings(
            features,
            event,
            offset.sigmoid(),
            intensity.sigmoid(),
            self.family_head(features.mean(dim=1)),
        )


def event_times(seen: Happenings, clip: int, least: float = 0.5) -> list[float]:
    """Moments in seconds at which a sound should begin, where that is likelier than `least` and than around."""
    chance = seen.event[clip].sigmoid()
    around = functional.max_pool1d(chance[None, None], 5, 1, 2)[0, 0]
    frames = ((chance == around) & (chance > least)).nonzero().flatten()
    return ((frames + seen.offset[clip][frames]) / WATCHED_RATE).tolist()
