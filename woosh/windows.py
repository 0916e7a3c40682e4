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

ALIGNMENT = 25  # latent frames: a quarter of a second, six frames of a video at 24 per second
OVERLAP = 0.25  # of a window


@dataclass(frozen=True)
class Window:
    """Latent frames from `start` up to `end`."""

    start: int
    end: int


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


def blended(evaluate: Callable[[Tensor, Window], Tensor], latents: Tensor, longest: int) -> Tensor:
    """Velocity (B, C, T) of latents of any length from those of its windows.

    Args:
        evaluate: gives the velocity of a window's latents (B, C, W).
        latents: noisy (B, C, T).
        longest: frames of a window.
    """
    windows = windows_of(latents.shape[-1], longest)
    if len(windows) == 1:
        return evaluate(latents, windows[0])
    total = torch.zeros_like(latents)
    for window, share in zip(windows, shares_of(windows), strict=True):
        velocity = evaluate(latents[..., window.start : window.end], window)
        total[..., window.start : window.end] += share.to(velocity) * velocity
    return total
