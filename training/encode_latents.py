"""Encode recorded and procedural sounds once, so that flow training does not run the autoencoder.

    accelerate launch training/encode_latents.py configs/latents_tiny.yaml [name=value ...]

Output folder: latents.safetensors (half precision), index.json, config.yaml, log.jsonl. Every clip is also encoded at other
speeds (pitch and length change together), which costs one encoding each and varies the data.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch
from accelerate import Accelerator
from tqdm.auto import tqdm

from woosh.autoencoder import WooshAutoencoder
from woosh.config import load_config
from woosh.datasets import Clip, load_clips, procedural_clips, read_manifest
from woosh.latents import LatentClip, save_latents
from woosh.training import Log


@dataclass(frozen=True)
class Config:
    """Settings of one encoding; see `configs/latents_tiny.yaml`."""

    output: str
    manifest: str  # JSONL, audio beside it
    split: str
    autoencoder: str  # folder
    procedural_clips: int
    speeds: tuple[float, ...]  # 1.0 is the clip itself
    longest_seconds: float  # of a clip that is encoded in one piece
    seed: int


def at_speed(audio: np.ndarray, speed: float, sample_rate: int) -> np.ndarray:
    """Play audio (S,) faster (speed over 1) or slower: (round(S / speed),) about."""
    return audio if speed == 1.0 else soxr.resample(audio, sample_rate * speed, sample_rate)


@torch.inference_mode()
def encode_clip(autoencoder: WooshAutoencoder, audio: np.ndarray) -> torch.Tensor:
    """Audio (S,), scaled to a peak of 0.8, -> normalised latents (C, T).

    The peak is fixed since the loudness of a recording says nothing about its caption.
    """
    audio = 0.8 * audio / np.abs(audio).max()
    audio = np.pad(audio, (0, max(0, autoencoder.n_fft - len(audio))))
    waveform = torch.from_numpy(audio.astype(np.float32)).to(autoencoder.device)
    return autoencoder.encode(waveform[None, None])[0].cpu()


def main(config: Config) -> None:
    """Encode all clips at all speeds."""
    accelerator = Accelerator()
    output = Path(config.output)
    autoencoder = WooshAutoencoder.from_pretrained(config.autoencoder).to(accelerator.device).eval()
    rate = autoencoder.config.sample_rate
    manifest = Path(config.manifest)
    clips = load_clips(read_manifest(manifest, config.split), manifest.parent, rate)
    clips += procedural_clips(config.procedural_clips, config.seed)
    longest = round(config.longest_seconds * rate)
    pieces = [
        Clip(clip.audio[start : start + longest], clip.captions, clip.name, clip.label, clip.group)
        for clip in clips
        for start in range(0, len(clip.audio), longest)
        if np.abs(clip.audio[start : start + longest]).max() > 1e-3
    ]
    log = Log(output, config, resume=False)
    encoded = [
        LatentClip(
            encode_clip(autoencoder, at_speed(piece.audio, speed, rate)),
            piece.captions,
            piece.name,
            piece.label,
            piece.group,
        )
        for piece in tqdm(pieces)
        for speed in (config.speeds if not piece.name.startswith("procedural/") else (1.0,))
    ]
    with torch.inference_mode():
        silence = autoencoder.encode(torch.zeros(1, 1, rate, device=accelerator.device))[0].cpu()
    save_latents(output, encoded, silence)
    log.write(len(encoded), {}, len(encoded), "clips")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="name=value")
    arguments = parser.parse_args()
    main(load_config(Config, arguments.config, arguments.overrides))
