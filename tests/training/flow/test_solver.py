"""A solver fitted to a motion that is known."""

import math

import torch
from torch import Tensor

from woosh.generation.solvers import multistep, nonstationary, shifted_times, uniform_times
from woosh.training.flow.solver import (
    converged_path,
    fit_steps,
    latent_error,
    least_squares,
)

NOISE = torch.randn(4, 2, 30, generator=torch.Generator().manual_seed(0))


def decay(latents: Tensor, time: Tensor) -> Tensor:
    """dx / dt = (1 + t) x: from time 1 to 0, x shrinks by exp(-3 / 2)."""
    return (1 + time)[:, None, None] * latents


def bent(latents: Tensor, time: Tensor) -> Tensor:
    """A motion that differs from number to number."""
    return latents + torch.sin(4 * latents + 3 * time[:, None, None])


def test_the_path_ends_where_the_motion_does() -> None:
    path = converged_path(decay, NOISE, uniform_times(3), finer=60)
    assert len(path) == 4 and torch.equal(path[0], NOISE)
    torch.testing.assert_close(path[-1], NOISE * math.exp(-1.5), rtol=1e-3, atol=1e-5)


def test_a_linear_motion_is_met_in_one_step() -> None:
    """One number a step is enough there, so that the fit leaves nothing."""
    times = uniform_times(1)
    path = converged_path(decay, NOISE, times, finer=60)
    steps = fit_steps(decay, path, times, 1.0)
    assert latent_error(nonstationary(decay, NOISE, steps), path[-1]) < 1e-4


def test_fitted_steps_end_nearer_than_multistep_on_clips_they_were_not_fitted_to() -> None:
    times = shifted_times(6, 1.0)
    steps = fit_steps(bent, converged_path(bent, NOISE, times, 40), times, 2.0)
    assert (len(steps.noise), len(steps.velocities[-1]), steps.guidance_scale) == (6, 6, 2.0)
    other = torch.randn(NOISE.shape, generator=torch.Generator().manual_seed(1))
    wanted = converged_path(bent, other, times, 40)[-1]
    learned = latent_error(nonstationary(bent, other, steps), wanted)
    assert learned < 0.7 * latent_error(multistep(bent, other, times), wanted)


def test_least_squares_finds_the_weights_that_made_a_row() -> None:
    known = torch.randn(3, 50, generator=torch.Generator().manual_seed(2))
    weights = torch.tensor([0.5, -2.0, 3.0])
    torch.testing.assert_close(least_squares(known, weights @ known), weights, rtol=1e-4, atol=1e-4)
