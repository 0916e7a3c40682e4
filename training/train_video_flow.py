"""Train a flow that makes the sound of a video, from one that makes sound from words.

    accelerate launch training/train_video_flow.py configs/video_flow_small.yaml [name=value ...]

Clips with pictures come from training/encode_video.py; a share of the batches are the text flow's own sounds, so that
it goes on making these without a picture. Output folder: log.jsonl, checkpoints/, transformer/ (the average).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from woosh.generation.changes import load_transformer
from woosh.generation.transformer import WooshTransformer
from woosh.training import Run, RunConfig, TrainingStep, prepare_blocks
from woosh.training.batches import to_device
from woosh.training.command import run_recipe
from woosh.training.config import check_choice
from woosh.training.flow.latents import read_common
from woosh.training.flow.low_rank import learn_low_rank, save_whole
from woosh.training.flow.steps import (
    OPTIMIZERS,
    FlowBatch,
    FlowData,
    OptimizerConfig,
    TimeDistribution,
    draw_noise,
    flow_updates,
    load_text,
    loss_weight,
    prompts_of,
    training_step,
)
from woosh.training.flow.video import (
    VideoData,
    hide_pictures,
    seen_batches,
    video_channels,
    with_video,
)


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/video_flow_small.yaml`."""

    run: RunConfig
    data: FlowData  # of the sounds without a picture
    video: VideoData
    initial: str  # folder of a transformer, with a video stream or without
    rank: int  # of the changes of its matrices, apart from a new video stream; 0 lets all weights learn
    times: TimeDistribution
    log_variance: bool  # learn how much the loss at each time counts
    channel_weights: bool  # weigh latent channels by how much of them is heard
    optimising: OptimizerConfig
    activation_checkpointing: bool  # less memory, a third more time
    compile: bool  # each block, anew for every length of crops: slow to start, then faster


def build_model(config: Config, channels: int) -> WooshTransformer:
    """The transformer to go on from; one that does not see yet gets a video stream."""
    model = load_transformer(config.initial, torch.float32)
    if model.config.video_channels is None:
        model = with_video(model, channels)
    elif model.config.video_channels != channels:
        raise ValueError(
            f"{config.initial} takes {model.config.video_channels} video features, the clips have {channels}"
        )
    model.log_variance_head.requires_grad_(config.log_variance)
    learn_low_rank(model, config.rank, whole=("video_in.", ".video.", "final.", "log_variance"))
    return model.train()


def main(config: Config) -> None:
    """Train and save."""
    # 1. Run
    check_choice("optimizer", config.optimising.optimizer, OPTIMIZERS)
    run: Run[WooshTransformer] = Run(config.run, config)

    # 2. Data
    source = seen_batches(config.data, config.video, config.run.seed)
    videos = Path(str(config.video.videos))
    text = load_text(config.data, run.device)

    # 3. Model
    model = build_model(config, video_channels(videos))
    run.follow(model)
    prepare_blocks((*model.joint, *model.fused), config.activation_checkpointing, config.compile)

    # 4. Training step and optimisers
    weight = loss_weight(read_common(videos), config.channel_weights, run.device)
    step = partial(training_step, channel_weight=weight, log_variance=config.log_variance)
    train_step, updates = flow_updates(run, TrainingStep(model, step), config.optimising)
    run.start()

    # 5. Loop
    seed = config.run.seed
    for number, batch in run.batches(source, config.data.workers):
        latents = batch.latents.to(run.device)
        noise, time = draw_noise(latents, config.times, seed, number)
        with run.gathering(train_step):
            with run.accelerator.autocast():
                prompts = hide_pictures(prompts_of(batch, text, number), config.video, seed, number)
                prompts = to_device(prompts, run.device)
                loss, scalars = train_step(FlowBatch(latents, prompts, noise, time))
            updates.apply(loss, number)
            run.advance(scalars, len(latents), "clips")
        run.save_if_due("transformer", save_whole)
    run.export_average("transformer", save_whole)


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
