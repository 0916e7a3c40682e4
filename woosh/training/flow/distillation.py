"""A few-step network from a slow one: mean velocities, their derivatives and what a student is trained to.

A student u(x, t, r, g) is the mean velocity between a time t and an earlier one r (`woosh.generation.solvers.flow_map` walks
with it). All objectives have the teacher's flow as their only solution; the last two need no solved trajectory:

* "trajectory" (after progressive distillation, arXiv 2202.00512): u is the mean of the teacher's velocities along its
  own way from x_t down to r, which is walked in a few midpoint steps.
* "mean_flow" (MeanFlow, arXiv 2505.13447, equation 6): u = v(x, t) - (t - r) du/dt along the teacher's flow.
* "terminal" (Lagrangian flow maps, arXiv 2406.07507, equation 11; terminal velocity matching, arXiv 2511.19797): where
  the jump ends, at y = x - (t - r) u, it moves with r as the teacher's flow does: u - (t - r) du/dr = v(y, r).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from woosh.generation.flow import expand_like, guide
from woosh.generation.solvers import MeanVelocity, Velocity
from woosh.generation.transformer import Condition, WooshTransformer
from woosh.training.randomness import batch_generator

JUMP_OBJECTIVES = ("trajectory", "mean_flow", "terminal")
EMBEDDING_BATCH = 256  # jumps of a step that fits the embedding


@dataclass(frozen=True)
class JumpConfig:
    """Which jumps a student learns."""

    time_logit_mean: float  # of the start, a logit-normal draw
    time_logit_std: float
    longest: float  # jumps are uniformly long up to this, and end at 0 at the least
    equal_share: float  # of the jumps of no length, which teach the teacher's velocity itself
    first_share: float  # of those that start at 1, as a sampler's first does
    last_share: float  # of those that are moved to end at 0, as a sampler's last does
    guidance: tuple[float, ...]  # least and greatest that is embedded


class Times(NamedTuple):
    """A jump's start and end, both (B,), the end at or below the start."""

    time: Tensor
    next_time: Tensor


class Jumps(NamedTuple):
    """What is drawn for a batch: noise (B, C, T), times and guidance (B,)."""

    noise: Tensor
    times: Times
    guidance: Tensor


@dataclass(frozen=True)
class JumpObjective:
    """What a student's mean velocity is to reach, and how that is computed.

    Attributes:
        name: one of `JUMP_OBJECTIVES`.
        fraction: of each jump, over which a difference stands for the exact derivative, or None.
        trajectory_steps: in which a trajectory is walked.
    """

    name: str
    fraction: float | None = None
    trajectory_steps: int = 2


def draw_times(count: int, config: JumpConfig, generator: torch.Generator) -> Times:
    """Times (B,) of jumps to learn, for B = `count`."""
    normal = torch.randn(count, generator=generator)
    length, equal, first, last = torch.rand(4, count, generator=generator)
    length = torch.where(equal < config.equal_share, 0.0, config.longest * length)
    time = torch.sigmoid(config.time_logit_mean + config.time_logit_std * normal)
    time = torch.where(first < config.first_share, 1.0, time)
    time = torch.where((last < config.last_share) & (length > 0), length, time)
    return Times(time, (time - length).clamp_min(0))


def draw_jumps(latents: Tensor, config: JumpConfig, seed: int, number: int) -> Jumps:
    """Jumps of batch `number` of latents (B, C, T), which follow from the seed alone.

    Raises:
        ValueError: guidance that is no range.
    """
    if len(config.guidance) != 2 or not 0 <= config.guidance[0] <= config.guidance[1]:
        raise ValueError(f"guidance is {list(config.guidance)}; it must be a least and a greatest")
    generator = batch_generator(seed, number, "jumps")
    noise = torch.randn(latents.shape, generator=generator)
    times = draw_times(len(latents), config, generator)
    low, high = config.guidance
    guidance = low + (high - low) * torch.rand(len(latents), generator=generator)
    device = latents.device
    return Jumps(noise.to(device), Times(*(t.to(device) for t in times)), guidance.to(device))


def both_conditions(first: Condition, second: Condition) -> Condition:
    """Two conditions one after the other, of the same kind."""
    parts = {}
    for field in dataclasses.fields(Condition):
        values = [getattr(condition, field.name) for condition in (first, second)]
        parts[field.name] = None if values[0] is None else torch.cat(values)
    return Condition(**parts)


def teacher_velocity(
    teacher: WooshTransformer,
    condition: Condition,
    empty: Condition,
    guidance: Tensor,
    guidance_start: float,
) -> Velocity:
    """The teacher's velocity under guidance (B,), which acts at times up to `guidance_start` only."""
    both = both_conditions(condition, empty)

    @torch.no_grad()
    def velocity(noisy: Tensor, time: Tensor) -> Tensor:
        evaluated = teacher(torch.cat([noisy, noisy]), torch.cat([time, time]), both)
        conditional, unconditional = evaluated.chunk(2)
        scale = torch.where(time <= guidance_start, guidance, 1.0)
        return guide(conditional, unconditional, expand_like(scale, noisy))

    return velocity


def exact_derivative(
    student: MeanVelocity, inputs: tuple[Tensor, ...], tangent: tuple[Tensor, ...]
) -> Tensor:
    """Derivative of a mean velocity at (x, t, r) along a tangent, taken forwards (`torch.func.jvp`).

    The network is eager in it, and attention two matrix products: PyTorch's fused attention kernels have no forward
    derivative.
    """
    with (
        torch.no_grad(),
        sdpa_kernel(SDPBackend.MATH),
        torch.compiler.set_stance("force_eager"),
    ):
        return jvp(student, inputs, tangent)[1]


@torch.no_grad()
def difference(
    student: MeanVelocity,
    inputs: tuple[Tensor, ...],
    tangent: tuple[Tensor, ...],
    value: Tensor,
    fraction: float,
) -> Tensor:
    """(u(z) - u(z - f s tangent)) / f: a jump's length s times its derivative, as consistency training takes it.

    It is wrong by the order of f. The step is a part of the jump, not a fixed small one: that stays where the student
    learns, and loses few digits (0.01 of the time in bfloat16 lost nearly all).

    Args:
        student: mean velocity.
        inputs: (x, t, r).
        tangent: of each.
        value: u(z), which is known.
        fraction: f.
    """
    length = fraction * (inputs[1] - inputs[2])
    moved = (z - expand_like(length, z) * d for z, d in zip(inputs, tangent, strict=True))
    return (value - student(*moved)) / fraction


def mean_of_flow(velocity: Velocity, noisy: Tensor, times: Times, steps: int) -> Tensor:
    """Mean velocity (B, ...) along a flow from x_t at its times to the next, in midpoint steps."""
    length = (times.time - times.next_time) / steps
    half = expand_like(length / 2, noisy)
    time, summed = times.time, torch.zeros_like(noisy)
    for _ in range(steps):
        middle = velocity(noisy - half * velocity(noisy, time), time - length / 2)
        noisy, time, summed = noisy - 2 * half * middle, time - length, summed + middle
    return summed / steps


def residual(
    student: MeanVelocity,
    velocity: Velocity,
    noisy: Tensor,
    times: Times,
    objective: JumpObjective,
) -> tuple[Tensor, Tensor]:
    """The student's mean velocity (B, ...) with its graph, and by how much it misses its objective, without.

    Args:
        student: mean velocity under fixed condition and guidance.
        velocity: the teacher's.
        noisy: x_t (B, ...).
        times: of the jump.
        objective: what it is to reach.
    """
    time, next_time = times
    inputs, span = (noisy, time, next_time), expand_like(time - next_time, noisy)
    value = student(*inputs)
    reached = value.detach()
    if objective.name == "trajectory":
        return value, reached - mean_of_flow(velocity, noisy, times, objective.trajectory_steps)
    zero, one = torch.zeros_like(time), torch.ones_like(time)
    if objective.name == "mean_flow":
        wanted = velocity(noisy, time)
        tangent = (wanted, one, zero)
    else:
        wanted = velocity(noisy - span * reached, next_time)
        tangent = (torch.zeros_like(noisy), zero, -one)
    change = (
        span * exact_derivative(student, inputs, tangent)
        if objective.fraction is None
        else difference(student, inputs, tangent, reached, objective.fraction)
    )
    return value, reached + change - wanted


def residual_loss(
    value: Tensor, miss: Tensor, limit: float, weight: Tensor | None = None
) -> Tensor:
    """|| u - stopgrad(u) + clip(q) ||^2 as a mean over all elements: its gradient is 2 clip(q) du.

    Args:
        value: u (B, C, T), with its graph.
        miss: q (B, C, T).
        limit: to which each element is clipped, so that no derivative gone wild decides a step.
        weight: of each channel (C,), with mean 1.
    """
    error = (value - value.detach() + miss.clamp(-limit, limit)).square()
    if weight is not None:
        error = weight[:, None] * error
    return error.mean()


def student_of(teacher: WooshTransformer) -> WooshTransformer:
    """A few-step network with all the teacher's weights and a new, untrained embedding of its jumps."""
    sizes = {name: value for name, value in teacher.config.items() if not name.startswith("_")}
    student = WooshTransformer(**{**sizes, "flow_map": True})
    missing, _ = student.load_state_dict(teacher.state_dict(), strict=False)
    assert all(name.startswith("flow_map_") for name in missing)
    for name, value in student.named_parameters():
        if name.startswith((*WooshTransformer.UNUSED_IN_FLOW_MAP, "flow_map_log_variance.")):
            value.requires_grad_(False)
    return student


def fit_embedding(
    student: WooshTransformer,
    teacher: WooshTransformer,
    config: JumpConfig,
    steps: int,
    learning_rate: float,
    seed: int,
) -> float:
    """Fit the new embedding of jumps to the teacher's of their starts, so that the student begins as the teacher.

    Args:
        student: of `student_of`; its embedding alone is changed.
        teacher: frozen.
        config: which jumps.
        steps: of AdamW.
        learning_rate: of it; half a cosine down.
        seed: of the draws.

    Returns:
        Mean squared error of the last step relative to the embedding's variance over times.
    """
    embedding = student.flow_map_embedding
    assert embedding is not None
    optimizer = torch.optim.AdamW(embedding.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    generator = torch.Generator().manual_seed(seed)
    low, high = config.guidance
    relative = float("nan")
    for _ in range(steps):
        times = draw_times(EMBEDDING_BATCH, config, generator)
        guidance = low + (high - low) * torch.rand(EMBEDDING_BATCH, generator=generator)
        with torch.no_grad():
            target = teacher.embed_times(times.time)
        error = (student.embed_times(*times, guidance) - target).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        schedule.step()
        relative = float(error.detach() / target.var(dim=0).mean())
    return relative
