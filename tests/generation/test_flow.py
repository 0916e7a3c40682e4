"""The flow's conventions and equations."""

import pytest
import torch

from woosh.generation.flow import (
    flow_loss,
    guide,
    interpolate,
    linear_velocity,
    radius,
    sample_times,
    target_velocity,
    velocity_from_v,
)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_time_is_the_noise_level() -> None:
    data, noise = draw(2, 2, 3, 5)
    assert interpolate(data, noise, torch.zeros(2)).equal(data)
    assert interpolate(data, noise, torch.ones(2)).equal(noise)


def test_velocity_is_the_derivative_of_the_path() -> None:
    data, noise = draw(2, 2, 3, 5)
    _, derivative = torch.func.jvp(
        lambda time: interpolate(data, noise, time), (torch.tensor([0.2, 0.7]),), (torch.ones(2),)
    )
    torch.testing.assert_close(target_velocity(data, noise), derivative)


@pytest.mark.parametrize("deviation", [1.0, 0.4, 3.0])
@pytest.mark.parametrize("time", [0.05, 0.4, 0.5, 0.95])
def test_linear_velocity_is_the_regression_of_the_velocity_on_the_noisy_data(
    time: float, deviation: float
) -> None:
    data, noise = draw(2, 200_000)
    data = deviation * data
    times = torch.full((1,), time)
    noisy, target = interpolate(data, noise, times), target_velocity(data, noise)
    slope = (noisy * target).mean() / noisy.square().mean()
    torch.testing.assert_close(
        linear_velocity(noisy[None], times, deviation), slope * noisy[None], atol=0.15, rtol=0
    )
    rest = (target - linear_velocity(noisy[None], times, deviation)).var()
    expected = deviation**2 / (time**2 + (1 - time) ** 2 * deviation**2)
    assert abs(rest - expected) < 0.02 * expected


def test_guidance_scale_is_the_usual_one() -> None:
    conditional, unconditional = draw(2, 2, 3, 5)
    torch.testing.assert_close(guide(conditional, unconditional, 1.0), conditional)
    assert guide(conditional, unconditional, 0.0).equal(unconditional)
    torch.testing.assert_close(
        guide(conditional, unconditional, 5.5), conditional + 4.5 * (conditional - unconditional)
    )


def test_uniform_times_fill_their_range() -> None:
    times = sample_times(20_000, torch.Generator().manual_seed(0), minimum=0.1)
    assert 0.1 <= times.min() < 0.101 and 0.999 < times.max() <= 1
    assert abs(times.mean() - 0.55) < 0.01


def test_logit_normal_times_have_their_median_and_spread() -> None:
    times = sample_times(20_000, torch.Generator().manual_seed(0), logit_mean=-0.4, logit_std=1.0)
    logits = torch.logit(times)
    assert abs(logits.median() + 0.4) < 0.03
    assert abs(logits.std() - 1) < 0.03


def test_times_follow_from_the_generator() -> None:
    first, second = (sample_times(8, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.equal(second)


def test_loss_is_the_mean_squared_error() -> None:
    velocity, target = draw(2, 2, 3, 5)
    torch.testing.assert_close(
        flow_loss(velocity, target), torch.nn.functional.mse_loss(velocity, target)
    )


def test_masked_frames_do_not_count() -> None:
    velocity, target = draw(2, 2, 3, 5)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    spoilt = torch.where(mask[:, None].bool(), velocity, torch.tensor(1e6))
    loss = flow_loss(spoilt, target, mask)
    error = (velocity - target).square().mean(dim=1)
    torch.testing.assert_close(loss, (error * mask).sum() / 7)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="no frame"):
        flow_loss(draw(1, 3, 5), draw(1, 3, 5), torch.zeros(1, 5))


def test_best_log_variance_is_the_logarithm_of_the_error() -> None:
    velocity, target = draw(2, 2, 3, 5)
    log_variance = torch.zeros(2, requires_grad=True)
    error = (velocity - target).square().mean(dim=(1, 2))
    flow_loss(velocity, target, log_variance=error.log().requires_grad_(False))
    best = error.log().requires_grad_()
    flow_loss(velocity, target, log_variance=best).backward()
    assert best.grad is not None and best.grad.abs().max() < 1e-6
    loss = flow_loss(velocity, target, log_variance=log_variance)
    torch.testing.assert_close(loss, flow_loss(velocity, target))


def test_channel_weight_counts_channels() -> None:
    velocity, target = draw(2, 2, 3, 5)
    weight = torch.tensor([2.0, 1.0, 0.0])
    expected = (weight * (velocity - target).square().mean(dim=(0, 2))).mean()
    torch.testing.assert_close(flow_loss(velocity, target, channel_weight=weight), expected)
    torch.testing.assert_close(
        flow_loss(velocity, target, channel_weight=torch.ones(3)), flow_loss(velocity, target)
    )


@pytest.mark.parametrize("time", [0.01, 0.3, 0.5, 0.97])
def test_a_v_prediction_gives_the_velocity(time: float) -> None:
    data, noise = draw(2, 4, 3, 5)
    times = torch.full((4,), time)
    angle = torch.atan2(torch.tensor(time), torch.tensor(1 - time))
    v = angle.cos() * noise - angle.sin() * data
    noisy = interpolate(data, noise, times)
    torch.testing.assert_close(velocity_from_v(v, noisy, times), target_velocity(data, noise))
    assert radius(torch.tensor(time)).item() == pytest.approx((time**2 + (1 - time) ** 2) ** 0.5)
