"""Encode recorded and procedural sounds once, so that flow training does not run the autoencoder.

    accelerate launch training/encode_latents.py configs/latents_tiny.yaml [name=value ...]

Output folder: latents.safetensors (half precision), index.json, config.yaml, log.jsonl. Every recording is
also encoded at other speeds (pitch and length change together), each through a smooth random filter and some of them over
another sound of the same label, which varies the data. How much the ear notices of each latent channel is measured and
stored beside them, for the flow's loss.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch
from accelerate import Accelerator
from tqdm.auto import tqdm

from woosh.augmentation import coloured
from woosh.autoencoder import WooshAutoencoder
from woosh.config import load_config
from woosh.data.sources import load_source
from woosh.datasets import Clip, procedural_clips
from woosh.latents import LatentCache, LatentClip, save_latents
from woosh.losses import MEL_FLOOR
from woosh.spectra import mel_filters
from woosh.training import Log

CONTINUOUS_SECONDS = 2.5  # a shorter sound counts as one event, however it ends
QUIETEST_PEAK = 1e-3
INAUDIBLE = 0.01  # of the loudest moment
AT_THE_END = (
    0.18  # of the root mean square of the whole: what is not much quieter at its end, goes on
)
DISTURBANCE = 0.3  # standard deviation of the noise that measures a channel's weight
MEL_BANDS = 64


@dataclass(frozen=True)
class Config:
    """Settings of one encoding; see `configs/latents_tiny.yaml`."""

    output: str
    data: str  # manifest (JSONL beside its audio), shards, or hf:NAME
    split: str
    autoencoder: str  # folder
    procedural_clips: int  # of any family
    twins: tuple[str, ...]  # "label=family": procedural sounds that get a recorded label
    twin_clips: int  # procedural sounds for each of these labels
    speeds: tuple[float, ...]  # 1.0 is the clip itself
    colour_decibels: float  # deviation of the filter that colours the other speeds
    mixed_share: float  # of these, with another sound of the same label under them
    longest_seconds: float  # of a clip that is encoded in one piece
    weighed_clips: int  # from which the channels' weights are measured
    seed: int


def continuous_part(audio: np.ndarray, sample_rate: int) -> np.ndarray | None:
    """Audio (S,) without the silence after it, if it would go on where it ends; None for an event that is over.

    Steady sounds such as rain or an engine are cut somewhere, and some recordings of them are filled up by
    silence. A model that saw silence follow them would let a sound of any length end early.
    """
    moments = np.array_split(audio, max(1, len(audio) * 20 // sample_rate))  # of 50 ms
    levels = np.array([np.sqrt(np.mean(np.square(moment))) for moment in moments])
    last = int(np.flatnonzero(levels > INAUDIBLE * levels.max())[-1])
    heard = audio[: sum(len(moment) for moment in moments[: last + 1])]
    end = heard[-round(0.3 * sample_rate) :]
    if len(heard) < CONTINUOUS_SECONDS * sample_rate:
        return None
    goes_on = np.mean(np.square(end)) >= AT_THE_END**2 * np.mean(np.square(heard))
    return heard if goes_on else None


def pieces_of(clip: Clip, longest: float, sample_rate: int) -> Iterator[tuple[Clip, bool]]:
    """Cut a clip into pieces of `longest` seconds at most, the audible ones, and say which are continuous.

    What remains of a long recording is left out where it is too short to tell.
    """
    size = round(longest * sample_rate)
    rest = round(min(CONTINUOUS_SECONDS, longest / 2) * sample_rate)
    for start in range(0, max(1, len(clip.audio) - rest), size):
        audio = clip.audio[start : start + size]
        if np.abs(audio).max() > QUIETEST_PEAK:
            steady = continuous_part(audio, sample_rate)
            audio = audio if steady is None else steady
            yield dataclasses.replace(clip, audio=audio), steady is not None


def at_speed(audio: np.ndarray, speed: float, sample_rate: int) -> np.ndarray:
    """Play audio (S,) faster (speed over 1) or slower: (round(S / speed),) about."""
    return audio if speed == 1.0 else soxr.resample(audio, sample_rate * speed, sample_rate)


def mixed(audio: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Audio (S,) with another sound under it, 3 to 12 dB weaker, from a random place of it on or in it."""
    level = np.sqrt(np.mean(np.square(audio)) / np.mean(np.square(other)))
    place = int(generator.integers(-len(other) // 2, max(1, len(audio) // 2)))
    other = other[max(0, -place) :][: len(audio) - max(0, place)]
    under = np.zeros_like(audio)
    under[max(0, place) : max(0, place) + len(other)] = other
    return audio + level * 10.0 ** (generator.uniform(-12.0, -3.0) / 20.0) * under


def versions(
    clip: Clip, companions: Sequence[Clip], config: Config, sample_rate: int
) -> Iterator[np.ndarray]:
    """Yield a recording at every speed, some with one of its companions; procedural sounds come as they are."""
    generator = np.random.default_rng((config.seed, *clip.name.encode()))
    others = [companion for companion in companions if companion.name != clip.name]
    for speed in (1.0,) if clip.name.startswith("procedural/") else config.speeds:
        audio = at_speed(clip.audio, speed, sample_rate)
        if speed == 1.0:
            yield audio
            continue
        if others and generator.random() < config.mixed_share:
            other = others[int(generator.integers(len(others)))]
            audio = mixed(audio, other.audio, generator)
        yield coloured(audio, config.colour_decibels, generator)


@torch.inference_mode()
def encode_clip(autoencoder: WooshAutoencoder, audio: np.ndarray) -> torch.Tensor:
    """Audio (S,), scaled to a peak of 0.8, -> normalised latents (C, T) of the channels to generate.

    The peak is fixed since the loudness of a recording says nothing about its caption.
    """
    audio = 0.8 * audio / np.abs(audio).max()
    audio = np.pad(audio, (0, max(0, autoencoder.n_fft - len(audio))))
    waveform = torch.from_numpy(audio.astype(np.float32)).to(autoencoder.device)
    return autoencoder.encode_generated(waveform[None, None])[0].cpu()


@torch.inference_mode()
def channel_weight(
    autoencoder: WooshAutoencoder, clips: Sequence[torch.Tensor], generator: torch.Generator
) -> torch.Tensor:
    """How much noise in each channel alone changes what is heard, (C,) with mean 1.

    Noise of the same size goes into one channel of a clip's first two seconds after the other. The root mean square
    of the change of the head's magnitudes in mel bands, in decades, is the channel's weight: its square would leave
    most channels none.

    Args:
        autoencoder: whose head is asked.
        clips: normalised latents (C, T).
        generator: of the noise, on the CPU.

    Raises:
        ValueError: no clip.
    """
    if not clips:
        raise ValueError("no clip of 10 latent frames or more, by which channels could be weighed")
    channels = autoencoder.generated_channels
    filters = mel_filters(autoencoder.config.sample_rate, autoencoder.n_fft, MEL_BANDS)

    def heard(latents: torch.Tensor) -> torch.Tensor:
        magnitude = autoencoder.spectrum(latents.to(autoencoder.device)).magnitude.cpu()
        return torch.log10((filters @ magnitude).clamp_min(MEL_FLOOR))

    total = torch.zeros(channels)
    for clip in clips:
        latents = clip[None, :, : round(2 * autoencoder.latent_rate)]
        noise = DISTURBANCE * torch.randn(channels, latents.shape[2], generator=generator)
        clean = heard(latents)
        for channel in range(channels):
            disturbed = latents.clone()
            disturbed[0, channel] += noise[channel]
            total[channel] += (heard(disturbed) - clean).square().mean()
    weight = total.sqrt()
    return weight / weight.mean()


def main(config: Config) -> None:
    """Encode all clips at all speeds."""
    accelerator = Accelerator()
    output = Path(config.output)
    autoencoder = WooshAutoencoder.from_pretrained(config.autoencoder).to(accelerator.device).eval()
    rate = autoencoder.config.sample_rate
    clips = load_source(config.data, config.split, rate)
    clips += procedural_clips(config.procedural_clips, config.seed)
    for number, twin in enumerate(config.twins, start=1):
        label, separator, family = twin.partition("=")
        if not separator:
            raise ValueError(f"{twin!r} in twins is not of the form label=family")
        seed = config.seed + config.procedural_clips + number * config.twin_clips
        clips += procedural_clips(config.twin_clips, seed, family, label)
    pieces = [piece for clip in clips for piece in pieces_of(clip, config.longest_seconds, rate)]
    companions = {
        piece.label: [other for other, _ in pieces if other.label == piece.label]
        for piece, _ in pieces
        if piece.label and not piece.name.startswith("procedural/")
    }
    log = Log(output, config)
    encoded = [
        LatentClip(
            encode_clip(autoencoder, audio),
            piece.captions,
            piece.name,
            piece.label,
            piece.group,
            continuous,
        )
        for piece, continuous in tqdm(pieces)
        for audio in versions(piece, companions.get(piece.label, ()), config, rate)
    ]
    zeros = torch.zeros(1, 1, rate, device=accelerator.device)
    with torch.inference_mode():
        silence = autoencoder.encode_generated(zeros)[0].cpu()
    step = max(1, len(encoded) // config.weighed_clips)
    long = [clip.latents for clip in encoded[::step] if clip.latents.shape[1] >= 10]
    generator = torch.Generator().manual_seed(config.seed)
    weight = channel_weight(autoencoder, long, generator)
    save_latents(output, LatentCache(encoded, silence, weight))
    log.write(len(encoded), {}, len(encoded), "clips")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="name=value")
    arguments = parser.parse_args()
    main(load_config(Config, arguments.config, arguments.overrides))
