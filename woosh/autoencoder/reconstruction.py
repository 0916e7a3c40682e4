"""Recordings of any length through the autoencoder, in pieces that fit into memory."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

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
    autoencoder: WooshAutoencoder, audio: np.ndarray, chunk_seconds: float = 20.0
) -> np.ndarray:
    """Encode and decode (C, S) audio of any length; without a stereo autoencoder each channel passes by itself.

    Long audio goes through in pieces with as much context as the network can see, so that the
    pieces join as if the whole had passed at once.

    Args:
        autoencoder: on the device to compute on.
        audio: (C, S) float32 at the autoencoder's sample rate.
        chunk_seconds: length of a piece without its context.

    Returns:
        (C, S) float32, not limited to [-1, 1].

    Raises:
        ValueError: a stereo autoencoder, and not two channels.
    """
    channels = autoencoder.audio_channels
    if channels > 1 and len(audio) != channels:
        raise ValueError(f"a stereo autoencoder takes {channels} channels, not {len(audio)}")
    hop, samples = autoencoder.config.hop_length, audio.shape[1]
    chunk = max(1, round(chunk_seconds * autoencoder.config.sample_rate / hop)) * hop
    context = context_frames(autoencoder) * hop
    # The STFT reflects half a window at each end and so needs more than that.
    frames = max(math.ceil(samples / hop), math.ceil((autoencoder.config.n_fft // 2 + 1) / hop))
    padded = functional.pad(torch.from_numpy(audio), (0, frames * hop - samples))
    pieces = []
    for start in range(0, frames * hop, chunk):
        low, high = max(0, start - context), min(frames * hop, start + chunk + context)
        piece = padded[:, low:high].reshape(-1, channels, high - low).to(autoencoder.device)
        decoded = autoencoder(piece).flatten(0, 1).float().cpu()  # (C, high - low)
        pieces.append(decoded[:, start - low :][:, :chunk])
    return torch.cat(pieces, dim=1)[:, :samples].numpy()
