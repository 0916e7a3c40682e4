"""From noise to data along a velocity: fixed-step, adaptive and few-step solvers.

Every solver is a function of a velocity, the noise (B, C, T) and the times, and returns latents of the noise's shape.
It owns its loop: whoever wants to watch it or to change the latents on the way gives `on_step`.
Times run from 1 (noise) to 0 (data); velocity is dx / dt = noise - data, guidance included (see `woosh.generation.flow`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

# latents (B, C, T), time (B,) -> (B, C, T)
Velocity = Callable[[Tensor, Tensor], Tensor]
# latents (B, C, T), time (B,), the time (B,) that the step leads to -> (B, C, T)
MeanVelocity = Callable[[Tensor, Tensor, Tensor], Tensor]
# called after each step with its number, the time reached and the latents (B, C, T); returns others, or None
OnStep = Callable[[int, float, Tensor], Tensor | None]


def uniform_times(steps: int) -> Tensor:
    """Times 1 = t_0 > ... > t_steps = 0 at equal distances, (steps + 1,).

    Raises:
        ValueError: fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"steps must be 1 or more, not {steps}")
    return torch.linspace(1, 0, steps + 1)


def shifted_times(steps: int, shift: float) -> Tensor:
    """Times from 1 to 0 that lie the closer near 1, the larger `shift` is; 1 leaves equal distances, (steps + 1,).

    s u / (1 + (s - 1) u) of equal steps u (arXiv 2403.03206, equation 23).
    """
    equal = uniform_times(steps)
    return shift * equal / (1 + (shift - 1) * equal)


def euler(
    velocity: Velocity, noise: Tensor, times: Tensor, on_step: OnStep | None = None
) -> Tensor:
    """Explicit Euler steps x <- x + (t' - t) v(x, t) over decreasing times (steps + 1,)."""
    latents = noise
    for step, (time, next_time) in enumerate(pairwise(check_times(times))):
        latents = latents + (next_time - time) * velocity(latents, fill_time(time, noise))
        latents = _after_step(on_step, step, next_time, latents)
    return latents


def multistep(
    velocity: Velocity, noise: Tensor, times: Tensor, on_step: OnStep | None = None
) -> Tensor:
    """Steps of second order from one velocity each: it goes on changing as it did over the step before.

    What `on_step` puts in the place of the latents must lie near the same path, as the known part of an edited sound does:
    the former velocity goes on there. For anything else take `euler`. The Adams-Bashforth method of two steps, for steps of any lengths h after h':

        x <- x + h (v + h / 2h' (v - v'))

    and one Euler step to begin with. `times` are decreasing (steps + 1,).
    """
    latents, former = noise, None
    for step, (time, next_time) in enumerate(pairwise(check_times(times))):
        change, present = next_time - time, velocity(latents, fill_time(time, noise))
        mean = present
        if former is not None:
            former_velocity, former_change = former
            mean = present + change / (2 * former_change) * (present - former_velocity)
        latents = _after_step(on_step, step, next_time, latents + change * mean)
        former = present, change
    return latents


@dataclass(frozen=True)
class LearnedSteps:
    """Steps of a solver that was fitted to one model: each has coefficients of its own (arXiv 2403.01329, section 3).

        x_{i+1} = a_i x_0 + sum over j <= i of b_ij v_j

    of the noise x_0 and the velocities v_j so far; every method with one velocity a step, such as `euler` and `multistep`,
    is of this form.

    Attributes:
        times: t_0 = 1 to t_n = 0, (n + 1).
        noise: a_i, (n).
        velocities: b_ij, row i of i + 1 numbers.
        guidance_scale: that the velocities had when they were fitted.

    Raises:
        ValueError: numbers of steps that differ, or times that do not fall from 1 to 0.
    """

    times: Sequence[float]
    noise: Sequence[float]
    velocities: Sequence[Sequence[float]]
    guidance_scale: float

    def __post_init__(self) -> None:
        steps, rows = len(self.times) - 1, [len(row) for row in self.velocities]
        if rows != list(range(1, steps + 1)) or len(self.noise) != steps:
            raise ValueError(
                f"{steps} steps need a coefficient of the noise each, and rows of 1 to {steps} of the velocities"
            )
        if (self.times[0], self.times[-1]) != (1, 0):
            raise ValueError(f"learned times must fall from 1 to 0, not {list(self.times)}")
        check_times(torch.tensor(self.times))


def nonstationary(
    velocity: Velocity, noise: Tensor, steps: LearnedSteps, on_step: OnStep | None = None
) -> Tensor:
    """Latents by `LearnedSteps`. What `on_step` puts in the place of the latents is seen by the next velocity alone."""
    latents, velocities = noise, list[Tensor]()
    for step, (time, next_time) in enumerate(pairwise(steps.times)):
        velocities.append(velocity(latents, fill_time(time, noise)))
        latents = steps.noise[step] * noise
        for weight, former in zip(steps.velocities[step], velocities, strict=True):
            latents = latents + weight * former
        latents = _after_step(on_step, step, next_time, latents)
    return latents


def dopri5(
    velocities: Sequence[Velocity], noise: Tensor, rtol: float = 1e-3, atol: float = 1e-3
) -> Tensor:
    """Dormand-Prince 5(4) with a step size per clip, so that no clip depends on its neighbours.

    Args:
        velocities: one function per clip, each taking latents (1, C, T).
        noise: (B, C, T).
        rtol: relative tolerance of a step.
        atol: absolute tolerance of a step.

    Raises:
        ValueError: not as many velocities as clips.
    """
    if len(velocities) != len(noise):
        raise ValueError(f"{len(velocities)} velocities for {len(noise)} clips; give one per clip")
    clips = noise.split(1)
    return torch.cat(
        [dopri5_shared(v, clip, rtol, atol) for v, clip in zip(velocities, clips, strict=True)]
    )


def dopri5_shared(
    velocity: Velocity, noise: Tensor, rtol: float = 1e-3, atol: float = 1e-3
) -> Tensor:
    """Dormand-Prince 5(4) (torchdiffeq) with one step size for the whole batch, as released.

    The error is a mean over the batch, so a clip depends on its neighbours: use `dopri5` where that matters. The last
    step is not shortened to end at time 0: the solver passes it and interpolates back, so the velocity is also asked
    at slightly negative times.
    """

    from torchdiffeq import odeint

    def towards_data(elapsed: Tensor, latents: Tensor) -> Tensor:
        return -velocity(latents, fill_time(1 - elapsed, noise))

    # Step sizes need float64 where the device has it, whatever the precision of the latents.
    dtype = torch.float32 if noise.device.type == "mps" else torch.float64
    span = torch.tensor([0.0, 1.0], device=noise.device)
    path = odeint(
        towards_data, noise, span, rtol=rtol, atol=atol, method="dopri5", options={"dtype": dtype}
    )
    assert isinstance(path, Tensor)  # odeint returns tuples for tuples only
    return path[-1]


def flow_map(
    velocity: MeanVelocity,
    noise: Tensor,
    times: Tensor,
    renoise: Sequence[float],
    draw: Callable[[], Tensor],
    on_step: OnStep | None = None,
) -> Tensor:
    """Few-step sampling with a flow map: renoise a little, then jump x <- x - (t - r) u(x, t, r).

    Args:
        velocity: mean velocity u between a time t and the next time r.
        noise: (B, C, T).
        times: decreasing times (steps + 1,) from 1 to 0.
        renoise: weight per step, see `renoise_weights`; zeros never renoise.
        draw: gives new noise (B, C, T), such as `draw_noise` of a generator for each clip.
        on_step: see `OnStep`.

    Raises:
        ValueError: another number of weights than of steps.
    """
    grid = check_times(times)
    if len(renoise) != len(grid) - 1:
        raise ValueError(f"{len(grid) - 1} steps need as many renoise weights, not {len(renoise)}")
    latents = noise
    for step, (time, next_time) in enumerate(pairwise(grid)):
        time, scale, sigma = renoise_step(time, next_time, renoise[step])
        if sigma > 0:
            latents = scale * latents + sigma * draw()
        mean_velocity = velocity(latents, fill_time(time, noise), fill_time(next_time, noise))
        latents = latents - (time - next_time) * mean_velocity
        latents = _after_step(on_step, step, next_time, latents)
    return latents


def _after_step(on_step: OnStep | None, step: int, time: float, latents: Tensor) -> Tensor:
    replaced = None if on_step is None else on_step(step, time, latents)
    return latents if replaced is None else replaced


def renoise_weights(steps: int) -> tuple[float, ...]:
    """Renoise weight per step: 0 first, 0.5 in the middle, 0.3 in the last three eighths.

    For 4 and 8 steps these are the lists published for the released models; other numbers follow their proportion.
    """
    late = 3 * steps // 8
    return (0.0, *[0.5] * (steps - 1 - late), *[0.3] * late)


def renoise_step(time: float, next_time: float, weight: float) -> tuple[float, float, float]:
    """Time T, scale s and noise level sigma of going back up from `time` before a jump to `next_time`.

    T = min(1, t + weight (t - r)), s = (1 - T) / (1 - t), sigma^2 = T^2 - (t s)^2: then s x + sigma eps has the noise
    level T if x has the level t. Nothing happens (s = 1, sigma = 0) at weight 0 and at time 1.
    """
    raised = min(1.0, time + weight * (time - next_time))
    if raised <= time:
        return time, 1.0, 0.0
    scale = (1 - raised) / (1 - time)
    return raised, scale, math.sqrt(raised**2 - (time * scale) ** 2)


def draw_noise(like: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Standard normal noise (B, ...), each clip's from its own generator.

    Raises:
        ValueError: another number of generators than of clips.
    """
    if len(generators) != len(like):
        raise ValueError(f"{len(like)} clips need as many generators, not {len(generators)}")
    shape = like.shape[1:]
    clips = [torch.randn(shape, generator=g, device=g.device, dtype=like.dtype) for g in generators]
    return torch.stack([clip.to(like.device) for clip in clips])


def check_times(times: Tensor) -> list[float]:
    """The times as numbers.

    Raises:
        ValueError: not a vector of two or more decreasing numbers.
    """
    if times.ndim != 1 or len(times) < 2 or not bool((times.diff() < 0).all()):
        raise ValueError(f"times must be a vector of two or more decreasing numbers, not {times}")
    return times.tolist()


def fill_time(time: float | Tensor, like: Tensor) -> Tensor:
    """One time for all clips, (B,) float32 on the device of the latents."""
    if isinstance(time, Tensor):
        return time.to(like.device, torch.float32).expand(len(like))
    # Filled on the device: to copy one number there would wait for all that it still computes.
    return torch.full((len(like),), time, dtype=torch.float32, device=like.device)
