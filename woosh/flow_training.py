"""What the flow's recipes share: the loss of a batch, its noise and times, and its texts."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from woosh.flow import (
    expand_like,
    flow_loss,
    interpolate,
    linear_velocity,
    radius,
    sample_times,
    target_velocity,
    velocity_from_v,
)
from woosh.latents import LatentBatch
from woosh.phrases import varied
from woosh.text import TextConditioner
from woosh.transformer import WooshTransformer

OBJECTIVES = ("velocity", "v_prediction")


def training_step(
    model: WooshTransformer,
    latents: Tensor,
    text: Tensor,
    mask: Tensor,
    noise: Tensor,
    time: Tensor,
    channel_weight: Tensor,
    objective: str = "velocity",
    log_variance: bool = True,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch, and its parts.

    Args:
        model: in training.
        latents: (B, C, T).
        text: hidden states (B, L, W).
        mask: of their real tokens (B, L).
        noise: (B, C, T).
        time: noise levels (B,).
        channel_weight: (C,) with mean 1.
        objective: one of `OBJECTIVES`.
        log_variance: weigh each time's loss by the learned log-variance.
    """
    noisy, target = interpolate(latents, noise, time), target_velocity(latents, noise)
    condition = model.prepare(text, mask)
    uncertainty = model.log_variance(time) if log_variance else None
    if objective == "v_prediction":
        scale = expand_like(radius(time), noisy)
        output = model(noisy / scale, time, condition)
        velocity = velocity_from_v(output, noisy, time)
        wanted = scale * (target - linear_velocity(noisy, time))
    else:
        velocity = output = model(noisy, time, condition)
        wanted = target
    loss = flow_loss(output, wanted, log_variance=uncertainty, channel_weight=channel_weight)
    velocity = velocity.detach()
    return loss, {
        "loss": loss.detach(),
        "error": flow_loss(velocity, target),
        "weighted_error": flow_loss(velocity, target, channel_weight=channel_weight),
    }


def conditions(
    batch: LatentBatch, text: TextConditioner | None, number: int
) -> tuple[Tensor, Tensor]:
    """Hidden states (B, L, W) and mask (B, L): the latents' own, or of captions typed as hurried users type them."""
    if text is not None:
        sources = [random.Random(f"{number} {place}") for place in range(len(batch.captions))]
        return text([varied(*pair) for pair in zip(batch.captions, sources, strict=True)])
    assert batch.states is not None and batch.mask is not None  # `text_shape` has looked
    return batch.states, batch.mask


def draw_noise(
    latents: Tensor, logit_mean: float | None, logit_std: float, seed: int, number: int
) -> tuple[Tensor, Tensor]:
    """Noise (B, C, T) and times (B,) of batch `number`, which follow from the seed alone; see `flow.sample_times`."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
    noise = torch.randn(latents.shape, generator=generator)
    time = sample_times(len(latents), generator, logit_mean, logit_std)
    return noise.to(latents.device), time.to(latents.device)
