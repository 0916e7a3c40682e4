"""What a step evaluates: the network on all windows, with and without the conditions, led away from the latter.

A flow is guided by the difference of velocities (arXiv 2207.12598), with one scale for text and video or one for each;
a few-step network was taught guidance and is evaluated once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from woosh.generation.flow import guide
from woosh.generation.solvers import MeanVelocity, Velocity
from woosh.generation.transformer import Condition, WooshTransformer
from woosh.generation.windows import Window, blended, video_of


@dataclass(frozen=True)
class Group:
    """Clips whose velocities are evaluated in one call, and what they are conditioned on.

    Attributes:
        clips: which of the call's.
        conditions: of every window: of the clips, then of each further branch of the guidance.
    """

    clips: slice
    conditions: Mapping[Window, Condition]


@dataclass(frozen=True)
class Guidance:
    """How far the velocity is led away from the unconditional one.

    Attributes:
        scale: of text and video together, or of the text alone if the video has its own.
        video_scale: of the video, or None.
    """

    scale: float
    video_scale: float | None = None


def branches_of(guidance: Guidance, few_step: bool) -> list[tuple[bool, bool]]:
    """Which velocities a step needs: with the prompt (or the negative one)?, with the video (or none)?"""
    if few_step:
        return [(True, True)]
    if guidance.video_scale is not None:
        return [(True, True), (False, True), (False, False)]
    return [(True, True)] if guidance.scale == 1 else [(True, True), (False, False)]


def conditions_of(
    transformer: WooshTransformer,
    text: Tensor,
    mask: Tensor,
    video: Tensor | None,
    sees: Sequence[bool],
    windows: Sequence[Window],
) -> dict[Window, Condition]:
    """Condition each window: all on the same texts, each on its part of the video.

    Args:
        transformer: to be conditioned.
        text: hidden states (B, L, W), and mask (B, L).
        mask: of the real tokens.
        video: features (K, C), or None.
        sees: of each of the B, whether it sees them; zeros stand for no video.
        windows: of the latents.
    """
    if video is None:
        return dict.fromkeys(windows, transformer.prepare(text, mask))
    shown = torch.tensor(sees, device=text.device)[:, None, None]
    features = torch.where(shown, video.to(text.device)[None], 0.0)
    return {
        window: transformer.prepare(text, mask, video_of(features, window)) for window in windows
    }


def guided_velocity(
    transformer: WooshTransformer, groups: Sequence[Group], guidance: Guidance, start: float
) -> Velocity:
    """The guided velocity of all clips, all branches of a group in one evaluation.

    Args:
        transformer: of a flow.
        groups: of the clips.
        guidance: its scales.
        start: largest time at which it acts.
    """
    branches = len(branches_of(guidance, few_step=False))

    def velocity(latents: Tensor, time: Tensor) -> Tensor:
        parts = []
        for group in groups:
            clips, moments = latents[group.clips], time[group.clips]
            repeated = clips.repeat(branches, 1, 1), moments.repeat(branches)
            evaluated, *others = _evaluate(transformer, group, *repeated).chunk(branches)
            acts = moments[:, None, None] <= start
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
