"""Fit a solver of few steps to one model by descent through all of its steps (arXiv 2403.01329, sections 3 and 4).

It starts as `multistep`, and its coefficients are moved so that what it ends in comes nearer to the converged latents. The
network stays as it is. The times stay too: of several the recipe keeps the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from woosh.generation.solvers import LearnedSteps, Velocity, multistep, nonstationary


@dataclass(frozen=True)
class Descent:
    """Of a fit: how often the coefficients are moved, and how far at a time (Adam)."""

    rounds: int
    rate: float


def converged_latents(velocity: Velocity, noise: Tensor, times: Tensor, finer: int) -> Tensor:
    """Latents (B, C, T) at the end of `finer` multistep steps between every two of the times (n + 1)."""
    parts = [torch.linspace(start, end, finer + 1)[:-1] for start, end in pairwise(times.tolist())]
    return multistep(velocity, noise, torch.cat([*parts, times[-1:]]))


def multistep_coefficients(times: Sequence[float]) -> Tensor:
    """What `multistep` takes of the velocities so far: (n, n), row i of step i, zero above the diagonal."""
    steps = len(times) - 1
    rows = torch.zeros(steps, steps)
    for step in range(steps):
        change = times[step + 1] - times[step]
        if step:
            rows[step] = rows[step - 1]
            slope = change**2 / (2 * (times[step] - times[step - 1]))
            rows[step, step - 1] -= slope
            rows[step, step] += slope
        rows[step, step] += change
    return rows


def fit_steps(
    velocity: Velocity,
    noise: Tensor,
    converged: Tensor,
    start: LearnedSteps,
    descent: Descent,
) -> LearnedSteps:
    """The best steps that a descent from given ones finds, over the same times.

    Args:
        velocity: of the clips, guidance included, differentiable by the latents.
        noise: (B, C, T).
        converged: latents (B, C, T) that the clips end in.
        start: steps to begin with, such as `as_learned` gives.
        descent: how far it goes.
    """
    first = torch.tensor(start.noise, requires_grad=True)
    rows = [torch.tensor(row, requires_grad=True) for row in start.velocities]
    optimizer = torch.optim.Adam([first, *rows], descent.rate, (0.9, 0.99))
    best, least = start, float("inf")
    with torch.enable_grad():
        for _ in range(descent.rounds + 1):
            present: Any = (start.times, first, rows, start.guidance_scale)
            latents = nonstationary(velocity, noise, LearnedSteps(*present))
            missing = (latents - converged).flatten(1).square().sum(dim=1)
            loss = (missing / converged.flatten(1).square().sum(dim=1)).mean()
            present_loss = loss.item()
            if present_loss < least:
                least = present_loss
                numbers = first.tolist(), [tuple(row.tolist()) for row in rows]
                best = replace(start, noise=tuple(numbers[0]), velocities=tuple(numbers[1]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return best


def as_learned(times: Sequence[float], guidance_scale: float) -> LearnedSteps:
    """`multistep` over these times in the form of learned steps."""
    rows = multistep_coefficients(times).tolist()
    velocities = tuple(tuple(row[: step + 1]) for step, row in enumerate(rows))
    return LearnedSteps(tuple(times), (1.0,) * len(rows), velocities, guidance_scale)


def latent_error(latents: Tensor, converged: Tensor) -> float:
    """Mean over clips (B, C, T) of |x - y| / |y|."""
    missing = (latents - converged).flatten(1).norm(dim=1)
    return float((missing / converged.flatten(1).norm(dim=1)).mean())
