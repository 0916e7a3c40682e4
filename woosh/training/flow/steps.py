"""What the flow's recipes share: their data, what a training step sees, its loss, its noise and times, and optimisers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
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
from woosh.generation.transformer import Condition, WooshTransformer
from woosh.training import Run, TrainingStep, Updates, adamw, cosine_schedule, muon
from woosh.training.batches import to_device
from woosh.training.conditioning import TextConditioner, load_optional_text
from woosh.training.flow.crops import Crops, LatentBatch, LatentBatches, streamed_latents
from woosh.training.flow.latents import Common, load_latents, read_common
from woosh.training.randomness import batch_generator

FLOW_OBJECTIVES = ("velocity", "v_prediction")
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
    balance: float = 0.0  # of kinds of sound, see `LatentBatches`; 0.5 lets rare ones be heard
    further_latents: tuple[str, ...] = ()  # more folders, such as of training/select_latents.py


@dataclass(frozen=True)
class TimeDistribution:
    """At which noise levels a flow is trained: a logit-normal draw, see `woosh.generation.flow.sample_times`."""

    time_logit_mean: float | None  # null draws times uniformly
    time_logit_std: float


@dataclass(frozen=True)
class OptimizerConfig:
    """How a flow's weights are moved."""

    optimizer: str  # "muon" for the blocks' matrices and AdamW for the rest, or "adamw" for all
    learning_rate: float
    warmup_steps: int
    weight_decay: float


@dataclass(frozen=True)
class Prompts:
    """What the clips of a batch are conditioned on.

    Attributes:
        states: hidden states of the texts (B, L, W).
        mask: of their real tokens (B, L).
        video: features (B, K, V) of what is seen meanwhile, for a network that sees, or None.
        sound_seconds: how long the sounds are (B,), for a network that is told, or None.
    """

    states: Tensor
    mask: Tensor
    video: Tensor | None = None
    sound_seconds: Tensor | None = None

    def prepared_by(self, network: WooshTransformer) -> Condition:
        """These as a network's condition."""
        told = None if network.prompt_summary is None else self.sound_seconds
        return network.prepare(self.states, self.mask, self.video, told)


@dataclass(frozen=True)
class FlowBatch:
    """What a training step of a flow sees.

    Attributes:
        latents: of the clips (B, C, T).
        prompts: of the clips.
        noise: standard normal (B, C, T).
        time: noise levels (B,), from 0 to 1.
    """

    latents: Tensor
    prompts: Prompts
    noise: Tensor
    time: Tensor


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
    folders = [folder, *map(Path, data.further_latents)]
    if data.streamed:
        return streamed_latents(crops, folders)
    clips = [clip for each in folders for clip in load_latents(each).clips]
    shares = (data.favoured, data.favoured_share, data.short_share, data.balance)
    return LatentBatches(clips, crops, *shares)


def load_text(data: FlowData, device: torch.device) -> TextConditioner | None:
    """The text encoder with its tokenizer, or nothing if the latents hold hidden states.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: one of both is null, or both are and the latents hold no hidden states.
    """
    text = load_optional_text(data.text_encoder, data.tokenizer, device)
    if text is None and read_common(Path(data.latents)).empty_states is None:
        raise ValueError(NO_STATES)
    return text


def flow_optimizers(model: nn.Module, config: OptimizerConfig) -> list[Optimizer]:
    """Muon for the matrices of the blocks and AdamW for the rest ("muon"), or AdamW for all ("adamw")."""
    if config.optimizer == "muon":
        return muon(model, ("joint.", "fused."), config.learning_rate, config.weight_decay)
    return [adamw(model.parameters(), config.learning_rate, config.weight_decay, (0.9, 0.95))]


def flow_updates(run: Run, step: TrainingStep, config: OptimizerConfig) -> tuple[Any, Updates]:
    """A training step of a run to call, and what applies its losses; see `Run.updates`."""
    optimizers = flow_optimizers(step.model, config)
    schedules = [cosine_schedule(o, config.warmup_steps, run.config.steps) for o in optimizers]
    return run.updates(step, optimizers, schedules)


def loss_weight(common: Common, channel_weights: bool, device: torch.device) -> Tensor:
    """How much each latent channel counts (C,): as much as is heard of it, or all the same."""
    weight = common.channel_weight.to(device)
    return weight if channel_weights else torch.ones_like(weight)


def training_step(
    model: WooshTransformer,
    batch: FlowBatch,
    channel_weight: Tensor,
    objective: str = "velocity",
    log_variance: bool = True,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch, and its parts.

    Args:
        model: in training.
        batch: clips under their prompts.
        channel_weight: (C,) with mean 1.
        objective: one of `FLOW_OBJECTIVES`.
        log_variance: weigh each time's loss by the learned log-variance.
    """
    time = batch.time
    noisy = interpolate(batch.latents, batch.noise, time)
    target = target_velocity(batch.latents, batch.noise)
    condition = batch.prompts.prepared_by(model)
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


def prompts_of(batch: LatentBatch, text: TextConditioner | None, number: int) -> Prompts:
    """What the clips of batch `number` are conditioned on.

    Hidden states are the latents' own, or those of the captions typed as hurried users type them.

    Raises:
        ValueError: neither a text encoder nor latents with hidden states.
    """
    if text is not None:
        sources = [random.Random(f"{number} {place}") for place in range(len(batch.captions))]
        typed = [varied(*pair) for pair in zip(batch.captions, sources, strict=True)]
        return Prompts(*text(typed), batch.video, batch.sound_seconds)
    if batch.states is None or batch.mask is None:
        raise ValueError(NO_STATES)
    return Prompts(batch.states, batch.mask, batch.video, batch.sound_seconds)


def empty_prompt(common: Common, text: TextConditioner | None, device: torch.device) -> Prompts:
    """The empty text, hidden states (1, L, W) and mask (1, L), and no video.

    Raises:
        ValueError: neither a text encoder nor latents with hidden states.
    """
    if text is not None:
        return Prompts(*text([""]))
    if common.empty_states is None or common.text_tokens is None:
        raise ValueError(NO_STATES)
    states = torch.zeros(1, common.text_tokens, common.empty_states.shape[1])
    mask = torch.zeros(1, common.text_tokens)
    states[0, : len(common.empty_states)] = common.empty_states
    mask[0, : len(common.empty_states)] = 1
    return to_device(Prompts(states, mask), device)


def draw_noise(
    latents: Tensor, times: TimeDistribution, seed: int, number: int
) -> tuple[Tensor, Tensor]:
    """Noise (B, C, T) and times (B,) of batch `number` of latents (B, C, T), which follow from the seed alone."""
    generator = batch_generator(seed, number, "noise and times")
    noise = torch.randn(latents.shape, generator=generator)
    time = sample_times(len(latents), generator, times.time_logit_mean, times.time_logit_std)
    return noise.to(latents.device), time.to(latents.device)
