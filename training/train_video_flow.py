"""Train a flow that makes the sound of a video, from one that makes sound from words.

    accelerate launch training/train_video_flow.py configs/video_flow_tiny.yaml [name=value ...]

Clips with pictures come from training/encode_video.py; a share of the batches are the text flow's own sounds, so that
it goes on making these without a picture. Output folder: log.jsonl, checkpoints/, transformer/ (the average).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from woosh.generation.transformer import WooshTransformer
from woosh.training import Objective, Run, RunConfig, cosine_schedule, prepare_blocks
from woosh.training.command import run_recipe
from woosh.training.config import check_choice
from woosh.training.flow.latents import read_common
from woosh.training.flow.steps import (
    OPTIMIZERS,
    FlowData,
    conditions,
    draw_noise,
    flow_optimizers,
    load_text,
    training_step,
)
from woosh.training.flow.video import (
    VideoData,
    seen_batches,
    video_channels,
    with_video,
    without_some,
)
from woosh.weight_files import load_saved


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/video_flow_tiny.yaml`."""

    run: RunConfig
    data: FlowData  # of the sounds without a picture
    video: VideoData
    initial: str  # folder of a transformer, with a video stream or without
    time_logit_mean: float | None  # null draws times uniformly
    time_logit_std: float
    log_variance: bool  # learn how much the loss at each time counts
    channel_weights: bool  # weigh latent channels by how much of them is heard
    optimizer: str  # "muon" for the blocks' matrices and AdamW for the rest, or "adamw" for all
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    activation_checkpointing: bool  # less memory, a third more time
    compile: bool  # each block, anew for every length of crops: slow to start, then faster


def build_model(config: Config, channels: int) -> WooshTransformer:
    """The transformer to go on from; one that does not see yet gets a video stream."""
    model = load_saved(WooshTransformer, config.initial, torch.float32)
    if model.config.video_channels is None:
        model = with_video(model, channels)
    elif model.config.video_channels != channels:
        raise ValueError(
            f"{config.initial} takes {model.config.video_channels} video features, the clips have {channels}"
        )
    model.log_variance_head.requires_grad_(config.log_variance)
    return model.train()


def seen_step(
    model: WooshTransformer,
    latents: Tensor,
    states: Tensor,
    mask: Tensor,
    noise: Tensor,
    time: Tensor,
    weight: Tensor,
    video: Tensor,
    log_variance: bool,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The flow's loss of a batch under its texts and features; see `woosh.training.flow.steps.training_step`."""
    return training_step(
        *(model, latents, states, mask, noise, time, weight),
        log_variance=log_variance,
        video=video,
    )


def main(config: Config) -> None:
    """Train and save."""
    # 1. Run
    check_choice("optimizer", config.optimizer, OPTIMIZERS)
    run: Run[WooshTransformer] = Run(config.run, config)

    # 2. Data
    source = seen_batches(config.data, config.video, config.run.seed)
    videos = Path(str(config.video.videos))
    weight = read_common(videos).channel_weight.to(run.device)
    weight = weight if config.channel_weights else torch.ones_like(weight)
    text = load_text(config.data, run.device)

    # 3. Model
    model = build_model(config, video_channels(videos))
    run.follow(model)
    prepare_blocks((*model.joint, *model.fused), config.activation_checkpointing, config.compile)

    # 4. Optimisers and schedules
    optimizers = flow_optimizers(model, config.optimizer, config.learning_rate, config.weight_decay)
    schedules = [cosine_schedule(o, config.warmup_steps, config.run.steps) for o in optimizers]
    loss = partial(seen_step, log_variance=config.log_variance)
    objective, updates = run.updates(Objective(model, loss), optimizers, schedules)
    run.start()

    # 5. Loop
    seed = config.run.seed
    for number, batch in run.batches(source, config.data.workers):
        assert batch.video is not None  # `seen_batch` gives every batch features
        latents = batch.latents.to(run.device)
        video = without_some(batch.video, config.video, seed, number).to(run.device)
        times = (config.time_logit_mean, config.time_logit_std)
        noise, time = draw_noise(latents, *times, seed, number)
        with run.gathering(objective):
            with run.accelerator.autocast():
                states, mask = (part.to(run.device) for part in conditions(batch, text, number))
                loss, scalars = objective(latents, states, mask, noise, time, weight, video)
            updates.apply(loss, number)
            run.advance(scalars, len(latents), "clips")
        if run.must_save:
            run.save()
            average = run.averaged()
            if run.is_main:
                average.save_pretrained(run.output / "transformer")


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
