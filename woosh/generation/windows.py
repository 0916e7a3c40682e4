"""Sounds longer than a network was trained for: overlapping windows of one latent, evaluated apart and blended.

Every step evaluates all windows of the same noisy latents and blends what they say where they overlap (MultiDiffusion,
arXiv 2302.08113), so that neighbours agree long before the sound is finished, and no joint is heard.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from woosh.generation.transformer import LATENT_RATE, VIDEO_RATE

ALIGNMENT = 25  # latent frames: a quarter of a second, six frames of a video at 24 per second
OVERLAP = 0.25  # of a window


@dataclass(frozen=True)
class Window:
    """Latent frames from `start` up to `end`."""

    start: int
    end: int


def video_tokens(frames: int) -> int:
    """How many video features, 24 per second, go with latent frames, 100 per second and one at either end."""
    return max(1, round((frames - 1) * VIDEO_RATE / LATENT_RATE))


def video_of(features: Tensor, window: Window) -> Tensor:
    """The features (B, K, C) of a window, zeros where the video has ended: (B, `video_tokens`, C)."""
    first = round(window.start * VIDEO_RATE / LATENT_RATE)
    count = video_tokens(window.end - window.start)
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
        raise ValueError(f"windows of {longest} frames are too short to overlap")
    starts = range(0, frames - longest + step, step)
    return [Window(start, min(start + longest, frames)) for start in starts]


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
        windows: of `windows_of`.
    """
    if len(windows) == 1:
        return evaluate(latents, windows[0])
    total = torch.zeros_like(latents)
    for window, share in zip(windows, shares_of(windows), strict=True):
        velocity = evaluate(latents[..., window.start : window.end], window)
        total[..., window.start : window.end] += share.to(velocity) * velocity
    return total
