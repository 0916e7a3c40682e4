"""Train the autoencoder on recorded and procedural sounds.

    accelerate launch training/train_autoencoder.py configs/autoencoder_tiny.yaml [name=value ...]

The losses act on the head's own outputs (magnitude and phase vector of every bin) and on mel
spectra of the waveform. Output folder: autoencoder/ (the moving average, with the latents' mean and
standard deviation), log.jsonl, config.yaml, checkpoint/.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from woosh.autoencoder import Spectrum, WooshAutoencoder, add_magnitude_channels
from woosh.config import load_config
from woosh.data.sources import load_source
from woosh.datasets import Clip, CropDataset, procedural_clips
from woosh.losses import complex_loss, magnitude_loss, multiscale_mel_loss, phase_loss
from woosh.metrics.reconstruction import mel_distance, si_sdr
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

STATISTICS_BATCH = 16  # crops


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/autoencoder_tiny.yaml`."""

    output: str
    data: str  # manifest (JSONL beside its audio), shards, or hf:NAME
    initial: str | None  # folder of an autoencoder to start from; it decides the sizes
    freeze_encoder: bool  # train the decoder alone, so that cached latents stay valid
    new_magnitude_channels: int  # to put in front of the initial autoencoder's channels
    procedural_clips: int  # how many sounds are rendered for training
    procedural_share: float  # of the crops, 0 to 1
    length_exponent: float  # a clip's chance is its length to this power: 0 treats all alike
    n_fft: int
    hop_length: int
    latent_channels: int
    width: int
    inner_width: int
    encoder_layers: int
    decoder_layers: int
    spectrum_exponent: float
    crop_seconds: float
    batch_size: int  # crops per process
    steps: int
    learning_rate: float
    warmup_steps: int
    betas: tuple[float, ...]
    ema_decay: float
    clip_norm: float
    non_finite: str  # "stop" or "skip", when a loss or a gradient is NaN or infinite
    magnitude_weight: float
    phase_weight: float
    complex_weight: float
    mel_weight: float
    mel_windows: tuple[int, ...]
    mel_bands: tuple[int, ...]
    nested_share: float  # of a batch's crops that keep only the first channels of their latents
    nested_channels: tuple[int, ...]  # least and largest number that such a crop keeps
    latent_noise: float  # standard deviation relative to each channel's own
    statistics_batches: int  # from which the latents' mean and standard deviation are taken
    precision: str  # "no", "bf16" or "fp16"
    seed: int
    log_every: int
    save_every: int
    evaluate_every: int
    resume: bool  # continue from the output folder's checkpoint


def training_step(
    model: WooshAutoencoder, audio: Tensor, kept: Tensor, noise: Tensor, config: Config
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch of audio, and its parts.

    Crops that lose channels are judged by the magnitudes alone, and by the mel spectrum that these have under
    the true phases: the first channels come to hold the spectrum's envelope, the last ones the phases.

    Args:
        model: in training.
        audio: (B, 1, S), those that keep all channels first.
        kept: latent channels (B,) that a crop keeps.
        noise: standard normal (B, C, T).
        config: weights of the losses.
    """
    target = model.stft(audio)
    latents = model.analyse(target)
    estimate = model.synthesise(disturbed(latents, kept, noise, config.latent_noise))
    whole = int((kept == latents.shape[1]).sum())
    entire = Spectrum(*(part[:whole] for part in estimate))
    true_phase = target[whole:] / target[whole:].abs().clamp_min(1e-9)
    phase = torch.cat([torch.complex(entire.real, entire.imaginary), true_phase])
    waveform = model.istft(estimate.magnitude * phase)
    length = waveform.shape[-1]
    parts = {
        "magnitude": magnitude_loss(target, estimate),
        "phase": phase_loss(target[:whole], entire),
        "complex": complex_loss(target[:whole], entire),
        "mel": multiscale_mel_loss(
            audio[..., :length],
            waveform,
            model.config.sample_rate,  # type: ignore[attr-defined]
            config.mel_windows,
            config.mel_bands,
        ),
    }
    weights = {
        "magnitude": config.magnitude_weight,
        "phase": config.phase_weight,
        "complex": config.complex_weight,
        "mel": config.mel_weight,
    }
    loss = torch.stack([weights[name] * value for name, value in parts.items()]).sum()
    return loss, {"loss": loss.detach(), **{name: part.detach() for name, part in parts.items()}}


def disturbed(latents: Tensor, kept: Tensor, noise: Tensor, scale: float) -> Tensor:
    """Latents (B, C, T) with noise relative to each channel's spread, zero from channel `kept` (B,) on."""
    channels = torch.arange(latents.shape[1], device=latents.device)
    keep = (channels < kept[:, None]).to(latents.dtype)[..., None]  # (B, C, 1)
    spread = latents.detach().std(dim=(0, 2), keepdim=True)  # (1, C, 1)
    return keep * (latents + scale * spread * noise)


def draw_disturbance(
    model: WooshAutoencoder, audio: Tensor, config: Config, number: int
) -> tuple[Tensor, Tensor]:
    """Kept channels (B,), entire crops first, and noise (B, C, T) for audio (B, 1, S), batch `number`."""
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + number)
    batch, channels = len(audio), len(model.latent_mean)
    kept = torch.full((batch,), channels)
    cut = round(config.nested_share * batch)
    least, most = config.nested_channels
    kept[batch - cut :] = torch.randint(least, most + 1, (cut,), generator=generator)
    frames = 1 + audio.shape[-1] // model.hop_length
    noise = torch.randn(batch, channels, frames, generator=generator)
    return kept.to(audio.device), noise.to(audio.device)


@torch.no_grad()
def evaluate(model: WooshAutoencoder, clips: list[Clip], limit: int = 48) -> dict[str, float]:
    """Mean MelDist and SI-SDR over up to `limit` held-out clips, evenly chosen, 5 s of each."""
    mel, sdr = [], []
    for clip in clips[:: max(1, len(clips) // limit)]:
        audio = torch.from_numpy(clip.audio[:240_000])
        audio = torch.nn.functional.pad(audio, (0, max(0, 4800 - len(audio))))
        audio = 0.8 * audio / audio.abs().max()
        estimate = model(audio[None, None])[0, 0]
        audio = audio[: len(estimate)]
        mel.append(float(mel_distance(audio, estimate)))
        sdr.append(float(si_sdr(audio, estimate)))
    return {"mel_distance": float(np.nanmean(mel)), "si_sdr": float(np.nanmean(sdr))}


@torch.no_grad()
def set_latent_statistics(model: WooshAutoencoder, batches: Iterable[Tensor]) -> None:
    """Average the batches' channel means and standard deviations (over batch and time)."""
    latents = [model.analyse(model.stft(audio)) for audio in batches]
    model.latent_mean.copy_(torch.stack([z.mean(dim=(0, 2)) for z in latents]).mean(dim=0))
    model.latent_std.copy_(torch.stack([z.std(dim=(0, 2)) for z in latents]).mean(dim=0))


def build_model(config: Config, recorded: list[Clip]) -> WooshAutoencoder:
    """A new autoencoder, or the one to start from; its encoder takes no gradient if frozen.

    New magnitude channels are the principal components of the recordings, and stay that.

    Raises:
        ValueError: a frozen encoder that nobody trained, or new channels in front of none.
    """
    if config.initial is not None:
        model = WooshAutoencoder.from_pretrained(config.initial).train()
        if config.new_magnitude_channels:
            clips = (0.8 * clip.audio / np.abs(clip.audio).max() for clip in recorded)
            padded = (np.pad(clip, (0, max(0, model.n_fft - len(clip)))) for clip in clips)
            model = add_magnitude_channels(
                model, config.new_magnitude_channels, map(torch.from_numpy, padded)
            )
    elif config.freeze_encoder or config.new_magnitude_channels:
        name = "freeze_encoder" if config.freeze_encoder else "new_magnitude_channels"
        raise ValueError(f"{name} needs a trained encoder: name its folder as initial")
    else:
        model = WooshAutoencoder(
            n_fft=config.n_fft,
            hop_length=config.hop_length,
            latent_channels=config.latent_channels,
            width=config.width,
            inner_width=config.inner_width,
            encoder_layers=config.encoder_layers,
            decoder_layers=config.decoder_layers,
            spectrum_exponent=config.spectrum_exponent,
        )
    model.encoder.requires_grad_(not config.freeze_encoder)
    if model.components is not None:
        model.components.requires_grad_(False)
    return model


def sampling_weights(
    recorded: list[Clip], procedural: list[Clip], share: float, exponent: float
) -> np.ndarray:
    """Chance of each clip: `share` for the procedural ones, within a kind by its length (10 s at most)."""
    parts = []
    for clips, part in ((recorded, 1.0 - share), (procedural, share)):
        lengths = np.array([min(len(clip.audio), 480_000) for clip in clips], dtype=np.float64)
        chances = lengths**exponent
        parts.append(part * chances / max(1.0, chances.sum()))
    return np.concatenate(parts)


def main(config: Config) -> None:
    """Train, take the latents' statistics and save."""
    # 1. Accelerator
    accelerator = Accelerator(mixed_precision=config.precision)
    torch.manual_seed(config.seed)
    output = Path(config.output)

    # 2. Data
    recorded, held_out = (load_source(config.data, split) for split in ("train", "validation"))
    procedural = procedural_clips(config.procedural_clips, config.seed)
    weights = sampling_weights(
        recorded, procedural, config.procedural_share, config.length_exponent
    )
    samples = round(config.crop_seconds * 48_000)
    batch_total = config.batch_size * accelerator.num_processes

    # 3. Model
    model = build_model(config, recorded)
    average = moving_average(model, config.ema_decay)
    averaged = cast(WooshAutoencoder, average.module)

    # 4. Optimiser and schedule
    optimizer = torch.optim.AdamW(
        [value for value in model.parameters() if value.requires_grad],
        lr=config.learning_rate,
        betas=(config.betas[0], config.betas[1]),
        weight_decay=0.0,
    )
    schedule = cosine_schedule(optimizer, config.warmup_steps, config.steps)

    # 5. Prepare and resume
    progress = Progress()
    objective = Objective(model, partial(training_step, config=config))
    objective, optimizer = accelerator.prepare(objective, optimizer)
    average.to(accelerator.device)
    accelerator.register_for_checkpointing(schedule, average, progress)
    if config.resume:
        resume_checkpoint(accelerator, output / "checkpoint")
    updates = Updates(
        accelerator,
        [optimizer],
        [schedule],
        objective.parameters(),
        config.clip_norm,
        config.non_finite,
        output,
        progress,
    )
    crops = CropDataset(
        [*recorded, *procedural],
        weights,
        samples,
        config.steps * batch_total,
        config.seed,
        start=progress.step * batch_total,
    )
    loader = accelerator.prepare(DataLoader(crops, batch_size=config.batch_size))

    # 6. Loop
    log = Log(output, config, progress.step) if accelerator.is_main_process else None
    bar = tqdm(loader, initial=progress.step, total=config.steps, disable=log is None)
    for audio in bar:
        number = progress.step * accelerator.num_processes + accelerator.process_index
        with accelerator.autocast():
            loss, logs = objective(audio, *draw_disturbance(model, audio, config, number))
        updates.apply(loss, number)
        average.update_parameters(model)
        progress.step += 1
        if log is not None and progress.step % config.log_every == 0:
            scalars = {name: value.item() for name, value in logs.items()}
            scalars |= {"gradient_norm": updates.gradient_norm, "skipped": updates.skipped}
            log.write(progress.step, scalars, config.log_every * batch_total, "crops")
            bar.set_postfix(loss=round(scalars["loss"], 3))
        if log is not None and progress.step % config.evaluate_every == 0:
            with accelerator.autocast():
                log.write(progress.step, evaluate(averaged, held_out), 0, "crops")
        due = progress.step % config.save_every == 0 or progress.step == config.steps
        if due or updates.stopping:
            save_checkpoint(accelerator, output / "checkpoint")
        if updates.stopping:
            return

    # 7. Statistics and save
    if accelerator.is_main_process:
        if not config.freeze_encoder:
            count = config.statistics_batches * STATISTICS_BATCH
            crops = CropDataset(recorded, weights[: len(recorded)], samples, count, config.seed + 1)
            set_latent_statistics(averaged.cpu(), DataLoader(crops, batch_size=STATISTICS_BATCH))
        averaged.save_pretrained(output / "autoencoder")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="name=value")
    arguments = parser.parse_args()
    main(load_config(Config, arguments.config, arguments.overrides))
