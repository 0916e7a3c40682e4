"""A description of a sound that no training has touched: what its log-mel spectrum is like."""

from __future__ import annotations

import torch
from torch import Tensor

from woosh.audio.spectra import magnitudes, mel_filters

FLOOR = -80.0  # dB below a clip's loudest point


def mel_decibels(audio: Tensor, sample_rate: int, hop_length: int, bands: int) -> Tensor:
    """Log-mel spectrum relative to the clip's loudest point, so that gain does not matter.

    Args:
        audio: (B, 1, S) or (B, S).
        sample_rate: in Hz.
        hop_length: in samples.
        bands: Slaney mel bands from 30 Hz to a third of the sample rate.

    Returns:
        Decibels (B, bands, 1 + S // hop_length) in [-80, 0]; silence is -80 throughout.
    """
    audio = audio.reshape(len(audio), -1)
    filters = mel_filters(sample_rate, 2048, bands, low=30.0, high=sample_rate / 3)
    power = (filters.to(audio.device) @ magnitudes(audio, 2048, hop_length)).square()
    return relative(10.0 * power.clamp(min=1e-12).log10())


def relative(decibels: Tensor) -> Tensor:
    """Shift each spectrogram (B, bands, T) so that its maximum is 0 dB, and cut it at -80 dB.

    What lies under -100 dB altogether is silence, not a quiet sound, and gives -80 dB.
    """
    loudest = decibels.amax(dim=(-2, -1), keepdim=True)
    return torch.where(loudest <= -100.0, FLOOR, (decibels - loudest).clamp(min=FLOOR))


def statistics(decibels: Tensor) -> Tensor:
    """Per band the mean, the standard deviation and the mean absolute step from frame to frame.

    Only frames within 50 dB of the loudest point count, so that silence around an event says nothing.

    Args:
        decibels: (bands, T), from `mel_decibels`.

    Returns:
        (3 * bands,) in dB.
    """
    heard = decibels[:, decibels.amax(dim=0) > -50.0]
    if heard.shape[1] == 0:
        heard = decibels
    step = heard.diff(dim=1).abs().sum(dim=1) / max(1, heard.shape[1] - 1)
    return torch.cat([heard.mean(dim=1), heard.std(dim=1, correction=0), step])
