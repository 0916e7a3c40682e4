"""The flow between data and noise: conventions and equations, each in one place.

* `time` is the noise level: 0 is data, 1 is pure noise.
* A path is straight: x_t = (1 - t) data + t noise (rectified flow, arXiv 2209.03003, equation 1).
* `velocity` is dx / dt = noise - data; sampling walks from time 1 down to 0.
* `guidance_scale` is the usual one: 1 is the conditional velocity alone, 0 the unconditional one.
"""

import torch
from torch import Tensor


def interpolate(data: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """x_t = (1 - t) data + t noise, for two (B, ...) tensors and times (B,)."""
    time = expand_like(time, data)
    return (1 - time) * data + time * noise


def target_velocity(data: Tensor, noise: Tensor) -> Tensor:
    """dx / dt of the straight path, the same at all its times."""
    return noise - data


def linear_velocity(noisy: Tensor, time: Tensor, deviation: Tensor | float = 1.0) -> Tensor:
    """Best linear guess of the velocity from x_t (B, ...) at times (B,), noise of unit variance.

    With d the data's standard deviation, Cov(velocity, x_t) / Var(x_t) x_t = (t - (1 - t) d^2) / (t^2 + (1 - t)^2 d^2)
    x_t: the skip of EDM's preconditioning (arXiv 2206.00364, section 5) for this path. The rest that a network has to
    give has the variance d^2 / (t^2 + (1 - t)^2 d^2), for d = 1 from 1 to 2.

    Args:
        noisy: x_t.
        time: noise levels.
        deviation: d, one for all or one for each channel (C, 1) of x_t (B, C, T).
    """
    time, variance = expand_like(time, noisy), deviation**2
    return (time - (1 - time) * variance) / radius(time, deviation) ** 2 * noisy


def linear_mean_velocity(
    noisy: Tensor, time: Tensor, next_time: Tensor, deviation: Tensor | float = 1.0
) -> Tensor:
    """Mean of `linear_velocity` on its own way from x_t (B, ...) at times (B,) to next times (B,).

    Along dx / dt = s'(t) / s(t) x with s = `radius`, x_r = s(r) / s(t) x_t, so that the mean velocity is
    (s(t) - s(r)) / ((t - r) s(t)) x_t = (t + r - d^2 (2 - t - r)) / (s(t) (s(t) + s(r))) x_t, smooth where r = t.
    """
    time, next_time = expand_like(time, noisy), expand_like(next_time, noisy)
    start, end = radius(time, deviation), radius(next_time, deviation)
    slope = time + next_time - deviation**2 * (2 - time - next_time)
    return slope / (start * (start + end)) * noisy


def radius(time: Tensor, deviation: Tensor | float = 1.0) -> Tensor:
    """Standard deviation of x_t at times, noise of unit variance and data of `deviation`.

    For d = 1 it goes from 1 at the ends to 0.71 between them. Its shape is that of both, broadcast.
    """
    return torch.sqrt(time.square() + ((1 - time) * deviation).square())


def velocity_from_v(v: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
    """Velocity of the straight path from a v-prediction (arXiv 2202.00512, section 4), both (B, ...), at times (B,).

    The point x_t / s lies on the circle cos(a) data + sin(a) noise with tan(a) = t / (1 - t), s = `radius(time)`, where
    v = cos(a) noise - sin(a) data; velocity = noise - data is then `linear_velocity` + v / s. With the noise level's
    logit normal this is EDM's preconditioning and loss (arXiv 2206.00364, table 1) for data of unit variance.
    """
    return linear_velocity(noisy, time) + v / expand_like(radius(time), v)


def guide(conditional: Tensor, unconditional: Tensor, guidance_scale: float | Tensor) -> Tensor:
    """Classifier-free guidance (arXiv 2207.12598) in the usual scale: v_u + g (v_c - v_u)."""
    return unconditional + guidance_scale * (conditional - unconditional)


def expand_like(value: Tensor, like: Tensor) -> Tensor:
    """(B,) -> (B, 1, ...) with the rank and dtype of `like`."""
    return value.to(like.dtype).reshape(-1, *[1] * (like.ndim - 1))


def sample_times(
    count: int,
    generator: torch.Generator,
    logit_mean: float | None = None,
    logit_std: float = 1.0,
    minimum: float = 0.001,
) -> Tensor:
    """Times to train at, (count,) on the generator's device.

    Args:
        count: how many.
        generator: source of the random numbers.
        logit_mean: None draws from U[minimum, 1]. A number draws the logistic function of N(logit_mean, logit_std^2)
            (arXiv 2403.03206, equation 19), clamped to [minimum, 1]; below 0 it favours little noise.
        logit_std: standard deviation of the logit.
        minimum: least time.
    """
    if logit_mean is None:
        uniform = torch.rand(count, generator=generator, device=generator.device)
        return minimum + (1 - minimum) * uniform
    normal = torch.randn(count, generator=generator, device=generator.device)
    return torch.sigmoid(logit_mean + logit_std * normal).clamp(min=minimum)


def flow_loss(
    velocity: Tensor,
    target: Tensor,
    frame_mask: Tensor | None = None,
    log_variance: Tensor | None = None,
    channel_weight: Tensor | None = None,
) -> Tensor:
    """Mean squared error of the velocity, a scalar in float32.

    With u = `log_variance`, each clip's error e becomes exp(-u) e + u (EDM2, arXiv 2312.02696, equation 14), whose
    minimum over u is at u = log e: times with a large unavoidable error stop drowning the others.

    Args:
        velocity: (B, C, T).
        target: (B, C, T).
        frame_mask: (B, T), nonzero at the frames that count; None counts all. Every counted frame of the batch
            weighs the same, so that short clips do not dominate.
        log_variance: (B,) from `WooshTransformer.log_variance`.
        channel_weight: (C,) with mean 1, how much each latent channel counts. The velocity that minimises the loss
            stays the same; what a network too small for all of it learns first does not.

    Raises:
        ValueError: no frame counts.
    """
    error = (velocity.float() - target.float()).square()  # (B, C, T)
    if channel_weight is not None:
        error = channel_weight[:, None] * error
    error = error.mean(dim=1)  # (B, T)
    mask = torch.ones_like(error) if frame_mask is None else frame_mask.to(error)
    total = mask.sum()
    if total == 0:
        raise ValueError("frame_mask leaves no frame to learn from")
    if log_variance is not None:
        exponent = expand_like(log_variance.float(), error)
        error = error * torch.exp(-exponent) + exponent
    return (error * mask).sum() / total
