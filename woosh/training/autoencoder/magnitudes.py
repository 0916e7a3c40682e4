"""Latent channels of the magnitudes, put in front of those of a trained autoencoder."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from woosh.autoencoder.network import WooshAutoencoder, levels

EMBEDDING = "decoder.backbone.embed.weight"  # (D, C, 7)


def add_magnitude_channels(
    autoencoder: WooshAutoencoder, channels: int, clips: Iterable[Tensor]
) -> WooshAutoencoder:
    """A new autoencoder with magnitude channels in front of the given one's, which the decoder does not hear yet.

    Args:
        autoencoder: without magnitude channels.
        channels: how many, at most bins of the spectrum.
        clips: audio (A, S) whose levels decide the components, scaled to unit variance over all frames.

    Raises:
        ValueError: it has magnitude channels already.
    """
    config = dict(autoencoder.config)
    if config["magnitude_channels"]:
        raise ValueError(f"it has {config['magnitude_channels']} magnitude channels already")
    names = inspect.signature(WooshAutoencoder.__init__).parameters
    sizes = {name: value for name, value in config.items() if name in names}
    sizes["latent_channels"] += channels
    extended = WooshAutoencoder(**{**sizes, "magnitude_channels": channels})
    weights = {
        name: functional.pad(value, (0, 0, channels, 0)) if name == EMBEDDING else value
        for name, value in autoencoder.state_dict().items()
    }
    weights["latent_mean"] = functional.pad(weights["latent_mean"], (channels, 0))
    weights["latent_std"] = functional.pad(weights["latent_std"], (channels, 0), value=1.0)
    frames = torch.cat([levels(autoencoder.stft(clip[None]))[0] for clip in clips], dim=1)
    mean = frames.mean(dim=1)  # (F,)
    variance, directions = torch.linalg.eigh(torch.cov(frames.double()))  # ascending
    largest = (directions / variance.clamp_min(1e-9).sqrt()).float().T.flip(0)[:channels]  # (C, F)
    weights["components.weight"] = largest[..., None]
    weights["components.bias"] = -largest @ mean
    extended.load_state_dict(weights)
    return extended
