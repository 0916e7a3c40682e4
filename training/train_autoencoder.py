"""Train the autoencoder on recorded and procedural sounds.

    accelerate launch training/train_autoencoder.py configs/autoencoder_tiny.yaml [name=value ...]

The losses act on the head's own outputs (magnitude and phase vector of every bin), on mel spectra of the waveform and,
with a weight, on what discriminators say of it. Output folder: autoencoder/ (the moving average, with the latents' mean
and standard deviation), log.jsonl, config.yaml, checkpoints/.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from woosh.autoencoder.network import Spectrum, WooshAutoencoder
from woosh.data.augmentation import load_responses
from woosh.data.clips import Clip, procedural_clips
from woosh.data.sources import load_source
from woosh.data.streaming import NumberedBatches
from woosh.training import (
    Run,
    RunConfig,
    TrainingStep,
    Updates,
    adamw,
    cosine_schedule,
    prepare_blocks,
)
from woosh.training.autoencoder.crops import CropAugmentation, CropBatches, streamed_crops
from woosh.training.autoencoder.discriminators import (
    Discriminators,
    JudgedSounds,
    judged,
    judging_step,
)
from woosh.training.autoencoder.losses import (
    complex_loss,
    magnitude_loss,
    multiscale_mel_loss,
    phase_loss,
)
from woosh.training.autoencoder.steps import (
    AutoencoderBatch,
    disturbed,
    draw_chances,
    draw_disturbance,
    load_initial,
    report,
    set_latent_statistics,
    total_loss,
)
from woosh.training.command import run_recipe
from woosh.training.cropping import CropSettings
from woosh.training.styles import StyleConfig, restyled_audio, style_generator


@dataclass(frozen=True)
class Sizes:
    """Of a new autoencoder, see `WooshAutoencoder`."""

    sample_rate: int
    n_fft: int
    hop_length: int
    latent_channels: int
    width: int
    inner_width: int
    encoder_layers: int
    decoder_layers: int
    spectrum_exponent: float
    audio_channels: int
    mid_side: bool


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/autoencoder_tiny.yaml`."""

    run: RunConfig
    data: str  # manifest (JSONL beside its audio), shards, or hf:NAME
    streamed: bool  # read shards as they are needed, every clip once in a pass, instead of all into memory
    workers: int  # processes that prepare batches
    initial: str | None  # folder of an autoencoder to start from; it decides the sizes
    freeze_encoder: bool  # train the decoder alone, so that cached latents stay valid
    new_magnitude_channels: int  # to put in front of the initial autoencoder's channels
    sizes: Sizes
    procedural_clips: int  # how many sounds are rendered for training
    procedural_share: float  # of the crops, 0 to 1
    length_exponent: float  # a clip's chance is its length to this power: 0 treats all alike
    crop_seconds: float
    batch_size: int  # crops per process
    augmentation: CropAugmentation
    styles: StyleConfig
    responses: str | None  # folder of impulse responses
    learning_rate: float
    warmup_steps: int
    betas: tuple[float, ...]
    activation_checkpointing: bool  # less memory, a third more time
    compile: bool  # each block: slow to start, then faster
    magnitude_weight: float
    phase_weight: float
    complex_weight: float
    mel_weight: float
    adversarial_weight: float  # 0: no discriminators
    features_weight: float
    balanced: bool  # weights of the mel, adversarial and feature losses are shares of the gradient
    mel_windows: tuple[int, ...]
    mel_bands: tuple[int, ...]
    discriminator_periods: tuple[int, ...]
    discriminator_windows: tuple[int, ...]
    discriminator_bands: int
    discriminator_width: int
    discriminator_learning_rate: float
    discriminator_start: int  # first step at which they learn and judge
    nested_share: float  # of a batch's crops that keep only the first channels of their latents
    nested_channels: tuple[int, ...]  # least and largest number that such a crop keeps
    latent_noise: float  # standard deviation relative to each channel's own
    statistics_batches: int  # from which the latents' mean and standard deviation are taken


def training_step(
    model: WooshAutoencoder, batch: AutoencoderBatch, config: Config
) -> tuple[dict[str, Tensor], Tensor]:
    """Losses of a batch of audio by name, and its reconstruction (B, A, S').

    Crops that lose channels are judged by the magnitudes alone, and by the mel spectrum that these have under
    the true phases: the first channels come to hold the spectrum's envelope, the last ones the phases.

    Args:
        model: in training.
        batch: crops, those that keep all channels first.
        config: of the mel loss.
    """
    target = model.stft(batch.audio)
    latents = model.analyse(target)
    estimate = model.synthesise(disturbed(latents, batch.kept, batch.noise, config.latent_noise))
    whole = int((batch.kept == latents.shape[1]).sum())
    entire = Spectrum(*(part[:whole] for part in estimate))
    true_phase = target[whole:] / target[whole:].abs().clamp_min(1e-9)
    phase = torch.cat([torch.complex(entire.real, entire.imaginary), true_phase])
    waveform = model.istft(estimate.magnitude * phase)
    audio = batch.audio[..., : waveform.shape[-1]]  # a reconstruction ends at a whole frame
    recorded, made = (sound.flatten(0, 1)[:, None] for sound in (audio, waveform))
    rate = model.config.sample_rate  # type: ignore[attr-defined]
    return {
        "magnitude": magnitude_loss(target, estimate),
        "phase": phase_loss(target[:whole], entire),
        "complex": complex_loss(target[:whole], entire),
        "mel": multiscale_mel_loss(recorded, made, rate, config.mel_windows, config.mel_bands),
    }, waveform


def in_styles(audio: Tensor, model: WooshAutoencoder, config: Config, number: int) -> Tensor:
    """Crops (B, A, S) that may take on each other's statistics, which are then what is to be reconstructed."""
    styles = config.styles.draw(len(audio), style_generator(config.run.seed, number))
    return audio if styles is None else restyled_audio(audio, styles, model.stft, model.istft)


def loss_weights(names: Iterable[str], config: Config) -> dict[str, float]:
    """Weights of the named losses."""
    return {name: getattr(config, f"{name}_weight") for name in names}


def build_model(config: Config, recorded: list[Clip]) -> WooshAutoencoder:
    """A new autoencoder, or the one to start from; its encoder takes no gradient if frozen.

    Raises:
        ValueError: a frozen encoder that nobody trained, or new channels in front of none.
    """
    if config.initial is not None:
        model = load_initial(config.initial, config.new_magnitude_channels, recorded)
    elif config.freeze_encoder or config.new_magnitude_channels:
        name = "freeze_encoder" if config.freeze_encoder else "new_magnitude_channels"
        raise ValueError(f"{name} needs a trained encoder: name its folder as initial")
    else:
        model = WooshAutoencoder(**dataclasses.asdict(config.sizes))
    model.encoder.requires_grad_(not config.freeze_encoder)
    if model.components is not None:
        model.components.requires_grad_(False)
    return model


def crop_source(config: Config, recorded: list[Clip], procedural: list[Clip], seed: int) -> Any:
    """Batches of crops, from memory or as they are needed."""
    rate, samples = config.sizes.sample_rate, round(config.crop_seconds * config.sizes.sample_rate)
    responses = load_responses(Path(config.responses), rate) if config.responses else ()
    settings = CropSettings(samples, config.batch_size, config.augmentation, seed, responses)
    if config.streamed:
        return streamed_crops(config.data, rate, config.sizes.audio_channels, settings)
    share, exponent = config.procedural_share if procedural else 0.0, config.length_exponent
    chances = draw_chances(recorded, procedural, share, exponent, rate)
    return CropBatches([*recorded, *procedural], chances, settings)


class Optimised(NamedTuple):
    """A training step to call, and what applies its losses."""

    train_step: Any
    updates: Updates


def optimised(run: Run, step: TrainingStep, learning_rate: float, config: Config) -> Optimised:
    """A training step with AdamW and a cosine schedule of its own."""
    betas = (config.betas[0], config.betas[1])
    optimizer = adamw(step.parameters(), learning_rate, 0.0, betas)
    schedule = cosine_schedule(optimizer, config.warmup_steps, config.run.steps)
    return Optimised(*run.updates(step, [optimizer], [schedule]))


def main(config: Config) -> None:
    """Train, take the latents' statistics and save."""
    # 1. Run
    run: Run[WooshAutoencoder] = Run(config.run, config)

    # 2. Data
    rate, channels = config.sizes.sample_rate, config.sizes.audio_channels
    recorded = [] if config.streamed else load_source(config.data, "train", rate, channels)
    procedural = procedural_clips(
        config.procedural_clips, config.run.seed, sample_rate=rate, channels=channels
    )
    source = crop_source(config, recorded, procedural, config.run.seed)
    heard = config.run.evaluate_every and run.is_main
    held_out = load_source(config.data, "validation", rate, channels) if heard else []

    # 3. Model
    model = build_model(config, recorded)
    run.follow(model)
    blocks = (*model.encoder.backbone.blocks, *model.decoder.backbone.blocks)
    prepare_blocks(blocks, config.activation_checkpointing, config.compile)
    step = TrainingStep(model, partial(training_step, config=config))
    train_step, updates = optimised(run, step, config.learning_rate, config)

    # 4. Discriminators
    discriminators = Discriminators(
        config.discriminator_periods,
        config.discriminator_windows,
        config.discriminator_bands,
        config.discriminator_width,
    )
    train_steps, judge = [train_step], None
    if config.adversarial_weight:
        step = TrainingStep(discriminators, judging_step)
        judge = optimised(run, step, config.discriminator_learning_rate, config)
        train_steps.append(judge.train_step)
    run.start()

    # 5. Loop
    for number, crops in run.batches(source, config.workers):
        audio = in_styles(crops.to(run.device), model, config, number)
        share, kept = config.nested_share, config.nested_channels
        batch = draw_disturbance(model, audio, share, kept, config.run.seed, number)
        with run.gathering(*train_steps):
            with run.accelerator.autocast():
                losses, waveform = train_step(batch)
                scalars = {}
                if judge is not None and run.step >= config.discriminator_start:
                    target = audio[..., : waveform.shape[-1]]
                    own = judge.train_step(JudgedSounds(target, waveform.detach()))
                    judge.updates.apply(own, number)
                    losses = {**losses, **judged(discriminators, target, waveform)}
                    scalars["discriminators"] = own.detach()
                loss = total_loss(losses, loss_weights(losses, config), waveform, config.balanced)
            scalars |= {"loss": loss.detach(), **{k: v.detach() for k, v in losses.items()}}
            updates.apply(loss, number)
            run.advance(scalars, len(audio), "crops")
        if run.due(config.run.evaluate_every):
            report(run.log, run.step, run.averaged(), held_out)
        if run.must_save:
            run.save()

    # 6. Statistics and save
    average = run.averaged()
    if run.is_main and not run.stopping:
        if not config.freeze_encoder:
            crops = crop_source(config, recorded, [], config.run.seed + 1)
            count = config.statistics_batches
            numbered = crops if config.streamed else NumberedBatches(crops, 0, count)
            set_latent_statistics(average, (audio for _, audio in numbered), count)
        run.export("autoencoder", average.save_pretrained)


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
