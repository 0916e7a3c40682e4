"""Train the transformer: the flow from noise to the latents of captioned sounds.

    accelerate launch training/train_flow.py configs/flow_tiny.yaml [name=value ...]

Reads the latents of training/encode_latents.py, and the text encoder of training/train_text_encoder.py unless they hold
its hidden states. With `initial` it fine-tunes a whole transformer. Output folder: transformer/ (the moving average),
log.jsonl, config.yaml, checkpoints/.
"""

from __future__ import annotations

import dataclasses
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
from woosh.training.conditioning import TextConditioner
from woosh.training.config import check_choice
from woosh.training.flow.latents import Common, read_common
from woosh.training.flow.steps import (
    FLOW_OBJECTIVES,
    NO_STATES,
    OPTIMIZERS,
    FlowBatch,
    FlowData,
    OptimizerConfig,
    TimeDistribution,
    draw_noise,
    flow_updates,
    latent_batches,
    load_text,
    loss_weight,
    prompts_of,
    training_step,
)
from woosh.training.listening import ListenConfig, listen_if_due, listener_of


@dataclass(frozen=True)
class Sizes:
    """Of a new transformer, see `WooshTransformer`."""

    width: int
    inner_width: int
    joint_blocks: int
    fused_blocks: int
    heads: int
    rotary_channels: int
    rotary_factor: float
    time_features: int
    patch_size: int
    linear_skip: bool
    max_frames: int
    summary: bool = False


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/flow_tiny.yaml`."""

    run: RunConfig
    data: FlowData
    initial: str | None  # folder of a transformer to go on from; it decides the sizes
    sizes: Sizes
    objective: str  # "velocity", or "v_prediction" after EDM
    times: TimeDistribution
    log_variance: bool  # learn how much the loss at each time counts
    channel_weights: bool  # weigh latent channels by how much of them is heard
    optimising: OptimizerConfig
    activation_checkpointing: bool  # less memory, a third more time
    compile: bool  # each block, anew for every length of crops: slow to start, then faster
    listen: ListenConfig


def text_shape(common: Common, text: TextConditioner | None) -> tuple[int, int]:
    """Tokens and channels of the hidden states.

    Raises:
        ValueError: neither a text encoder nor latents with hidden states.
    """
    if text is not None:
        return text.encoder.config.max_tokens, text.encoder.config.width
    if common.empty_states is None or common.text_tokens is None:
        raise ValueError(NO_STATES)
    return common.text_tokens, common.empty_states.shape[1]


def build_model(config: Config, common: Common, text: TextConditioner | None) -> WooshTransformer:
    """A new transformer that fits these latents and hidden states, or the one to go on from."""
    if config.initial is not None:
        model = load_transformer(config.initial, torch.float32).train()
    else:
        tokens, width = text_shape(common, text)
        model = WooshTransformer(
            latent_channels=len(common.channel_weight),
            text_width=width,
            text_tokens=tokens,
            latent_deviations=common.deviation.tolist(),
            latent_rate=config.data.latent_rate,
            **dataclasses.asdict(config.sizes),
        )
    model.log_variance_head.requires_grad_(config.log_variance)
    return model


def main(config: Config) -> None:
    """Train and save."""
    # 1. Run
    check_choice("objective", config.objective, FLOW_OBJECTIVES)
    check_choice("optimizer", config.optimising.optimizer, OPTIMIZERS)
    run: Run[WooshTransformer] = Run(config.run, config)

    # 2. Data
    source = latent_batches(config.data, config.run.seed)
    common = read_common(Path(config.data.latents))
    text = load_text(config.data, run.device)

    # 3. Model
    model = build_model(config, common, text)
    run.follow(model)
    blocks = (*model.joint, *model.fused)
    prepare_blocks(blocks, config.activation_checkpointing, config.compile)

    # 4. Training step and optimisers
    weight = loss_weight(common, config.channel_weights, run.device)
    settings = {"objective": config.objective, "log_variance": config.log_variance}
    step = TrainingStep(model, partial(training_step, channel_weight=weight, **settings))
    train_step, updates = flow_updates(run, step, config.optimising)
    listener = listener_of(run, config.listen, text)
    run.start()

    # 5. Loop
    for number, batch in run.batches(source, config.data.workers):
        latents = batch.latents.to(run.device)
        noise, time = draw_noise(latents, config.times, config.run.seed, number)
        with run.gathering(train_step):
            with run.accelerator.autocast():
                prompts = to_device(prompts_of(batch, text, number), run.device)
                loss, scalars = train_step(FlowBatch(latents, prompts, noise, time))
            updates.apply(loss, number)
            run.advance(scalars, len(latents), "clips")
        listen_if_due(run, listener)
        run.save_if_due("transformer", WooshTransformer.save_pretrained)
    run.export_average("transformer", WooshTransformer.save_pretrained)


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
