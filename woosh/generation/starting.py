"""Where sampling starts: from noise alone, or from the latents of a sound with some noise added.

After SDEdit (arXiv 2108.01073): a sound is taken part of the way back to noise and drawn anew from there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from woosh.autoencoder import Autoencoder
from woosh.autoencoder.reconstruction import in_whole_frames
from woosh.generation.flow import interpolate


@dataclass(frozen=True, eq=False)
class Start:
    """Latents to start from, and how far they are taken back to noise.

    Attributes:
        latents: normalised, those that the generator makes, one for each sound of a request (P N, C, T).
        strength: the noise level at the start, from 0 (the latents as they are) to 1 (noise alone).

    Raises:
        ValueError: a strength out of its range.
    """

    latents: Tensor
    strength: float

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must be from 0 to 1, got {self.strength!r}")

    def noisy(self, noise: Tensor) -> Tensor:
        """The latents at the noise level of the start, like noise (P N, C, T).

        Raises:
            ValueError: latents of another shape than the noise.
        """
        if self.latents.shape != noise.shape:
            raise ValueError(
                f"the request is for latents {tuple(noise.shape)}, the start has {tuple(self.latents.shape)}"
            )
        levels = torch.full((len(noise),), self.strength, device=noise.device)
        return interpolate(self.latents.to(noise), noise, levels)

    def times(self, times: Tensor) -> Tensor:
        """What is left of a grid that falls from 1 to 0: the strength, then the times below it (1 or more,)."""
        return torch.cat([times.new_tensor([self.strength]), times[times < self.strength]])

    def renoise(self, weights: Sequence[float], steps: int) -> tuple[float, ...]:
        """What is left of a few-step model's weights: `steps`, the first of which raises no noise above the strength."""
        return (0.0, *weights[len(weights) - steps + 1 :])


@torch.no_grad()
def encode_sound(autoencoder: Autoencoder, audio: np.ndarray) -> Tensor:
    """Latents (1, C, 1 + ceil(S / hop)) of a sound, those that a generator makes of a request for S samples.

    Args:
        autoencoder: of the model that starts from them.
        audio: (A, S) float32 at its sample rate, with its number of channels.

    Raises:
        ValueError: another number of channels.
    """
    if len(audio) != autoencoder.audio_channels:
        raise ValueError(
            f"the autoencoder takes {autoencoder.audio_channels} channels, the sound has {len(audio)}"
        )
    whole = in_whole_frames(autoencoder, audio).to(autoencoder.device)  # (A, S')
    frames = 1 + math.ceil(audio.shape[1] / autoencoder.config.hop_length)
    return autoencoder.encode_generated(whole[None])[..., :frames]
