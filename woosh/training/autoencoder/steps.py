"""What training an autoencoder takes beside its losses: how latents are disturbed, statistics, evaluation, a start."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from woosh.autoencoder import Autoencoder, WooshAutoencoder
from woosh.data.clips import Clip
from woosh.metrics.reconstruction import mel_distance, si_sdr
from woosh.training.autoencoder.discriminators import balanced
from woosh.training.autoencoder.magnitudes import add_magnitude_channels
from woosh.training.log import Log
from woosh.training.randomness import batch_generator
from woosh.weight_files import load_saved

LONGEST = 10  # seconds of a clip that count for its chance to be drawn
EVALUATED_SECONDS = 5
SHORTEST_EVALUATED = 0.1  # seconds to which shorter clips are filled up
OF_WAVEFORM = ("mel", "adversarial", "features")  # losses that balancing acts on
HEARD = 4  # clips whose reconstructions are handed to the trackers


def total_loss(
    losses: dict[str, Tensor], weights: dict[str, float], waveform: Tensor, balance: bool
) -> Tensor:
    """The weighted sum of losses by name; those of the waveform balanced if asked for."""
    waves = [name for name in losses if balance and name in OF_WAVEFORM and weights[name]]
    parts = [weights[name] * loss for name, loss in losses.items() if name not in waves]
    if waves:
        parts.append(balanced({name: losses[name] for name in waves}, weights, waveform))
    return torch.stack(parts).sum()


class Evaluation(NamedTuple):
    """Means over held-out clips, and the reconstructions (S,) of a few by name."""

    scalars: dict[str, float]
    sounds: dict[str, np.ndarray]


@dataclass(frozen=True)
class AutoencoderBatch:
    """What a training step of the autoencoder sees.

    Attributes:
        audio: crops (B, A, S), those that keep all latent channels first.
        kept: how many latent channels each crop keeps, its first ones (B,).
        noise: that disturbs the latents, standard normal (B, C, T).
    """

    audio: Tensor
    kept: Tensor
    noise: Tensor


def disturbed(latents: Tensor, kept: Tensor, noise: Tensor, scale: float) -> Tensor:
    """Latents (B, C, T) with noise relative to each channel's spread, zero from channel `kept` (B,) on."""
    channels = torch.arange(latents.shape[1], device=latents.device)
    keep = (channels < kept[:, None]).to(latents.dtype)[..., None]  # (B, C, 1)
    spread = latents.detach().std(dim=(0, 2), keepdim=True)  # (1, C, 1)
    return keep * (latents + scale * spread * noise)


def draw_disturbance(
    model: WooshAutoencoder,
    audio: Tensor,
    share: float,
    channels: Sequence[int],
    seed: int,
    number: int,
) -> AutoencoderBatch:
    """Audio with the disturbance of its latents, which follows from the seed and the batch's number.

    Args:
        model: whose latents are disturbed.
        audio: crops (B, A, S).
        share: of the crops that lose channels.
        channels: least and largest number that such a crop keeps.
        seed: of the run.
        number: of the batch.
    """
    generator = batch_generator(seed, number, "disturbance of latents")
    crops, all_channels = len(audio), len(model.latent_mean)
    kept = torch.full((crops,), all_channels)
    cut = round(share * crops)
    kept[crops - cut :] = torch.randint(channels[0], channels[1] + 1, (cut,), generator=generator)
    frames = 1 + audio.shape[-1] // model.hop_length
    noise = torch.randn(crops, all_channels, frames, generator=generator)
    return AutoencoderBatch(audio, kept.to(audio.device), noise.to(audio.device))


@torch.no_grad()
def evaluate(model: Autoencoder, clips: Sequence[Clip], limit: int = 48) -> Evaluation:
    """Mean MelDist and SI-SDR over up to `limit` held-out clips, evenly chosen, 5 s of each."""
    rate = model.config.sample_rate
    mel, sdr, sounds = [], [], {}
    for number, clip in enumerate(clips[:: max(1, len(clips) // limit)]):
        audio = torch.from_numpy(np.atleast_2d(clip.audio)[:, : EVALUATED_SECONDS * rate])
        audio = functional.pad(
            audio, (0, max(0, round(SHORTEST_EVALUATED * rate) - audio.shape[1]))
        )
        audio = 0.8 * audio / audio.abs().max()  # (A, S)
        estimate = model(audio[None].to(model.device))[0].cpu()
        audio = audio[:, : estimate.shape[1]]
        for channel, decoded in zip(audio, estimate, strict=True):
            mel.append(float(mel_distance(channel, decoded)))
            sdr.append(float(si_sdr(channel, decoded)))
        if number < HEARD:
            sounds[clip.name] = estimate[0].numpy()
    scalars = {"mel_distance": float(np.nanmean(mel)), "si_sdr": float(np.nanmean(sdr))}
    return Evaluation(scalars, sounds)


def report(log: Log | None, step: int, model: Autoencoder, clips: Sequence[Clip]) -> None:
    """Log how well a model reconstructs held-out clips, with some of its sounds; without a log do nothing."""
    if log is None:
        return
    found = evaluate(model, clips)
    log.write(step, found.scalars)
    for name, sound in found.sounds.items():
        log.sound(step, name, sound, model.config.sample_rate)


@torch.no_grad()
def set_latent_statistics(model: WooshAutoencoder, batches: Iterable[Tensor], count: int) -> None:
    """Average the channel means and standard deviations (over batch and time) of `count` batches of audio."""
    latents = [
        model.analyse(model.stft(audio.to(model.device)))
        for audio in itertools.islice(batches, count)
    ]
    model.latent_mean.copy_(torch.stack([z.mean(dim=(0, 2)) for z in latents]).mean(dim=0))
    model.latent_std.copy_(torch.stack([z.std(dim=(0, 2)) for z in latents]).mean(dim=0))


def draw_chances(
    recorded: Sequence[Clip],
    procedural: Sequence[Clip],
    share: float,
    exponent: float,
    sample_rate: int,
) -> np.ndarray:
    """Chance of each clip: `share` for the procedural ones, within a kind its length (10 s at most) to a power."""
    parts = []
    for clips, part in ((recorded, 1.0 - share), (procedural, share)):
        longest = LONGEST * sample_rate
        lengths = np.array([min(clip.audio.shape[-1], longest) for clip in clips], dtype=np.float64)
        chances = lengths**exponent
        parts.append(part * chances / max(1.0, chances.sum()))
    return np.concatenate(parts)


def load_initial(
    folder: str, new_magnitude_channels: int, recorded: Sequence[Clip]
) -> WooshAutoencoder:
    """The autoencoder to start from, with new magnitude channels in front of its own if asked for.

    These are the principal components of the recordings, and stay that.

    Raises:
        ValueError: new channels, and no recordings in memory.
    """
    model = load_saved(WooshAutoencoder, folder).train()
    if not new_magnitude_channels:
        return model
    if not recorded:
        raise ValueError("new_magnitude_channels needs recordings in memory: streamed=false")
    clips = (np.atleast_2d(0.8 * clip.audio / np.abs(clip.audio).max()) for clip in recorded)
    padded = (np.pad(clip, ((0, 0), (0, max(0, model.n_fft - clip.shape[1])))) for clip in clips)
    return add_magnitude_channels(model, new_magnitude_channels, map(torch.from_numpy, padded))
