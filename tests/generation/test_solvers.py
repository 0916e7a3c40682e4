"""Solvers against closed forms: no network."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from woosh.generation.solvers import (
    OnStep,
    dopri5,
    dopri5_shared,
    draw_noise,
    euler,
    flow_map,
    multistep,
    renoise_step,
    renoise_weights,
    shifted_times,
    uniform_times,
)

NOISE = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))


def decay(latents: Tensor, time: Tensor) -> Tensor:
    """dx / dt = 2 x: from time 1 to 0, x shrinks by exp(-2)."""
    return 2 * latents + 0 * time[:, None, None]


def mean_decay(latents: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
    """The mean velocity of `decay` between two times: (x_t - x_r) / (t - r)."""
    span = (time - next_time)[:, None, None]
    return latents * (1 - torch.exp(-2 * span)) / span


def drawing(like: Tensor, first: int = 0) -> Callable[[], Tensor]:
    """New noise for clips from generators of their own."""
    seeds = range(first, first + len(like))
    return partial(draw_noise, like, [torch.Generator().manual_seed(seed) for seed in seeds])


def test_constant_velocity_is_exact_in_one_step() -> None:
    constant = torch.full_like(NOISE, 0.75)
    expected = NOISE - 0.75
    times = uniform_times(1)
    torch.testing.assert_close(euler(lambda *_: constant, NOISE, times), expected)
    torch.testing.assert_close(dopri5_shared(lambda *_: constant, NOISE), expected)
    torch.testing.assert_close(dopri5([lambda *_: constant[:1]] * 3, NOISE), expected)
    torch.testing.assert_close(
        flow_map(lambda *_: constant, NOISE, times, [0], drawing(NOISE)), expected
    )


def test_cubic_motion_ends_where_its_integral_says() -> None:
    def velocity(latents: Tensor, time: Tensor) -> Tensor:
        return -3 * (1 - time)[:, None, None] ** 2 * torch.ones_like(latents)

    torch.testing.assert_close(dopri5_shared(velocity, NOISE), NOISE + 1)


def test_euler_converges_with_its_step() -> None:
    exact = NOISE * math.exp(-2)
    errors = [(euler(decay, NOISE, uniform_times(n)) - exact).abs().max() for n in (50, 100)]
    assert 1.8 < errors[0] / errors[1] < 2.2


def test_multistep_converges_with_the_square_of_its_step() -> None:
    """Of second order on grids of unequal steps too, with one velocity a step."""
    exact = NOISE * math.exp(-2)
    errors = [
        (multistep(decay, NOISE, shifted_times(n, 3.0)) - exact).abs().max() for n in (50, 100)
    ]
    assert 3.6 < errors[0] / errors[1] < 4.4


def test_multistep_is_exact_where_the_velocity_is_linear_in_time() -> None:
    """After one step of Euler: 0.5 t^2 from 1 to 0.8, then exactly."""
    calls = []

    def velocity(latents: Tensor, time: Tensor) -> Tensor:
        calls.append(float(time[0]))
        return time[:, None, None].expand_as(latents)

    reached = multistep(velocity, torch.zeros_like(NOISE), torch.tensor([1.0, 0.8, 0.5, 0.0]))
    torch.testing.assert_close(reached, torch.full_like(NOISE, -0.2 - 0.8**2 / 2))
    assert len(calls) == 3


def test_dopri5_agrees_with_the_closed_form_and_fine_euler() -> None:
    result = dopri5_shared(decay, NOISE, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(result, NOISE * math.exp(-2), rtol=1e-4, atol=1e-5)
    fine = euler(decay, NOISE, uniform_times(4000))
    torch.testing.assert_close(result, fine, rtol=2e-3, atol=1e-4)


def test_a_clip_of_its_own_step_size_ignores_its_neighbours() -> None:
    rates = [1.0, 20.0, 3.0]
    velocities = [lambda x, _, rate=rate: rate * torch.sin(9 * x) for rate in rates]
    together = dopri5(velocities, NOISE)
    for clip, velocity in enumerate(velocities):
        assert dopri5([velocity], NOISE[clip : clip + 1]).equal(together[clip : clip + 1])

    def shared(latents: Tensor, _: Tensor) -> Tensor:
        return torch.tensor(rates)[:, None, None] * torch.sin(9 * latents)

    assert not dopri5_shared(shared, NOISE)[:1].equal(together[:1])


def test_times_reach_the_velocity_once_per_clip() -> None:
    seen = []

    def velocity(latents: Tensor, time: Tensor) -> Tensor:
        seen.append(time)
        return torch.zeros_like(latents)

    euler(velocity, NOISE, torch.tensor([1.0, 0.4, 0.0]))
    torch.testing.assert_close(torch.stack(seen), torch.tensor([[1.0] * 3, [0.4] * 3]))


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_exact_mean_velocity_is_exact_in_any_number_of_steps(steps: int) -> None:
    result = flow_map(mean_decay, NOISE, uniform_times(steps), [0] * steps, drawing(NOISE))
    torch.testing.assert_close(result, NOISE * math.exp(-2))


def test_renoise_lists_are_the_published_ones() -> None:
    assert renoise_weights(4) == (0, 0.5, 0.5, 0.3)
    assert renoise_weights(8) == (0, 0.5, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3)
    assert [len(renoise_weights(steps)) for steps in range(1, 17)] == list(range(1, 17))


def test_renoise_numbers_of_four_steps() -> None:
    steps = [
        renoise_step(time, time - 0.25, weight)
        for time, weight in zip((1, 0.75, 0.5, 0.25), renoise_weights(4), strict=True)
    ]
    expected = [(1, 1, 0), (0.875, 0.5, 0.790569), (0.625, 0.75, 0.5), (0.325, 0.9, 0.234521)]
    for step, values in zip(steps, expected, strict=True):
        assert step == pytest.approx(values, abs=1e-6)


def test_renoise_keeps_the_mixture_of_data_and_noise() -> None:
    time, scale, sigma = renoise_step(0.6, 0.2, 0.5)
    assert scale * (1 - 0.6) == pytest.approx(1 - time)  # the share of data
    assert math.hypot(scale * 0.6, sigma) == pytest.approx(time)  # that of noise


def test_new_noise_of_a_clip_ignores_its_neighbours() -> None:
    weights = renoise_weights(4)
    together = flow_map(mean_decay, NOISE, uniform_times(4), weights, drawing(NOISE))
    alone = flow_map(mean_decay, NOISE[1:2], uniform_times(4), weights, drawing(NOISE[1:2], 1))
    assert alone.equal(together[1:2])
    assert not together.equal(
        flow_map(mean_decay, NOISE, uniform_times(4), [0] * 4, drawing(NOISE))
    )


def test_noise_is_not_changed_in_place() -> None:
    before = NOISE.clone()
    euler(decay, NOISE, uniform_times(3))
    flow_map(mean_decay, NOISE, uniform_times(3), renoise_weights(3), drawing(NOISE))
    dopri5_shared(decay, NOISE)
    assert NOISE.equal(before)


@pytest.mark.parametrize("times", [torch.tensor([1.0]), torch.tensor([0.0, 1.0]), torch.ones(2, 2)])
def test_times_that_do_not_fall_are_refused(times: Tensor) -> None:
    with pytest.raises(ValueError, match="decreasing"):
        euler(decay, NOISE, times)


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        uniform_times(0)
    with pytest.raises(ValueError, match="2 velocities for 3 clips"):
        dopri5([decay, decay], NOISE)
    with pytest.raises(ValueError, match="renoise weights"):
        flow_map(mean_decay, NOISE, uniform_times(4), [0] * 3, drawing(NOISE))
    with pytest.raises(ValueError, match="generators"):
        draw_noise(NOISE, [torch.Generator()] * 2)


@pytest.mark.parametrize("kind", ["euler", "multistep", "flow map"])
def test_on_step_sees_every_step_and_may_replace_the_latents(kind: str) -> None:
    times, seen = uniform_times(4), []

    def solve(on_step: OnStep | None) -> Tensor:
        if kind == "euler":
            return euler(decay, NOISE, times, on_step)
        if kind == "multistep":
            return multistep(decay, NOISE, times, on_step)
        return flow_map(mean_decay, NOISE, times, [0.0] * 4, drawing(NOISE), on_step)

    def watch(step: int, time: float, latents: Tensor) -> None:
        seen.append((step, time, latents))

    plain = solve(None)
    assert torch.equal(solve(watch), plain)
    assert [(step, time) for step, time, _ in seen] == [(0, 0.75), (1, 0.5), (2, 0.25), (3, 0.0)]
    assert torch.equal(seen[-1][2], plain)
    halved = solve(lambda step, _time, latents: latents / 2 if step == 0 else None)
    if kind == "multistep":  # the step after it goes on with the velocity from before
        assert not torch.allclose(halved, plain, rtol=0.1)
    else:
        torch.testing.assert_close(halved, plain / 2)


def test_shifted_times_lie_closer_near_the_noise() -> None:
    assert torch.equal(shifted_times(5, 1.0), uniform_times(5))
    times = shifted_times(4, 3.0)
    assert torch.allclose(times, torch.tensor([1.0, 0.9, 0.75, 0.5, 0.0]))
