import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.toys import make_transformer, randomise
from woosh.generation.flow import guide, linear_mean_velocity, linear_velocity
from woosh.generation.layers import FusedBlock, JointBlock, rotary_frequencies, rotary_table
from woosh.generation.solvers import MeanVelocity, euler, uniform_times
from woosh.generation.transformer import Condition, WooshTransformer
from woosh.training.flow.distillation import (
    JUMP_OBJECTIVES,
    JumpConfig,
    JumpObjective,
    Times,
    both_conditions,
    draw_jumps,
    draw_times,
    exact_derivative,
    fit_embedding,
    mean_of_flow,
    residual,
    residual_loss,
    student_of,
    teacher_velocity,
)

JUMPS = JumpConfig(
    time_logit_mean=0.0,
    time_logit_std=1.2,
    longest=1.0,
    equal_share=0.25,
    first_share=0.2,
    last_share=0.2,
    guidance=(1.0, 9.0),
)


def randomised(module: nn.Module, scale: float = 0.3) -> nn.Module:
    """In float64 with all weights drawn: what starts at zero would hide a wrong derivative."""
    generator = torch.Generator().manual_seed(0)
    module = module.double()
    with torch.no_grad():
        for value in module.parameters():
            value.copy_(scale * torch.randn(value.shape, generator=generator, dtype=value.dtype))
    return module


def central(function, inputs: tuple[Tensor, ...], tangent: tuple[Tensor, ...]) -> Tensor:
    step = 1e-5
    ahead, behind = (
        function(*(z + sign * step * d for z, d in zip(inputs, tangent, strict=True)))
        for sign in (1, -1)
    )
    return (ahead - behind) / (2 * step)


def draws(*shapes: tuple[int, ...]) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)


@pytest.mark.parametrize("video", [False, True])
def test_the_derivative_of_a_joint_block(video: bool) -> None:
    block = randomised(JointBlock(16, 24, 2, video))
    counts = (5, 4, 3) if video else (5, 4)
    table = rotary_table(torch.arange(sum(counts)), rotary_frequencies(8, 8, 20, 1.0))
    shapes = [*((2, count, 16) for count in counts), (2, 16)]
    inputs, tangent = draws(*shapes), draws(*shapes)[::-1]
    tangent = tuple(
        t.new_ones(z.shape) if t.shape != z.shape else t
        for z, t in zip(inputs, tangent, strict=True)
    )

    def function(*values: Tensor) -> Tensor:
        return torch.cat(block(values[:-1], values[-1], table), dim=1)

    with sdpa_kernel(SDPBackend.MATH):
        found = jvp(function, inputs, tangent)[1]
    assert torch.allclose(found, central(function, inputs, tangent), rtol=1e-6, atol=1e-7)


def test_the_derivative_of_a_fused_block() -> None:
    block = randomised(FusedBlock(16, 24, 2))
    table = rotary_table(torch.arange(7), rotary_frequencies(8, 8, 20, 1.0))
    inputs, tangent = draws((2, 7, 16), (2, 16)), draws((2, 7, 16), (2, 16))

    def function(x: Tensor, embedding: Tensor) -> Tensor:
        return block(x, embedding, table)

    with sdpa_kernel(SDPBackend.MATH):
        found = jvp(function, inputs, tangent)[1]
    assert torch.allclose(found, central(function, inputs, tangent), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("along", ["latents and time", "next time"])
def test_the_derivative_of_the_whole_network(along: str) -> None:
    model = randomised(make_transformer(flow_map=True, linear_skip=True), 0.1)
    text, latents, tangent = draws((2, 12, 16), (2, 8, 9), (2, 8, 9))
    condition = model.prepare(text[:, :, : model.config.text_width], torch.ones(2, 12))
    time = torch.tensor([0.9, 0.6], dtype=torch.float64)
    guidance = torch.tensor([2.0, 5.0], dtype=torch.float64)
    inputs = (latents, time, time / 2)
    zero, one = torch.zeros_like(time), torch.ones_like(time)
    ways = {"latents and time": (tangent, one, zero), "next time": (0 * tangent, zero, one)}

    def function(x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        return model(x, t, condition, r, guidance)

    found = exact_derivative(function, inputs, ways[along])
    assert torch.allclose(found, central(function, inputs, ways[along]), rtol=1e-5, atol=1e-7)
    assert not found.requires_grad and float(found.abs().max()) > 0.01


@pytest.mark.parametrize("objective", ["mean_flow", "terminal"])
def test_the_true_flow_map_has_no_residual(objective: str) -> None:
    (noisy,) = draws((6, 3, 4))
    time = torch.tensor([1.0, 0.9, 0.7, 0.5, 0.2, 0.6], dtype=torch.float64)
    times = Times(time, torch.tensor([0.0, 0.4, 0.0, 0.3, 0.1, 0.6], dtype=torch.float64))

    def missed(student: MeanVelocity, fraction: float | None) -> tuple[Tensor, Tensor]:
        return residual(student, linear_velocity, noisy, times, JumpObjective(objective, fraction))

    value, miss = missed(linear_mean_velocity, None)
    assert torch.equal(value, linear_mean_velocity(noisy, *times))
    assert float(miss.abs().max()) < 1e-12
    coarse = [missed(linear_mean_velocity, fraction)[1] for fraction in (1e-1, 1e-2)]
    assert float(coarse[0].abs().max()) < 0.1
    assert float(coarse[1].abs().max()) < 0.2 * float(coarse[0].abs().max())

    def half(noisy: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        return 0.5 * linear_mean_velocity(noisy, time, next_time)

    assert float(missed(half, None)[1].abs().max()) > 0.1


def test_the_linear_mean_velocity_is_what_its_flow_gives() -> None:
    (noisy,) = draws((3, 2, 5))
    deviation = torch.tensor([[0.5], [2.0]], dtype=torch.float64)  # of each channel
    time = torch.tensor([1.0, 0.8, 0.5], dtype=torch.float64)
    next_time = torch.tensor([0.2, 0.0, 0.5], dtype=torch.float64)
    for row in range(2):
        steps = 4000
        times = torch.linspace(
            float(time[row]), float(next_time[row]), steps + 1, dtype=torch.float64
        )
        x = noisy[row : row + 1]
        for t, r in itertools.pairwise(times.tolist()):
            middle = torch.full((1,), (t + r) / 2, dtype=torch.float64)
            x = x - (t - r) * linear_velocity(x, middle, deviation)
        mean = (noisy[row] - x[0]) / (time[row] - next_time[row])
        found = linear_mean_velocity(noisy, time, next_time, deviation)[row]
        assert torch.allclose(found, mean, atol=2e-3)
    still = linear_mean_velocity(noisy, time, time, deviation)
    assert torch.allclose(still, linear_velocity(noisy, time, deviation), atol=1e-12)


def test_the_loss_has_the_clipped_residual_as_gradient() -> None:
    value = torch.zeros(1, 2, 2, requires_grad=True)
    miss = torch.tensor([[[0.5, -3.0], [2.0, 0.0]]])
    residual_loss(value, miss, 1.0).backward()
    assert value.grad is not None
    assert torch.allclose(value.grad, 2 * miss.clamp(-1, 1) / 4)
    weighed = residual_loss(value, miss, 1.0, torch.tensor([2.0, 0.0]))
    assert weighed.item() == pytest.approx(2 * (0.25 + 1) / 4)


def test_jumps_follow_from_seed_and_number() -> None:
    latents = torch.zeros(4000, 1, 2)
    config = replace(JUMPS, longest=0.4)
    jumps = draw_jumps(latents, config, 3, 7)
    again = draw_jumps(latents, config, 3, 7)
    assert torch.equal(jumps.noise, again.noise) and torch.equal(jumps.times.time, again.times.time)
    assert not torch.equal(jumps.noise, draw_jumps(latents, config, 3, 8).noise)
    time, next_time = jumps.times
    assert bool((next_time <= time).all()) and bool((next_time >= 0).all())
    assert bool((time <= 1).all()) and float((time - next_time).max()) <= 0.4
    assert float((next_time == time).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert float((time == 1).float().mean()) == pytest.approx(0.2 * 0.85, abs=0.03)
    # Those that are moved, and those whose start is nearer to 0 than they are long.
    assert 0.15 < float(((next_time == 0) & (time > 0)).float().mean()) < 0.3
    assert float(jumps.guidance.min()) >= 1 and float(jumps.guidance.max()) <= 9
    with pytest.raises(ValueError, match="least and a greatest"):
        draw_jumps(latents, replace(JUMPS, guidance=(5.0, 1.0)), 0, 0)


def test_the_mean_of_a_flow_is_that_of_its_way() -> None:
    (noisy,) = draws((3, 2, 5))
    time = torch.tensor([1.0, 0.8, 0.5], dtype=torch.float64)
    times = Times(time, torch.tensor([0.2, 0.0, 0.5], dtype=torch.float64))
    true = linear_mean_velocity(noisy, *times)
    errors = [
        float((mean_of_flow(linear_velocity, noisy, times, steps) - true).abs().max())
        for steps in (4, 8)
    ]
    assert errors[1] < 0.3 * errors[0] < 0.01  # of second order
    objective = JumpObjective("trajectory", trajectory_steps=8)
    value, miss = residual(linear_mean_velocity, linear_velocity, noisy, times, objective)
    assert torch.equal(value, true) and float(miss.abs().max()) == pytest.approx(errors[1])


def test_a_student_begins_as_its_teacher() -> None:
    torch.manual_seed(0)
    teacher = make_transformer(linear_skip=True).eval().requires_grad_(False)
    for value in teacher.parameters():
        value.add_(0.05 * torch.randn_like(value))
    teacher.time_embedding.frequencies.mul_(0.2)
    student = student_of(teacher)
    trained = {name for name, value in student.named_parameters() if value.requires_grad}
    assert not any(name.startswith(("time_embedding", "log_variance")) for name in trained)
    assert fit_embedding(student, teacher, JUMPS, 1500, 3e-3, 0) < 0.05
    text, mask, latents = (
        torch.randn(2, 12, teacher.config.text_width),
        torch.ones(2, 12),
        torch.randn(2, 8, 9),
    )
    time = torch.tensor([0.7, 0.4])
    condition = teacher.prepare(text, mask)
    taught = teacher(latents, time, condition)
    found = student(latents, time, student.prepare(text, mask), time, torch.tensor([2.0, 8.0]))
    off = (found - taught).square().mean() / taught.square().mean()
    assert off.item() < 0.01


def test_guidance_acts_up_to_its_start() -> None:
    torch.manual_seed(0)
    teacher = make_transformer().eval()
    with torch.no_grad():
        for value in teacher.parameters():
            value.add_(0.05 * torch.randn_like(value))
    text, latents = torch.randn(2, 12, teacher.config.text_width), torch.randn(2, 8, 9)
    condition = teacher.prepare(text, torch.ones(2, 12))
    empty = teacher.prepare(torch.zeros_like(text), torch.zeros(2, 12))
    time, guidance = torch.tensor([0.95, 0.5]), torch.tensor([3.0, 3.0])
    found = teacher_velocity(teacher, condition, empty, guidance, 0.9)(latents, time)
    alone, unconditional = (teacher(latents, time, c) for c in (condition, empty))
    assert torch.allclose(found[0], alone[0], atol=1e-5)
    assert torch.allclose(found[1], guide(alone, unconditional, 3.0)[1], atol=1e-5)
    assert not found.requires_grad


def told_conditions(sizes: dict[str, Any]) -> tuple[WooshTransformer, Condition, Condition]:
    """A teacher with the conditions of two prompts and of nothing, told all that it can be told."""
    teacher: Any = randomise(make_transformer(**sizes), 1)
    states, mask = torch.randn(2, 12, teacher.config.text_width), torch.ones(2, 12)
    video = torch.randn(2, 3, 4) if "video_channels" in sizes else None
    seconds = torch.tensor([0.5, 0.0]) if "summary" in sizes else None
    unseen = None if video is None else torch.zeros_like(video)
    condition = teacher.prepare(states, mask, video, seconds)
    empty = teacher.prepare(torch.zeros_like(states), torch.zeros(2, 12), unseen, seconds)
    return teacher, condition, empty


TEACHERS = {
    "plain": {},
    "seeing": {"video_channels": 4},
    "told lengths": {"summary": True},
    "both": {"video_channels": 4, "summary": True},
}


@pytest.mark.parametrize("kind", TEACHERS)
def test_two_conditions_are_joined_in_all_their_parts(kind: str) -> None:
    _, condition, empty = told_conditions(TEACHERS[kind])
    both = both_conditions(condition, empty)
    for name in ("text", "video", "summary"):
        first, second, joined = (getattr(one, name) for one in (condition, empty, both))
        if first is None:
            assert second is None and joined is None
        else:
            assert torch.equal(joined, torch.cat([first, second]))
            assert not torch.equal(first, second)
    assert (both.video is not None) == ("video_channels" in TEACHERS[kind])
    assert (both.summary is not None) == ("summary" in TEACHERS[kind])


@pytest.mark.parametrize("kind", TEACHERS)
def test_guidance_of_one_is_the_conditional_velocity(kind: str) -> None:
    teacher, condition, empty = told_conditions(TEACHERS[kind])
    latents, time = torch.randn(2, 8, 9), torch.tensor([0.8, 0.3])
    with torch.no_grad():
        alone, unconditional = (teacher(latents, time, one) for one in (condition, empty))
    one, zero, three = (
        teacher_velocity(teacher, condition, empty, torch.full((2,), guidance), 1.0)(latents, time)
        for guidance in (1.0, 0.0, 3.0)
    )
    torch.testing.assert_close(one, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(zero, unconditional, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(three, guide(alone, unconditional, 3.0), rtol=1e-4, atol=1e-4)
    assert (three - one).norm() > 0.1 * one.norm()


CENTRES = torch.tensor([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7], [0.3, 0.2]])
SPREAD = 0.25


def mixture_velocity(noisy: Tensor, time: Tensor) -> Tensor:
    """E[noise - data | x_t] of equally likely normal distributions around `CENTRES`, in closed form."""
    t = time[:, None]
    variance = (1 - t).square() * SPREAD**2 + t.square()  # of x_t around each centre
    offset = noisy[:, None] - (1 - t)[..., None] * CENTRES  # (B, K, 2)
    chance = torch.softmax(-offset.square().sum(-1) / (2 * variance), dim=1)  # (B, K)
    slope = (t - (1 - t) * SPREAD**2) / variance  # d E[noise - data] / d offset
    each = slope[..., None] * offset - CENTRES
    return (chance[..., None] * each).sum(dim=1)


class ToyStudent(nn.Module):
    """A perceptron on x and features of both times."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(2 + 16, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU()),
            *(nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 2)),
        )

    def forward(self, noisy: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        octaves = torch.tensor([0.5, 1.0, 2.0, 4.0])
        angles = torch.cat([time[:, None] * octaves, next_time[:, None] * octaves], dim=1)
        return self.layers(torch.cat([noisy, angles.sin(), angles.cos()], dim=1))


def sliced_wasserstein(first: Tensor, second: Tensor) -> float:
    """Root mean square distance of sorted projections on 128 fixed directions."""
    angle = torch.arange(128) * math.pi / 128
    directions = torch.stack([angle.cos(), angle.sin()])
    # NumPy sorts rows of 50,000 a hundred times as fast as PyTorch sorts columns.
    a, b = (np.sort((directions.T @ x.T).numpy(), axis=1) for x in (first, second))
    return float(np.sqrt(np.square(a - b).mean()))


@pytest.mark.slow
@pytest.mark.parametrize("objective", JUMP_OBJECTIVES)
def test_a_toy_mixture_in_one_two_and_four_steps(objective: str) -> None:
    torch.manual_seed(0)
    student, generator = ToyStudent(), torch.Generator().manual_seed(0)
    steps, count = 3000 if objective == "terminal" else 2000, 50_000  # it learns more slowly
    optimizer = torch.optim.AdamW(student.parameters(), lr=4e-3, weight_decay=0.0, fused=True)
    jumps = replace(JUMPS, first_share=0.3, last_share=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    average = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(0.995))

    def data(size: int) -> Tensor:
        kind = torch.randint(len(CENTRES), (size,), generator=generator)
        return CENTRES[kind] + SPREAD * torch.randn(size, 2, generator=generator)

    for number in range(steps):
        sample = data(512)
        times = draw_times(len(sample), jumps, generator)
        noise = torch.randn(sample.shape, generator=generator)
        noisy = sample + times.time[:, None] * (noise - sample)
        goal = JumpObjective(objective, 0.1 if number < steps // 6 else None, trajectory_steps=8)
        value, miss = residual(student, mixture_velocity, noisy, times, goal)
        loss = residual_loss(value, miss, 20.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        average.update_parameters(student)

    noise, wanted = torch.randn(count, 2, generator=generator), data(count)
    deviation = float(wanted.std(dim=0).square().mean().sqrt())
    taught = sliced_wasserstein(euler(mixture_velocity, noise, uniform_times(100)), wanted)
    with torch.no_grad():
        for number, limit in ((1, 0.05), (2, 0.03), (4, 0.02)):
            times = uniform_times(number)
            made = noise
            for time, next_time in itertools.pairwise(times):
                span = (time.expand(count), next_time.expand(count))
                made = made - (time - next_time) * average(made, *span)
            excess = (sliced_wasserstein(made, wanted) - taught) / deviation
            assert excess <= limit, (number, excess)
