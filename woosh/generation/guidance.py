"""What a step evaluates: the network on all windows, with and without the conditions, led away from the latter.

A flow is guided by the difference of velocities (arXiv 2207.12598), with one scale for text and video or one for each;
a few-step network was taught guidance and is evaluated once.

Sounds longer than the network makes in one piece are made in windows: each step evaluates it on windows of the same
noisy latents and blends what they say where they overlap (MultiDiffusion, arXiv 2302.08113), so that neighbours agree
long before the sound is finished, and no joint is heard.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from woosh.generation.flow import guide
from woosh.generation.solvers import MeanVelocity, Velocity
from woosh.generation.transformer import VIDEO_RATE, Condition, WooshTransformer

ALIGNMENT = 25  # latent frames: at 100 per second six frames of a video at 24, at 25 per second 24
OVERLAP = 0.25  # of a window


@dataclass(frozen=True)
class Window:
    """Latent frames from `start` up to `end`, which wraps around a circle if it lies beyond the last frame."""

    start: int
    end: int


def video_tokens(frames: int, latent_rate: float) -> int:
    """How many video features, 24 per second, go with latent frames, so many per second and one at either end."""
    return max(1, round((frames - 1) * VIDEO_RATE / latent_rate))


def video_of(features: Tensor, window: Window, latent_rate: float) -> Tensor:
    """The features (B, K, C) of a window, zeros where the video has ended: (B, `video_tokens`, C)."""
    first = round(window.start * VIDEO_RATE / latent_rate)
    count = video_tokens(window.end - window.start, latent_rate)
    own = features[:, first : first + count]
    missing = own.new_zeros(len(own), count - own.shape[1], own.shape[2])
    return torch.cat([own, missing], dim=1)


def windows_of(frames: int, longest: int) -> list[Window]:
    """Windows of at most `longest` frames that cover all and overlap by a quarter or more; their starts are aligned.

    Raises:
        ValueError: windows too short to be aligned.
    """
    if frames <= longest:
        return [Window(0, frames)]
    step = math.floor((1 - OVERLAP) * longest / ALIGNMENT) * ALIGNMENT
    if longest > 2 * step:
        raise ValueError(
            f"this model makes {longest} latent frames in one piece, and windows of so few cannot overlap: ask for a shorter sound"
        )
    starts = range(0, frames - longest + step, step)
    return [Window(start, min(start + longest, frames)) for start in starts]


def windows_around(frames: int, longest: int) -> list[Window]:
    """Windows on a circle of latent frames, two or more, all of one length: where one has its ends others have their middle."""
    length = min(frames, longest)
    count = math.ceil(2 * frames / length)
    starts = [place * frames // count for place in range(count)]
    return [Window(start, start + length) for start in starts]


def shares_around(windows: Sequence[Window], frames: int) -> list[Tensor]:
    """How much each frame of windows around a circle counts: the more, the nearer to its window's middle; 1 in sum."""
    length = windows[0].end - windows[0].start
    nearness = 0.5 + torch.minimum(torch.arange(length), torch.arange(length).flip(0))
    places = [torch.arange(window.start, window.end) % frames for window in windows]
    total = torch.zeros(frames)
    for place in places:
        total[place] += nearness
    return [nearness / total[place] for place in places]


def shares_of(windows: Sequence[Window]) -> list[Tensor]:
    """How much each window's every frame counts: linear from one window to the next, 1 in sum."""
    shares = [torch.ones(window.end - window.start) for window in windows]
    for place in range(len(windows) - 1):
        overlap = windows[place].end - windows[place + 1].start
        rising = (torch.arange(overlap) + 0.5) / overlap
        shares[place][-overlap:] *= 1 - rising
        shares[place + 1][:overlap] *= rising
    return shares


def blended(
    evaluate: Callable[[Tensor, Window], Tensor], latents: Tensor, windows: Sequence[Window]
) -> Tensor:
    """Velocity (B, C, T) of latents of any length from those of its windows.

    Args:
        evaluate: gives the velocity of a window's latents (B, C, W).
        latents: noisy (B, C, T).
        windows: of `windows_of` or `windows_around`.
    """
    if len(windows) == 1:
        return evaluate(latents, windows[0])
    frames = latents.shape[-1]
    wraps = windows[-1].end > frames
    shares = shares_around(windows, frames) if wraps else shares_of(windows)
    blend = torch.zeros_like(latents)
    for window, share in zip(windows, shares, strict=True):
        places = torch.arange(window.start, window.end, device=latents.device) % frames
        velocity = evaluate(latents[..., places], window)
        blend[..., places] += share.to(velocity) * velocity
    return blend


class Branch(NamedTuple):
    """What one evaluation of the network is conditioned on."""

    prompt: bool  # the prompt, or else the negative one
    video: bool  # the video, or else none


WHOLE = Branch(prompt=True, video=True)


@dataclass(frozen=True)
class Guidance:
    """How far the velocity is led away from the unconditional one.

    Attributes:
        scale: of text and video together, or of the text alone if the video has its own.
        video_scale: of the video, or None.
        start: largest time at which it acts.
    """

    scale: float
    video_scale: float | None = None
    start: float = 1.0

    @property
    def branches(self) -> list[Branch]:
        """What a step of a flow evaluates; the first is fully conditioned, the last not at all."""
        if self.video_scale is not None:
            return [WHOLE, Branch(prompt=False, video=True), Branch(prompt=False, video=False)]
        return [WHOLE] if self.scale == 1 else [WHOLE, Branch(prompt=False, video=False)]


@dataclass(frozen=True)
class Group:
    """Clips whose velocities are evaluated in one call, and what they are conditioned on.

    Attributes:
        clips: which of the call's.
        conditions: of every window: of the clips, then of each further branch of the guidance.
    """

    clips: slice
    conditions: Mapping[Window, Condition]


def conditions_of(
    transformer: WooshTransformer,
    text: tuple[Tensor, Tensor],
    video: Tensor | None,
    windows: Sequence[Window],
    sound_seconds: Tensor | None = None,
) -> dict[Window, Condition]:
    """Condition each window: all on the same texts and lengths, each on its part of the video.

    Args:
        transformer: to be conditioned.
        text: hidden states (B, L, W), and the mask (B, L) of the real tokens.
        video: features (B, K, C), zeros where none is to be seen, or None.
        windows: of the latents.
        sound_seconds: (B,) how long the sounds are, see `WooshTransformer.prepare`.
    """
    if video is None:
        return dict.fromkeys(windows, transformer.prepare(*text, sound_seconds=sound_seconds))
    rate = transformer.latent_rate
    return {
        window: transformer.prepare(*text, video_of(video, window, rate), sound_seconds)
        for window in windows
    }


def guided_velocity(
    transformer: WooshTransformer, groups: Sequence[Group], guidance: Guidance
) -> Velocity:
    """The guided velocity of all clips of a flow, all branches of a group in one evaluation."""
    branches = len(guidance.branches)

    def velocity(latents: Tensor, time: Tensor) -> Tensor:
        parts = []
        for group in groups:
            clips, moments = latents[group.clips], time[group.clips]
            repeated = clips.repeat(branches, 1, 1), moments.repeat(branches)
            evaluated, *others = _evaluate(transformer, group, *repeated).chunk(branches)
            acts = moments[:, None, None] <= guidance.start
            scale = torch.where(acts, guidance.scale, 1.0)  # (B, 1, 1)
            if guidance.video_scale is not None:
                # From nothing to the video by its scale, from there to the words by theirs.
                video_scale = torch.where(acts, guidance.video_scale, 1.0)
                seen, unconditional = others
                evaluated = guide(seen, unconditional, video_scale) + scale * (evaluated - seen)
            elif others:
                evaluated = guide(evaluated, others[0], scale)
            parts.append(evaluated)
        return torch.cat(parts)

    return velocity


def taught_velocity(
    transformer: WooshTransformer, groups: Sequence[Group], guidance: float
) -> MeanVelocity:
    """The mean velocity of all clips between two times; guidance is an input of the network."""

    def velocity(latents: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        parts = []
        for group in groups:
            clips, moments = latents[group.clips], time[group.clips]
            scale = torch.full_like(moments, guidance)
            parts.append(
                _evaluate(transformer, group, clips, moments, next_time[group.clips], scale)
            )
        return torch.cat(parts)

    return velocity


def _evaluate(
    transformer: WooshTransformer, group: Group, latents: Tensor, time: Tensor, *step: Tensor
) -> Tensor:
    """The velocity of latents (B, C, T) of any length; `step` is next time and guidance of few steps."""

    def evaluate(part: Tensor, window: Window) -> Tensor:
        return transformer(part, time, group.conditions[window], *step)

    return blended(evaluate, latents, list(group.conditions))
