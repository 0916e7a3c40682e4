"""What the flow's recipes share: their data, the loss of a batch, its noise and times, its texts, and optimisers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from woosh.data.phrases import varied
from woosh.data.streaming import StreamedBatches
from woosh.generation.flow import (
    expand_like,
    flow_loss,
    interpolate,
    linear_velocity,
    radius,
    sample_times,
    target_velocity,
    velocity_from_v,
)
from woosh.generation.text_encoder import TextConditioner, load_text_conditioner
from woosh.generation.transformer import WooshTransformer
from woosh.training import adamw, muon
from woosh.training.flow.latents import (
    Common,
    Crops,
    LatentBatch,
    LatentBatches,
    load_latents,
    read_common,
    streamed_latents,
)
from woosh.training.randomness import batch_generator

OBJECTIVES = ("velocity", "v_prediction")
OPTIMIZERS = ("muon", "adamw")
NO_STATES = "the latents hold no hidden states: name text_encoder and tokenizer"


@dataclass(frozen=True)
class FlowData:
    """What a flow learns from."""

    latents: str  # folder of training/encode_latents.py
    streamed: bool  # read the latents as they are needed, every clip once in a pass, instead of all into memory
    workers: int  # processes that prepare batches
    text_encoder: str | None  # folder; null if the latents hold hidden states
    tokenizer: str | None  # folder
    latent_rate: float  # frames per second
    lengths: tuple[int, ...]  # latent frames of a batch, one is drawn
    length_chances: tuple[float, ...]
    frames_per_batch: int  # clips times length, per process
    short_share: float  # of the draws: a short sound followed by silence
    caption_dropout: float
    favoured: tuple[
        str, ...
    ] = ()  # labels that get extra weight; for data without labels leave it out
    favoured_share: float = 0.0  # of the draws, before `short_share`


def crops_of(data: FlowData, folder: Path, seed: int) -> Crops:
    """How clips of a folder of latents are cut, put together and captioned."""
    return Crops(
        read_common(folder),
        data.lengths,
        data.length_chances,
        data.frames_per_batch,
        data.caption_dropout,
        data.latent_rate,
        seed,
    )


def latent_batches(data: FlowData, seed: int) -> StreamedBatches[LatentBatch] | LatentBatches:
    """Batches of latents, from memory or as they are needed."""
    folder = Path(data.latents)
    crops = crops_of(data, folder, seed)
    if data.streamed:
        return streamed_latents(crops, folder)
    clips = load_latents(folder).clips
    return LatentBatches(clips, crops, data.favoured, data.favoured_share, data.short_share)


def load_text(data: FlowData, device: torch.device) -> TextConditioner | None:
    """The text encoder with its tokenizer, or nothing if the latents hold hidden states."""
    if data.text_encoder is None or data.tokenizer is None:
        return None
    return load_text_conditioner(data.text_encoder, data.tokenizer, device)


def flow_optimizers(
    model: WooshTransformer, name: str, learning_rate: float, weight_decay: float
) -> list[Optimizer]:
    """Muon for the matrices of the blocks and AdamW for the rest ("muon"), or AdamW for all ("adamw")."""
    if name == "muon":
        return muon(model, ("joint.", "fused."), learning_rate, weight_decay)
    return [adamw(model.parameters(), learning_rate, weight_decay, (0.9, 0.95))]


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
    video: Tensor | None = None,
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
        video: features (B, K, V), for a network that sees.
    """
    noisy, target = interpolate(latents, noise, time), target_velocity(latents, noise)
    condition = model.prepare(text, mask, video)
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
    """Hidden states (B, L, W) and mask (B, L): the latents' own, or of captions typed as hurried users type them.

    Raises:
        ValueError: neither a text encoder nor latents with hidden states.
    """
    if text is not None:
        sources = [random.Random(f"{number} {place}") for place in range(len(batch.captions))]
        return text([varied(*pair) for pair in zip(batch.captions, sources, strict=True)])
    if batch.states is None or batch.mask is None:
        raise ValueError(NO_STATES)
    return batch.states, batch.mask


def empty_text(
    common: Common, text: TextConditioner | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Hidden states (1, L, W) and mask (1, L) of the empty text.

    Raises:
        ValueError: neither a text encoder nor latents with hidden states.
    """
    if text is not None:
        return text([""])
    if common.empty_states is None or common.text_tokens is None:
        raise ValueError(NO_STATES)
    states = torch.zeros(1, common.text_tokens, common.empty_states.shape[1])
    mask = torch.zeros(1, common.text_tokens)
    states[0, : len(common.empty_states)] = common.empty_states
    mask[0, : len(common.empty_states)] = 1
    return states.to(device), mask.to(device)


def draw_noise(
    latents: Tensor, logit_mean: float | None, logit_std: float, seed: int, number: int
) -> tuple[Tensor, Tensor]:
    """Noise (B, C, T) and times (B,) of batch `number`, which follow from the seed alone; see `flow.sample_times`."""
    generator = batch_generator(seed, number, "noise and times")
    noise = torch.randn(latents.shape, generator=generator)
    time = sample_times(len(latents), generator, logit_mean, logit_std)
    return noise.to(latents.device), time.to(latents.device)
