"""Sampling where a part of the latents is known: what lies around a place decides what is drawn there.

After RePaint (arXiv 2201.09865), whose equation 8 sets what is known, with as much noise as belongs to the step, in the
place of what was drawn, and leaves the rest to the network. A flow's path is straight, so the noise that the known part
goes back to is the same at every step, and no step is repeated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from woosh.autoencoder import Autoencoder, WooshMelAutoencoder
from woosh.generation.flow import interpolate
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.generation.solvers import draw_noise
from woosh.generation.starting import Start

RAMP_SECONDS = 0.08  # from what is known to what is new, on either side


@dataclass(frozen=True, eq=False)
class Known:
    """Latents of which a part is kept.

    Attributes:
        latents: normalised (B, C, T), those that the generator makes.
        new: how much of each frame is made anew (T,), from 0 to 1.
    """

    latents: Tensor
    new: Tensor


def new_frames(autoencoder: Autoencoder, frames: int, start: int, stop: int) -> Tensor:
    """How much of each latent frame is new (T,) where the samples from `start` up to `stop` are.

    1 wherever a window of the encoder sees one of them, and a linear ramp beyond, of `RAMP_SECONDS`.

    Args:
        autoencoder: that made the latents.
        frames: T.
        start: first new sample.
        stop: first sample behind them.
    """
    hop, margin = autoencoder.hop_length, autoencoder.n_fft // 2
    # A token of several spectra stands for the time of all of them, a single spectrum for that around its middle.
    spectra = autoencoder.frames_per_token if isinstance(autoencoder, WooshMelAutoencoder) else 1
    first = torch.arange(frames) * hop  # middles of the first spectra
    last = first + (spectra - 1) * hop // spectra
    away = torch.maximum(start - margin - last, first - margin - stop).clamp(min=0) / hop
    ramp = max(1, round(RAMP_SECONDS * autoencoder.latent_rate))
    return (1 - away.ceil() / (ramp + 1)).clamp(min=0)


def sample_around(
    sampler: Sampler, request: Request, known: Known, strength: float = 1.0
) -> Tensor:
    """Latents (B, C, T) of which what is new was drawn to fit what is known.

    Args:
        sampler: of the model.
        request: its length is that of the latents, its seed gives all B sounds the same noise.
        known: of the same length.
        strength: from 0, where what is new is as it was, to 1, where nothing of it is left.

    Raises:
        ValueError: a request without a seed, for an adaptive solver, or that the model cannot do.
    """
    if request.seed is None:
        raise ValueError(
            "what is known needs the same noise at every step: give the request a seed"
        )

    def streams() -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for _ in known.latents]

    seed = request.seed
    noise = draw_noise(known.latents, streams())
    new = known.new.to(known.latents)

    def keep(_step: int, time: float, latents: Tensor) -> Tensor:
        kept = interpolate(known.latents, noise, known.latents.new_full((len(noise),), time))
        return kept + new * (latents - kept)

    request = replace(request, seed=None, generator=streams(), sounds_per_prompt=len(known.latents))
    return sampler.latents(filling(sampler, request), keep, Start(known.latents, strength))


def filling(sampler: Sampler, request: Request) -> Request:
    """The request for a sound that fills its length, where the model is told; without, it might end in silence."""
    if not sampler.told_length or request.sound_seconds is not None:
        return request
    return replace(request, sound_seconds=min(request.seconds, sampler.longest))


def seconds_of(sampler: Sampler, samples: int) -> float:
    """The length of so many samples at the model's rate, for a request that gives as many latents as they have."""
    hop = sampler.autoencoder.config.hop_length
    return math.ceil(samples / hop) * hop / sampler.sample_rate
