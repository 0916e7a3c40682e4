"""Losses of the autoencoder: on the head's own outputs, and on mel spectra of the waveform."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from woosh.audio.spectra import MEL_FLOOR, mel_filters
from woosh.autoencoder.network import Spectrum


@functools.lru_cache
def _mel_tools(
    sample_rate: int, window: int, bands: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    filters = mel_filters(sample_rate, window, bands)
    return torch.hann_window(window, device=device), filters.to(device)


def log10_mel(audio: Tensor, sample_rate: int, window: int, bands: int) -> Tensor:
    """Audio (B, S) -> log10 mel magnitude (B, bands, frames), hop window / 4, floor 1e-5."""
    hann, filters = _mel_tools(sample_rate, window, bands, audio.device)
    spectrum = torch.stft(audio, window, window // 4, window=hann, return_complex=True)
    # The tiny constant keeps the gradient of the magnitude of a silent bin finite.
    magnitude = torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-14)
    return torch.log10(torch.clamp_min(filters @ magnitude, MEL_FLOOR))


def multiscale_mel_loss(
    target: Tensor,
    estimate: Tensor,
    sample_rate: int,
    windows: tuple[int, ...] = (32, 64, 128, 256, 512, 1024, 2048),
    bands: tuple[int, ...] = (5, 10, 20, 40, 80, 160, 320),
) -> Tensor:
    """L_mel: mean absolute difference of log-mel spectra, summed over window lengths.

    Args:
        target: audio (B, 1, S).
        estimate: audio (B, 1, S).
        sample_rate: in Hz.
        windows: window lengths in samples.
        bands: mel bands, one count per window.
    """
    losses = [
        (
            log10_mel(target[:, 0], sample_rate, window, count)
            - log10_mel(estimate[:, 0], sample_rate, window, count)
        )
        .abs()
        .mean()
        for window, count in zip(windows, bands, strict=True)
    ]
    return torch.stack(losses).sum()


def magnitude_loss(target: Tensor, estimate: Spectrum, floor: float = 1e-4) -> Tensor:
    """Mean absolute difference of log10 magnitudes on the head's STFT grid (target complex)."""
    target_level = torch.log10(target.abs().clamp_min(floor))
    return (target_level - torch.log10(estimate.magnitude.clamp_min(floor))).abs().mean()


def phase_loss(target: Tensor, estimate: Spectrum, power: float = 1.0) -> Tensor:
    """1 - cosine between unit phase vectors, weighted per clip by the target's magnitude^power.

    Supervising the phase vector itself gives it a gradient that does not pass through the
    magnitude: a loss on the product lets the magnitude collapse before the phase is learned.
    """
    magnitude = target.abs()
    weight = magnitude**power
    cosine = (target.real * estimate.real + target.imag * estimate.imaginary) / magnitude.clamp_min(
        1e-9
    )
    weight_sum = weight.sum(dim=(1, 2))
    return ((weight * (1.0 - cosine)).sum(dim=(1, 2)) / weight_sum.clamp_min(1e-6)).mean()


def complex_loss(target: Tensor, estimate: Spectrum) -> Tensor:
    """Length of the complex spectrum's error relative to each clip's own length, averaged.

    Its square is the noise-to-signal ratio behind SI-SDR, so loud bins decide. Alone it lets the
    magnitude collapse; beside `phase_loss` and `magnitude_loss` it balances the two.
    """
    real = target.real - estimate.magnitude * estimate.real
    imaginary = target.imag - estimate.magnitude * estimate.imaginary
    error = (real**2 + imaginary**2).sum(dim=(1, 2))
    energy = (target.real**2 + target.imag**2).sum(dim=(1, 2))
    return torch.sqrt((error + 1e-6) / (energy + 1e-2)).mean()
