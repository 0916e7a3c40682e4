"""Shake-Shake: two residual branches, mixed by chance in training (arXiv 1705.07485)."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def mixed(first: Tensor, second: Tensor, share: Tensor, gradient_share: Tensor) -> Tensor:
    """share first + (1 - share) second, whose gradients follow another share.

        y = a F1 + (1 - a) F2,   dL/dF1 = b dL/dy,   dL/dF2 = (1 - b) dL/dy

    Args:
        first: F1 (B, ...).
        second: F2 (B, ...).
        share: a (B,), forwards.
        gradient_share: b (B,), backwards.
    """
    shape = (-1, *[1] * (first.ndim - 1))
    forwards, backwards = share.reshape(shape), gradient_share.reshape(shape)
    followed = backwards * first + (1 - backwards) * second
    return followed + ((forwards - backwards) * (first - second)).detach()


def shaken(first: Tensor, second: Tensor, generator: Generator | None) -> Tensor:
    """Two branches (B, ...) mixed in training: both shares uniform in [0, 1], for each clip by itself.

    Args:
        first: of the branches.
        second: likewise.
        generator: draws on its own device; None is torch's default generator, on the CPU.
    """
    device = None if generator is None else generator.device
    drawn = torch.rand(2, len(first), generator=generator, device=device).to(first)
    return mixed(first, second, drawn[0], drawn[1])
