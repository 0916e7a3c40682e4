"""Teach a model the sounds of a folder of yours, in a file of few megabytes beside the model (LoRA).

    accelerate launch training/finetune_lora.py configs/lora_tiny.yaml data=FOLDER [name=value ...]
    woosh generate "a door in my castle" --lora runs/lora/lora.safetensors

The captions of a sound are the lines of a text file beside it, or the words of its name. Output folder:
lora.safetensors, log.jsonl, config.yaml, checkpoints/.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from woosh.autoencoder import WooshAutoencoder
from woosh.catalogue import find_model
from woosh.config import load_config
from woosh.data.sources import load_source
from woosh.datasets import Clip
from woosh.flow_training import conditions, draw_noise, training_step
from woosh.latent_encoding import Variations, encode_clip, pieces_of, versions
from woosh.latents import Common, Crops, LatentBatches, LatentClip
from woosh.lora import LoraFacts, add_lora, save_lora
from woosh.text import load_text_conditioner
from woosh.training import Objective, Run, RunConfig, adamw, cosine_schedule, prepare_blocks
from woosh.training.listening import ListenConfig, Listener
from woosh.transformer import WooshTransformer

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
    seconds: float  # of a training crop
    batch_size: int  # crops per process
    caption_dropout: float
    time_logit_mean: float | None  # null draws times uniformly
    time_logit_std: float
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    activation_checkpointing: bool  # less memory, a third more time
    listen: ListenConfig


def encode(
    clips: Sequence[Clip], autoencoder: WooshAutoencoder, config: Config
) -> list[LatentClip]:
    """Latents of all sounds and of their variations, under captions that begin with the trigger."""
    rate = autoencoder.config.sample_rate
    encoded = []
    for clip in clips:
        captions = tuple(f"{config.trigger} {text}".strip() for text in clip.captions)
        named = dataclasses.replace(clip, captions=captions)
        for piece, continuous in pieces_of(named, config.longest_seconds, rate):
            for version in versions(piece, (), (), (), config.variations, config.run.seed, rate):
                latents = encode_clip(autoencoder, version.audio)
                name, label, group = version.name, version.label, version.group
                encoded.append(LatentClip(latents, captions, name, label, group, continuous))
    return encoded


@torch.no_grad()
def crops_of(autoencoder: WooshAutoencoder, config: Config) -> Crops:
    """How the sounds become batches: crops of one length, or repeated or followed by silence."""
    silence = torch.zeros(1, autoencoder.audio_channels, autoencoder.config.sample_rate)
    silence = autoencoder.encode_generated(silence.to(autoencoder.device))[0].cpu()
    common = Common(silence, torch.ones(len(silence)), None, None)
    frames = 1 + round(config.seconds * autoencoder.latent_rate)
    dropout, rate = config.caption_dropout, autoencoder.latent_rate
    total = frames * config.batch_size
    return Crops(common, (frames,), (1.0,), total, dropout, rate, config.run.seed)


def main(config: Config) -> None:
    """Train and save."""
    # 1. Run
    run: Run[WooshTransformer] = Run(config.run, config)

    # 2. The model that learns, and its companions
    folder = find_model(config.model)
    text = load_text_conditioner(folder / "text_encoder", folder / "tokenizer", run.device)
    model = WooshTransformer.from_pretrained(folder / "transformer", dtype=torch.float32)
    autoencoder = WooshAutoencoder.from_pretrained(folder / "autoencoder", dtype=torch.float32)
    torch.nn.Module.to(autoencoder, run.device).eval()
    add_lora(model, config.rank, config.alpha, config.dropout)
    run.follow(model)
    prepare_blocks((*model.joint, *model.fused), config.activation_checkpointing, compiled=False)

    # 3. Data
    clips = load_source(config.data, config.split, autoencoder.config.sample_rate)
    crops = crops_of(autoencoder, config)
    source = LatentBatches(encode(clips, autoencoder, config), crops, (), 0.0, 1.0)
    weight = crops.common.channel_weight.to(run.device)

    # 4. Optimiser and schedule
    optimizer = adamw(model.parameters(), config.learning_rate, config.weight_decay, BETAS)
    schedule = cosine_schedule(optimizer, config.warmup_steps, config.run.steps)
    objective, updates = run.updates(Objective(model, training_step), [optimizer], [schedule])
    listener = None
    if config.run.evaluate_every and run.is_main:
        listener = Listener(config.listen, text, config.run.seed)
    run.start()
    facts = LoraFacts(config.rank, config.alpha, config.model, config.trigger)

    # 5. Loop
    objective.train()
    for number, batch in run.batches(source):
        latents = batch.latents.to(run.device)
        times = (config.time_logit_mean, config.time_logit_std)
        noise, time = draw_noise(latents, *times, config.run.seed, number)
        with run.gathering(objective):
            with run.accelerator.autocast():
                states, mask = conditions(batch, text, number)
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
                save_lora(average, run.output / "lora.safetensors", facts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="name=value")
    arguments = parser.parse_args()
    main(load_config(Config, arguments.config, arguments.overrides))
