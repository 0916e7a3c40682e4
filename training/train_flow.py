"""Train the transformer: the flow from noise to the latents of captioned sounds.

    accelerate launch training/train_flow.py configs/flow_tiny.yaml [name=value ...]

Reads the latents of training/encode_latents.py and the text encoder of training/train_text_encoder.py.
Output folder: transformer/ (the moving average), log.jsonl, config.yaml, checkpoint/.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from woosh.config import load_config
from woosh.datasets import NumberedBatches
from woosh.flow import flow_loss, interpolate, sample_times, target_velocity
from woosh.latents import LatentBatches, load_latents
from woosh.phrases import varied
from woosh.text import WooshTextEncoder, load_tokenizer, tokenize
from woosh.training import (
    Log,
    Objective,
    Progress,
    Updates,
    cosine_schedule,
    moving_average,
    resume_checkpoint,
    save_checkpoint,
)
from woosh.transformer import WooshTransformer

SCALARS: tuple[str, ...] = ("loss", "error", "weighted_error")  # averaged in the log


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/flow_tiny.yaml`."""

    output: str
    latents: str  # folder of training/encode_latents.py
    text_encoder: str  # folder
    tokenizer: str  # folder
    latent_rate: float  # frames per second
    initial: str | None  # folder of a transformer to go on from; it decides the sizes
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
    lengths: tuple[int, ...]  # latent frames of a batch, one is drawn
    length_chances: tuple[float, ...]
    frames_per_batch: int  # clips times length, per process
    favoured: tuple[str, ...]  # labels that get extra weight
    favoured_share: float  # of the draws
    short_share: float  # of the other draws: a short sound followed by silence
    caption_dropout: float
    time_logit_mean: float
    time_logit_std: float
    steps: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    ema_decay: float
    clip_norm: float
    non_finite: str  # "stop" or "skip", when a loss or a gradient is NaN or infinite
    precision: str  # "no", "bf16" or "fp16"
    compile: bool  # each block, anew for every length in `lengths`: slow to start, then faster
    seed: int
    log_every: int
    save_every: int
    resume: bool  # continue from the output folder's checkpoint


def training_step(
    model: WooshTransformer,
    latents: Tensor,
    text: Tensor,
    mask: Tensor,
    noise: Tensor,
    time: Tensor,
    channel_weight: Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Velocity loss of latents (B, C, T) at times (B,), weighted by the learned log-variance and by channel (C,)."""
    noisy = interpolate(latents, noise, time)
    velocity = model(noisy, time, model.prepare(text, mask))
    target = target_velocity(latents, noise)
    loss = flow_loss(
        velocity,
        target,
        log_variance=model.log_variance(time),
        channel_weight=channel_weight,
    )
    velocity = velocity.detach()
    return loss, {
        "loss": loss.detach(),
        "error": flow_loss(velocity, target),
        "weighted_error": flow_loss(velocity, target, channel_weight=channel_weight),
    }


@torch.no_grad()
def embed(
    text_encoder: WooshTextEncoder,
    tokenizer: PreTrainedTokenizerBase,
    captions: Sequence[str],
    number: int,
) -> tuple[Tensor, Tensor]:
    """Hidden states (B, L, W) and mask (B, L) of captions, typed as hurried users type them."""
    texts = [varied(caption, random.Random(f"{number} {i}")) for i, caption in enumerate(captions)]
    ids, mask = tokenize(tokenizer, texts, text_encoder.config.max_tokens)
    ids, mask = ids.to(text_encoder.device), mask.to(text_encoder.device)
    return text_encoder(ids, mask), mask


def draw_noise(latents: Tensor, config: Config, number: int) -> tuple[Tensor, Tensor]:
    """Noise (B, C, T) and times (B,) of batch `number`, which follow from the seed alone."""
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + number)
    noise = torch.randn(latents.shape, generator=generator)
    time = sample_times(len(latents), generator, config.time_logit_mean, config.time_logit_std)
    return noise.to(latents.device), time.to(latents.device)


def build_model(
    config: Config, latent_channels: int, text_encoder: WooshTextEncoder
) -> WooshTransformer:
    """A new transformer that fits these latents and this text encoder, or the one to go on from."""
    if config.initial is not None:
        return WooshTransformer.from_pretrained(config.initial, dtype=torch.float32).train()
    return WooshTransformer(
        latent_channels=latent_channels,
        text_width=text_encoder.config.width,
        text_tokens=text_encoder.config.max_tokens,
        width=config.width,
        inner_width=config.inner_width,
        joint_blocks=config.joint_blocks,
        fused_blocks=config.fused_blocks,
        heads=config.heads,
        rotary_channels=config.rotary_channels,
        max_frames=config.max_frames,
        time_features=config.time_features,
        rotary_factor=config.rotary_factor,
        patch_size=config.patch_size,
        linear_skip=config.linear_skip,
    )


def build_optimizers(model: WooshTransformer, config: Config) -> list[torch.optim.Optimizer]:
    """Muon (orthogonalised updates) for the matrices of the blocks, AdamW for everything else.

    Muon's steps are scaled to the size of AdamW's (arXiv 2502.16982), so one learning rate serves.
    """
    matrices = {
        name: value
        for name, value in model.named_parameters()
        if value.ndim == 2 and name.startswith(("joint.", "fused.")) and "modulation" not in name
    }
    others = [value for name, value in model.named_parameters() if name not in matrices]
    muon = torch.optim.Muon(
        list(matrices.values()),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    adamw = torch.optim.AdamW(
        others, lr=config.learning_rate, betas=(0.9, 0.95), weight_decay=config.weight_decay
    )
    return [muon, adamw]


def save(accelerator: Accelerator, average: nn.Module, output: Path) -> None:
    """Write the run's state, and the averaged transformer."""
    save_checkpoint(accelerator, output / "checkpoint")
    if accelerator.is_main_process:
        cast(WooshTransformer, average.module).save_pretrained(output / "transformer")


def main(config: Config) -> None:
    """Train and save."""
    # 1. Accelerator
    accelerator = Accelerator(mixed_precision=config.precision)
    torch.manual_seed(config.seed)
    output = Path(config.output)

    # 2. Data
    cache = load_latents(Path(config.latents))
    source = LatentBatches(
        cache.clips,
        cache.silence,
        lengths=config.lengths,
        chances=config.length_chances,
        frames_per_batch=config.frames_per_batch,
        favoured=config.favoured,
        favoured_share=config.favoured_share,
        short_share=config.short_share,
        caption_dropout=config.caption_dropout,
        latent_rate=config.latent_rate,
        seed=config.seed,
    )
    tokenizer = load_tokenizer(config.tokenizer)
    text_encoder = WooshTextEncoder.from_pretrained(config.text_encoder)
    text_encoder.to(accelerator.device).eval().requires_grad_(False)

    # 3. Model
    model = build_model(config, len(cache.channel_weight), text_encoder)
    average = moving_average(model, config.ema_decay)
    for block in (*model.joint, *model.fused) if config.compile else ():
        block.compile(dynamic=False)

    # 4. Optimisers and schedules
    optimizers = build_optimizers(model, config)
    schedules = [cosine_schedule(o, config.warmup_steps, config.steps) for o in optimizers]

    # 5. Prepare and resume
    progress = Progress()
    objective, *optimizers = accelerator.prepare(Objective(model, training_step), *optimizers)
    average.to(accelerator.device)
    accelerator.register_for_checkpointing(*schedules, average, progress)
    if config.resume:
        resume_checkpoint(accelerator, output / "checkpoint")
    processes, rank = accelerator.num_processes, accelerator.process_index
    updates = Updates(
        accelerator,
        optimizers,
        schedules,
        objective.parameters(),
        config.clip_norm,
        config.non_finite,
        output,
        progress,
    )
    remaining = NumberedBatches(
        source, progress.step * processes, (config.steps - progress.step) * processes
    )
    loader = DataLoader(remaining, batch_size=None, sampler=range(rank, len(remaining), processes))

    # 6. Loop
    log = Log(output, config, progress.step) if accelerator.is_main_process else None
    bar = tqdm(loader, initial=progress.step, total=config.steps, disable=log is None)
    total, clips_seen = dict.fromkeys(SCALARS, 0.0), 0
    for number, batch in bar:
        latents = batch.latents.to(accelerator.device)
        noise, time = draw_noise(latents, config, number)
        with accelerator.autocast():
            text, mask = embed(text_encoder, tokenizer, batch.captions, number)
            weight = cache.channel_weight.to(accelerator.device)
            loss, logs = objective(latents, text, mask, noise, time, weight)
        updates.apply(loss, number)
        average.update_parameters(model)
        progress.step += 1
        total = {name: total[name] + logs[name].item() for name in total}
        clips_seen += len(latents) * processes
        if log is not None and progress.step % config.log_every == 0:
            means = {name: value / config.log_every for name, value in total.items()}
            means |= {"gradient_norm": updates.gradient_norm, "skipped": updates.skipped}
            log.write(progress.step, means, clips_seen, "clips")
            bar.set_postfix(error=round(means["error"], 4))
            total, clips_seen = dict.fromkeys(SCALARS, 0.0), 0
        due = progress.step % config.save_every == 0 or progress.step == config.steps
        if due or updates.stopping:
            save(accelerator, average, output)
        if updates.stopping:
            break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="name=value")
    arguments = parser.parse_args()
    main(load_config(Config, arguments.config, arguments.overrides))
