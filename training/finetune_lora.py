"""Teach a model the sounds of a folder of yours, in a file of few megabytes beside the model (LoRA).

    accelerate launch training/finetune_lora.py configs/lora_tiny.yaml data=FOLDER [name=value ...]
    woosh generate "a door in my castle" --lora runs/lora/lora.safetensors

The captions of a sound are the lines of a text file beside it, or the words of its name. Output folder:
lora.safetensors, log.jsonl, config.yaml, checkpoints/.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from woosh.autoencoder import Autoencoder, load_autoencoder
from woosh.catalogue import DEFAULT_MODEL, describe_model, find_model, part_folders
from woosh.data.clips import Clip
from woosh.data.sources import load_source
from woosh.generation.changes import load_transformer
from woosh.generation.lora import LoraFacts, add_lora, save_lora
from woosh.generation.transformer import WooshTransformer
from woosh.training import Run, RunConfig, TrainingStep, adamw, cosine_schedule, prepare_blocks
from woosh.training.command import run_recipe
from woosh.training.conditioning import load_text_conditioner
from woosh.training.flow.crops import Crops, LatentBatches
from woosh.training.flow.encoding import Company, Variations, encode_clip, pieces_of, versions
from woosh.training.flow.latents import Common, LatentClip
from woosh.training.flow.steps import (
    FlowBatch,
    TimeDistribution,
    draw_noise,
    prompts_of,
    training_step,
)
from woosh.training.listening import ListenConfig, listen_if_due, listener_of

BETAS = (0.9, 0.99)


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/lora_tiny.yaml`."""

    run: RunConfig
    model: str  # a built-in model or a model folder
    data: str  # folder of sounds, manifest, shards, or hf:NAME
    split: str
    trigger: str  # words to put in front of every caption, a name for the collection; may be empty
    rank: int
    alpha: float  # the adapters count alpha / rank times
    dropout: float
    variations: Variations
    longest_seconds: float  # of a sound that is encoded in one piece
    lengths: tuple[
        float, ...
    ]  # seconds of a training crop; each sound is learned at the one that fits it
    short_share: float  # of the crops: a sound of any length, followed by silence
    batch_size: int  # crops of the longest length per process, more of shorter ones
    caption_dropout: float
    times: TimeDistribution
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    activation_checkpointing: bool  # less memory, a third more time
    listen: ListenConfig


def encode(clips: Sequence[Clip], autoencoder: Autoencoder, config: Config) -> list[LatentClip]:
    """Latents of all sounds and of their variations, under captions that begin with the trigger."""
    rate = autoencoder.config.sample_rate
    encoded = []
    for clip in clips:
        captions = tuple(f"{config.trigger} {text}".strip() for text in clip.captions)
        named = dataclasses.replace(clip, captions=captions)
        for piece, continuous in pieces_of(named, config.longest_seconds, rate):
            for version in versions(piece, Company(), config.variations, config.run.seed, rate):
                latents = encode_clip(autoencoder, version.audio)
                name, label, group = version.name, version.label, version.group
                encoded.append(LatentClip(latents, captions, name, label, group, continuous))
    return encoded


def fitting_lengths(clips: Sequence[LatentClip], frames: Sequence[int]) -> dict[int, int]:
    """How many clips each length fits best, which is the longest that a clip fills, or else the shortest."""
    counts: dict[int, int] = {}
    for clip in clips:
        filled = [length for length in frames if length <= clip.latents.shape[1]]
        best = max(filled, default=min(frames))
        counts[best] = counts.get(best, 0) + 1
    return counts


@torch.no_grad()
def crop_source(clips: list[LatentClip], autoencoder: Autoencoder, config: Config) -> Any:
    """Batches of crops of the lengths that the sounds have."""
    silence = torch.zeros(1, autoencoder.audio_channels, autoencoder.config.sample_rate)
    silence = autoencoder.encode_generated(silence.to(autoencoder.device))[0].cpu()
    rate, longest = autoencoder.latent_rate, max(config.lengths)
    counts = fitting_lengths(clips, [1 + round(length * rate) for length in config.lengths])
    crops = Crops(
        Common(silence, torch.ones(len(silence)), None, None, torch.ones(len(silence))),
        tuple(counts),
        tuple(float(count) for count in counts.values()),
        config.batch_size * (1 + round(longest * rate)),
        config.caption_dropout,
        rate,
        config.run.seed,
    )
    return LatentBatches(clips, crops, (), 0.0, config.short_share)


def teachable_parts(name: str) -> dict[str, Path]:
    """Where the parts of a model lie that can learn; see `part_folders`.

    Raises:
        FileNotFoundError: neither a built-in name nor a folder, or a part is missing.
        ValueError: a few-step model.
    """
    folder = find_model(name)
    if describe_model(folder).few_step:
        raise ValueError(
            f"model {name} is a few-step model, which is distilled and not trained: take another one, such as "
            f"{DEFAULT_MODEL}"
        )
    return part_folders(folder)


def main(config: Config) -> None:
    """Train and save."""
    # 1. Run
    run: Run[WooshTransformer] = Run(config.run, config)

    # 2. The model that learns, and its companions
    parts = teachable_parts(config.model)
    text = load_text_conditioner(parts["text_encoder"], parts["tokenizer"], run.device)
    model = load_transformer(parts["transformer"], torch.float32)
    autoencoder = load_autoencoder(parts["autoencoder"], torch.float32)
    autoencoder.to(run.device).eval()
    add_lora(model, config.rank, config.alpha, config.dropout)
    run.follow(model)
    prepare_blocks((*model.joint, *model.fused), config.activation_checkpointing, compiled=False)

    # 3. Data
    clips = load_source(config.data, config.split, autoencoder.config.sample_rate)
    source = crop_source(encode(clips, autoencoder, config), autoencoder, config)
    weight = torch.ones(autoencoder.generated_channels, device=run.device)

    # 4. Optimiser and schedule
    optimizer = adamw(model.parameters(), config.learning_rate, config.weight_decay, BETAS)
    schedule = cosine_schedule(optimizer, config.warmup_steps, config.run.steps)
    step = TrainingStep(model, partial(training_step, channel_weight=weight))
    train_step, updates = run.updates(step, [optimizer], [schedule])
    listener = listener_of(run, config.listen, text)
    run.start()
    write = partial(
        save_lora, facts=LoraFacts(config.rank, config.alpha, config.model, config.trigger)
    )

    # 5. Loop
    train_step.train()
    for number, batch in run.batches(source):
        latents = batch.latents.to(run.device)
        noise, time = draw_noise(latents, config.times, config.run.seed, number)
        with run.gathering(train_step):
            with run.accelerator.autocast():
                prompts = prompts_of(batch, text, number)
                loss, scalars = train_step(FlowBatch(latents, prompts, noise, time))
            updates.apply(loss, number)
            run.advance(scalars, len(latents), "clips")
        listen_if_due(run, listener)
        run.save_if_due("lora.safetensors", write)
    run.export_average("lora.safetensors", write)


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
