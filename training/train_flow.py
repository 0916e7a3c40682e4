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

from woosh.generation.text_encoder import TextConditioner
from woosh.generation.transformer import WooshTransformer
from woosh.training import Objective, Run, RunConfig, cosine_schedule, prepare_blocks
from woosh.training.command import run_recipe
from woosh.training.config import check_choice
from woosh.training.flow.latents import Common, read_common
from woosh.training.flow.steps import (
    NO_STATES,
    OBJECTIVES,
    OPTIMIZERS,
    FlowData,
    conditions,
    draw_noise,
    flow_optimizers,
    latent_batches,
    load_text,
    training_step,
)
from woosh.training.listening import ListenConfig, Listener
from woosh.weight_files import load_saved


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


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/flow_tiny.yaml`."""

    run: RunConfig
    data: FlowData
    initial: str | None  # folder of a transformer to go on from; it decides the sizes
    sizes: Sizes
    objective: str  # "velocity", or "v_prediction" after EDM
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
        model = load_saved(WooshTransformer, config.initial, torch.float32).train()
    else:
        tokens, width = text_shape(common, text)
        model = WooshTransformer(
            latent_channels=len(common.channel_weight),
            text_width=width,
            text_tokens=tokens,
            **dataclasses.asdict(config.sizes),
        )
    model.log_variance_head.requires_grad_(config.log_variance)
    return model


def main(config: Config) -> None:
    """Train and save."""
    # 1. Run
    check_choice("objective", config.objective, OBJECTIVES)
    check_choice("optimizer", config.optimizer, OPTIMIZERS)
    run: Run[WooshTransformer] = Run(config.run, config)

    # 2. Data
    source = latent_batches(config.data, config.run.seed)
    common = read_common(Path(config.data.latents))
    weight = common.channel_weight.to(run.device)
    weight = weight if config.channel_weights else torch.ones_like(weight)
    text = load_text(config.data, run.device)

    # 3. Model
    model = build_model(config, common, text)
    run.follow(model)
    blocks = (*model.joint, *model.fused)
    prepare_blocks(blocks, config.activation_checkpointing, config.compile)

    # 4. Optimisers and schedules
    optimizers = flow_optimizers(model, config.optimizer, config.learning_rate, config.weight_decay)
    schedules = [cosine_schedule(o, config.warmup_steps, config.run.steps) for o in optimizers]
    loss = partial(training_step, objective=config.objective, log_variance=config.log_variance)
    step = Objective(model, loss)
    objective, updates = run.updates(step, optimizers, schedules)
    listener = None
    if config.run.evaluate_every and run.is_main:
        listener = Listener(config.listen, text, config.run.seed)
    run.start()

    # 5. Loop
    for number, batch in run.batches(source, config.data.workers):
        latents = batch.latents.to(run.device)
        times = (config.time_logit_mean, config.time_logit_std)
        noise, time = draw_noise(latents, *times, config.run.seed, number)
        with run.gathering(objective):
            with run.accelerator.autocast():
                states, mask = (part.to(run.device) for part in conditions(batch, text, number))
                loss, scalars = objective(latents, states, mask, noise, time, weight)
            updates.apply(loss, number)
            run.advance(scalars, len(latents), "clips")
        if run.due(config.run.evaluate_every):
            average = run.averaged()
            if listener is not None:
                listener.listen(run, average)
        if run.must_save:
            run.save()
            average = run.averaged()
            if run.is_main:
                average.save_pretrained(run.output / "transformer")


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
