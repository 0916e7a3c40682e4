"""Train the mel autoencoder: principal components of log-mel tokens, and the flow that draws what they leave out.

    accelerate launch training/train_mel_autoencoder.py configs/mel_autoencoder_tiny.yaml [name=value ...]

The components are computed from the recordings before the first step, so latents are final from the start: only the
detail network is trained. Output folder: autoencoder/ (the moving average), log.jsonl, config.yaml, checkpoints/.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from woosh.autoencoder.mel import WooshMelAutoencoder
from woosh.data.clips import Clip
from woosh.data.sources import load_source
from woosh.training import Run, RunConfig, TrainingStep, adamw, cosine_schedule
from woosh.training.autoencoder.components import fit_components
from woosh.training.autoencoder.crops import CropAugmentation, CropBatches
from woosh.training.autoencoder.detail import (
    DetailBatch,
    DoubtDistribution,
    draw_detail,
    training_step,
)
from woosh.training.autoencoder.steps import draw_chances, report
from woosh.training.command import run_recipe
from woosh.training.cropping import CropSettings
from woosh.weight_files import load_saved


@dataclass(frozen=True)
class Sizes:
    """Of a new autoencoder, see `WooshMelAutoencoder`."""

    sample_rate: int
    n_fft: int
    hop_length: int
    frames_per_token: int
    bands: int
    latent_channels: int
    width: int
    inner_width: int
    detail_layers: int


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/mel_autoencoder_tiny.yaml`."""

    run: RunConfig
    data: str  # manifest (JSONL beside its audio), shards, or hf:NAME
    workers: int  # processes that prepare batches
    initial: (
        str | None
    )  # folder of a mel autoencoder to go on from; it decides sizes and components
    sizes: Sizes
    longest_seconds: float  # of a recording that count for its components
    length_exponent: float  # a clip's chance is its length to this power: 0 treats all alike
    crop_seconds: float
    batch_size: int  # crops per process
    augmentation: CropAugmentation
    doubt: DoubtDistribution
    time_logit_mean: float
    time_logit_std: float
    learning_rate: float
    warmup_steps: int
    weight_decay: float


def build_model(config: Config, recorded: Iterable[Clip]) -> WooshMelAutoencoder:
    """The autoencoder to go on from, or a new one with the components of the recordings."""
    if config.initial is not None:
        return load_saved(WooshMelAutoencoder, config.initial, torch.float32).train()
    model = WooshMelAutoencoder(**dataclasses.asdict(config.sizes))
    fit_components(model, loud(recorded, model, config.longest_seconds))
    return model


def loud(recorded: Iterable[Clip], model: WooshMelAutoencoder, longest: float) -> Iterator[Tensor]:
    """The beginning of each recording (1, S), at a peak of 0.8 and not shorter than a window."""
    samples = round(longest * model.config.sample_rate)  # type: ignore[attr-defined]
    for clip in recorded:
        audio = 0.8 * clip.audio / np.abs(clip.audio).max()
        audio = np.pad(audio, (0, max(0, model.n_fft - len(audio))))[:samples]
        yield torch.from_numpy(audio.astype(np.float32))[None]


def main(config: Config) -> None:
    """Fit the components, train and save."""
    # 1. Run
    run: Run[WooshMelAutoencoder] = Run(config.run, config)

    # 2. Data
    rate = config.sizes.sample_rate
    recorded = load_source(config.data, "train", rate)
    heard = config.run.evaluate_every and run.is_main
    held_out = load_source(config.data, "validation", rate) if heard else []
    chances = draw_chances(recorded, [], 0.0, config.length_exponent, rate)
    samples, size = round(config.crop_seconds * rate), config.batch_size
    settings = CropSettings(samples, size, config.augmentation, config.run.seed, ())
    source = CropBatches(recorded, chances, settings)

    # 3. Model
    model = build_model(config, recorded)
    run.follow(model)

    # 4. Training step and optimiser
    step = TrainingStep(model, training_step)
    optimizer = adamw(model.parameters(), config.learning_rate, config.weight_decay, (0.9, 0.98))
    schedule = cosine_schedule(optimizer, config.warmup_steps, config.run.steps)
    train_step, updates = run.updates(step, [optimizer], [schedule])
    run.start()

    # 5. Loop
    times = (config.time_logit_mean, config.time_logit_std)
    for number, crops in run.batches(source, config.workers):
        channels = model.channels(model.levels(crops.to(run.device)))
        batch: DetailBatch = draw_detail(
            channels, model.generated_channels, config.doubt, times, (config.run.seed, number)
        )
        with run.gathering(train_step):
            with run.accelerator.autocast():
                loss = train_step(batch)
            updates.apply(loss, number)
            run.advance({"loss": loss.detach()}, len(crops), "crops")
        if run.due(config.run.evaluate_every):
            report(run.log, run.step, run.averaged(), held_out)
        run.save_if_due("autoencoder", WooshMelAutoencoder.save_pretrained)
    run.export_average("autoencoder", WooshMelAutoencoder.save_pretrained)


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
