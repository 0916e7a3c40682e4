"""A solver fitted to a motion that is known."""

import math

import torch
from torch import Tensor

from woosh.generation.solvers import multistep, nonstationary, shifted_times, uniform_times
from woosh.training.flow.solver import (
    Descent,
    as_learned,
    converged_latents,
    fit_steps,
    latent_error,
)

NOISE = torch.randn(4, 2, 30, generator=torch.Generator().manual_seed(0))


def decay(latents: Tensor, time: Tensor) -> Tensor:
    """dx / dt = (1 + t) x: from time 1 to 0, x shrinks by exp(-3 / 2)."""
    return (1 + time)[:, None, None] * latents


def bent(latents: Tensor, time: Tensor) -> Tensor:
    """A motion that differs from number to number."""
    return latents + torch.sin(2 * latents + 3 * time[:, None, None])


def test_the_converged_latents_are_where_the_motion_ends() -> None:
    end = converged_latents(decay, NOISE, uniform_times(3), finer=60)
    torch.testing.assert_close(end, NOISE * math.exp(-1.5), rtol=1e-3, atol=1e-5)


def test_multistep_is_one_of_the_solvers_that_can_be_learned() -> None:
    times = shifted_times(5, 2.0)
    made = nonstationary(bent, NOISE, as_learned(times.tolist(), 1.0))
    torch.testing.assert_close(made, multistep(bent, NOISE, times), rtol=1e-5, atol=1e-5)


def test_fitted_steps_end_nearer_than_multistep_on_clips_they_were_not_fitted_to() -> None:
    times = shifted_times(6, 1.0)
    start = as_learned(times.tolist(), 2.0)
    wanted = converged_latents(bent, NOISE, times, 40)
    steps = fit_steps(bent, NOISE, wanted, start, Descent(rounds=150, rate=2e-3))
    assert (len(steps.noise), len(steps.velocities[-1]), steps.guidance_scale) == (6, 6, 2.0)
    other = torch.randn(NOISE.shape, generator=torch.Generator().manual_seed(1))
    end = converged_latents(bent, other, times, 40)
    learned = latent_error(nonstationary(bent, other, steps), end)
    assert learned < 0.7 * latent_error(multistep(bent, other, times), end)


def test_a_descent_of_no_rounds_leaves_the_steps() -> None:
    start = as_learned(uniform_times(3).tolist(), 1.0)
    steps = fit_steps(bent, NOISE, NOISE, start, Descent(rounds=0, rate=1.0))
    torch.testing.assert_close(
        torch.tensor(steps.velocities[-1]), torch.tensor(start.velocities[-1])
    )
