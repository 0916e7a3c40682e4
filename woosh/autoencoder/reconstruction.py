"""Recordings of any length through the autoencoder, in pieces that fit into memory."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from woosh.autoencoder import Autoencoder
from woosh.autoencoder.mel import WooshMelAutoencoder
from woosh.autoencoder.network import WooshAutoencoder


def context_frames(autoencoder: WooshAutoencoder) -> int:
    """Latent frames on either side that the autoencoder's output at one moment can depend on.

    A backbone of n blocks has n + 1 convolutions of kernel 7, the encoder's projection has kernel
    3, and the STFT and its inverse reach half a window each.
    """
    config = autoencoder.config
    convolutions = 3 * (config.encoder_layers + 1) + 1 + 3 * (config.decoder_layers + 1)
    return convolutions + 2 * math.ceil(config.n_fft / 2 / config.hop_length)


@torch.no_grad()
def reconstruct(
    autoencoder: Autoencoder, audio: np.ndarray, chunk_seconds: float = 20.0
) -> np.ndarray:
    """Encode and decode (C, S) audio of any length; without a stereo autoencoder each channel passes by itself.

    Long audio goes through in pieces with as much context as the network can see, so that the
    pieces join as if the whole had passed at once. Where phases have to be found, the whole does pass at once: those of
    a piece would not join the next one's.

    Args:
        autoencoder: on the device to compute on.
        audio: (C, S) float32 at the autoencoder's sample rate.
        chunk_seconds: length of a piece without its context.

    Returns:
        (C, S) float32, not limited to [-1, 1].

    Raises:
        ValueError: a stereo autoencoder, and not two channels.
    """
    if isinstance(autoencoder, WooshMelAutoencoder):
        return reconstruct_generated(autoencoder, audio)
    hop, channels = autoencoder.config.hop_length, autoencoder.audio_channels
    chunk = max(1, round(chunk_seconds * autoencoder.config.sample_rate / hop)) * hop
    context = context_frames(autoencoder) * hop
    padded = in_whole_frames(autoencoder, audio)
    samples = padded.shape[1]
    pieces = []
    for start in range(0, samples, chunk):
        low, high = max(0, start - context), min(samples, start + chunk + context)
        piece = padded[:, low:high].reshape(-1, channels, high - low).to(autoencoder.device)
        decoded = autoencoder(piece).flatten(0, 1).float().cpu()  # (C, high - low)
        pieces.append(decoded[:, start - low :][:, :chunk])
    return torch.cat(pieces, dim=1)[:, : audio.shape[1]].numpy()


@torch.no_grad()
def reconstruct_generated(autoencoder: Autoencoder, audio: np.ndarray) -> np.ndarray:
    """Decode (C, S) audio from those of its latents alone that a generator makes: no generator sounds better.

    Where phases have to be found for these, all audio goes through at once: those of a piece would not join the next one's.

    Args:
        autoencoder: on the device to compute on.
        audio: (C, S) float32 at the autoencoder's sample rate.

    Returns:
        (C, S) float32, not limited to [-1, 1].

    Raises:
        ValueError: a stereo autoencoder, and not two channels.
    """
    if isinstance(autoencoder, WooshAutoencoder) and autoencoder.generated_channels == len(
        autoencoder.latent_mean
    ):
        return reconstruct(autoencoder, audio)
    padded = in_whole_frames(autoencoder, audio)
    sounds = padded.reshape(-1, autoencoder.audio_channels, padded.shape[1])
    decoded = [
        autoencoder.decode(autoencoder.encode_generated(sound[None].to(autoencoder.device)))[0]
        for sound in sounds
    ]
    return torch.cat(decoded).float().cpu()[:, : audio.shape[1]].numpy()


def in_whole_frames(autoencoder: Autoencoder, audio: np.ndarray) -> Tensor:
    """(C, S) audio with silence up to a whole latent frame, and to more than the half window that the STFT reflects.

    Raises:
        ValueError: a stereo autoencoder, and not two channels.
    """
    channels, config = autoencoder.audio_channels, autoencoder.config
    if channels > 1 and len(audio) != channels:
        raise ValueError(f"a stereo autoencoder takes {channels} channels, not {len(audio)}")
    hop, samples = config.hop_length, audio.shape[1]
    frames = max(math.ceil(samples / hop), math.ceil((config.n_fft // 2 + 1) / hop))
    return functional.pad(torch.from_numpy(audio), (0, frames * hop - samples))
