"""Phases for a spectrum of which only the magnitudes are known."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

REFINEMENT = 2  # frames of the search for each frame of the magnitudes
ITERATIONS = 64
MOMENTUM = 0.99
SILENCE = 1e-7  # magnitude


def retrieve_phases(magnitude: Tensor, hop_length: int) -> Tensor:
    """Magnitudes (B, F, T) of an STFT -> audio (B, hop (T - 1)) that has about these magnitudes.

    The fast Griffin-Lim algorithm (Perraudin, Balazs, Soendergaard 2013): go to audio and back, and keep the
    phases, with momentum. Windows that overlap by half do not determine phases, so it works on twice
    as many frames, between which log-magnitudes are interpolated. It starts from the phases of one fixed
    white noise, so equal magnitudes always give equal audio.

    Args:
        magnitude: not negative, of windows of 2 (F - 1) samples (periodic Hann, centred by reflection).
        hop_length: samples per frame, divisible by 2.

    Raises:
        ValueError: an odd hop.
    """
    if hop_length % REFINEMENT:
        raise ValueError(f"hop_length must be divisible by {REFINEMENT}, got {hop_length}")
    # Clip by clip: the search amplifies the rounding by which a batch differs from a single clip.
    return torch.stack([_retrieve(clip, hop_length) for clip in magnitude])


def _retrieve(magnitude: Tensor, hop_length: int) -> Tensor:
    """Magnitudes (F, T) -> audio (hop (T - 1),)."""
    bins, frames = magnitude.shape
    n_fft, hop = 2 * (bins - 1), hop_length // REFINEMENT
    window = torch.hann_window(n_fft, device=magnitude.device)
    # One more frame, cut off below: two frames would be too short an audio to reflect.
    magnitude = torch.cat([magnitude, magnitude[:, -1:]], dim=1).float()
    count = frames * REFINEMENT + 1
    level = functional.interpolate(
        magnitude.clamp_min(SILENCE).log()[None], size=count, mode="linear", align_corners=True
    )
    fine = level[0].exp()  # (F, T')

    def analyse(audio: Tensor) -> Tensor:
        return torch.stft(audio, n_fft, hop, window=window, return_complex=True)

    def synthesise(direction: Tensor) -> Tensor:
        return torch.istft(fine * direction, n_fft, hop, window=window)

    noise = torch.randn(hop * (count - 1), generator=torch.Generator().manual_seed(0))
    spectrum = analyse(noise.to(magnitude.device))
    previous = torch.zeros_like(spectrum)
    for _ in range(ITERATIONS):
        direction = spectrum - MOMENTUM / (1.0 + MOMENTUM) * previous
        previous = spectrum
        spectrum = analyse(synthesise(direction / direction.abs().clamp_min(SILENCE)))
    direction = spectrum - MOMENTUM / (1.0 + MOMENTUM) * previous
    return synthesise(direction / direction.abs().clamp_min(SILENCE))[: hop_length * (frames - 1)]
