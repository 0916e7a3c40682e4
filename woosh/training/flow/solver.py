"""Fit a solver of few steps to one model: the coefficients of every step by least squares, on the way that it walks itself.

The family is that of non-stationary solvers (arXiv 2403.01329), which are trained there by descent through all steps. Here
each step is solved at once: of what is known at it, the noise and the velocities so far, that combination is taken which
lies nearest to the converged path at the next time. The next velocity is asked there, so that a step sees the errors
of those before it. One pass over the clips is the whole training.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from woosh.generation.solvers import LearnedSteps, Velocity, fill_time, multistep

RIDGE = 1e-6  # of the mean square of what is combined: velocities of neighbouring steps are nearly the same


def converged_path(velocity: Velocity, noise: Tensor, times: Tensor, finer: int) -> list[Tensor]:
    """Latents (B, C, T) at the times (n + 1), the noise first, by `finer` multistep steps between every two."""
    parts = [torch.linspace(start, end, finer + 1)[:-1] for start, end in pairwise(times.tolist())]
    path = [noise]

    def keep(step: int, _time: float, latents: Tensor) -> None:
        if (step + 1) % finer == 0:
            path.append(latents)

    multistep(velocity, noise, torch.cat([*parts, times[-1:]]), keep)
    return path


def fit_steps(
    velocity: Velocity, path: list[Tensor], times: Tensor, guidance_scale: float
) -> LearnedSteps:
    """The steps over these times that end nearest to a converged path.

    Args:
        velocity: of the clips, guidance included.
        path: latents (B, C, T) at the times, of `converged_path`.
        times: from 1 to 0, (n + 1).
        guidance_scale: of the velocity.
    """
    noise, latents = path[0], path[0]
    scale = path[-1].flatten(1).norm(dim=1)[:, None]  # clips count the same, however loud they are
    known = [(noise.flatten(1) / scale).flatten()]
    velocities: list[Tensor] = []
    coefficients: list[Tensor] = []
    for wanted, time in zip(path[1:], times[:-1].tolist(), strict=True):
        velocities.append(velocity(latents, fill_time(time, noise)))
        known.append((velocities[-1].flatten(1) / scale).flatten())
        weights = least_squares(torch.stack(known), (wanted.flatten(1) / scale).flatten())
        latents = weights[0] * noise
        for weight, former in zip(weights[1:], velocities, strict=True):
            latents = latents + weight * former
        coefficients.append(weights)
    return LearnedSteps(
        tuple(times.tolist()),
        tuple(float(weights[0]) for weights in coefficients),
        tuple(tuple(weights[1:].tolist()) for weights in coefficients),
        guidance_scale,
    )


def least_squares(known: Tensor, wanted: Tensor) -> Tensor:
    """Weights (K,) of rows (K, N) whose sum is nearest to a row (N,), in float64 with a small ridge."""
    known, wanted = known.double(), wanted.double()
    products = known @ known.T
    ridge = RIDGE * products.diagonal().mean() * torch.eye(len(known), dtype=torch.float64)
    return torch.linalg.solve(products + ridge, known @ wanted).float()


def latent_error(latents: Tensor, converged: Tensor) -> float:
    """Mean over clips (B, C, T) of |x - y| / |y|."""
    missing = (latents - converged).flatten(1).norm(dim=1)
    return float((missing / converged.flatten(1).norm(dim=1)).mean())
