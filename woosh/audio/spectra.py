"""Magnitude spectra, and mel filters on Slaney's and on Kaldi's scale."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MEL_FLOOR = 1e-5  # log-mel values below this magnitude count as silence


def hertz_to_mel(frequency: Tensor) -> Tensor:
    """Slaney's mel scale: 3/200 mel per Hz up to 1 kHz (15 mel), then 27 mel per factor of 6.4."""
    logarithmic = 15.0 + 27.0 * torch.log(frequency.clamp(min=1000.0) / 1000.0) / _log_factor()
    return torch.where(frequency < 1000.0, frequency * 3.0 / 200.0, logarithmic)


def mel_to_hertz(mel: Tensor) -> Tensor:
    """Inverse of `hertz_to_mel`."""
    exponential = 1000.0 * torch.exp((mel - 15.0).clamp(min=0.0) * _log_factor() / 27.0)
    return torch.where(mel < 15.0, mel * 200.0 / 3.0, exponential)


def _log_factor() -> Tensor:
    return torch.log(torch.tensor(6.4, dtype=torch.float64))


def mel_filters(
    sample_rate: int, n_fft: int, bands: int, low: float = 0.0, high: float | None = None
) -> Tensor:
    """Triangular filters, evenly spaced on Slaney's mel scale, each of unit area in Hz.

    Args:
        sample_rate: In Hz.
        n_fft: Transform length; the filters act on its `n_fft // 2 + 1` magnitudes.
        bands: Number of filters.
        low: Lower edge of the first filter in Hz.
        high: Upper edge of the last filter in Hz, half the sample rate by default.

    Returns:
        Filters (bands, n_fft // 2 + 1), float32.
    """
    edges_mel = hertz_to_mel(torch.tensor([low, high or sample_rate / 2], dtype=torch.float64))
    steps = torch.linspace(0.0, 1.0, bands + 2, dtype=torch.float64)
    edges = mel_to_hertz(edges_mel[0] + steps * (edges_mel[1] - edges_mel[0]))
    bins = torch.linspace(0.0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    triangles = torch.minimum(rising, falling).clamp(min=0.0)
    return (triangles * 2.0 / (right - left)).float()


def kaldi_mel(hertz: Tensor) -> Tensor:
    """Kaldi's mel scale: 1127 ln(1 + f / 700)."""
    return 1127.0 * torch.log1p(hertz / 700.0)


def kaldi_mel_filters(sample_rate: int, n_fft: int, bands: int, low: float, high: float) -> Tensor:
    """Kaldi's filter bank: triangles of height 1, of equal width and straight edges on the mel scale.

    Args:
        sample_rate: in Hz.
        n_fft: transform length; the filters act on its `n_fft // 2 + 1` powers, of which the last,
            at half the sample rate, belongs to no band.
        bands: number of filters.
        low: lower edge of the first filter in Hz.
        high: upper edge of the last filter in Hz.

    Returns:
        Filters (bands, n_fft // 2 + 1), float32, on the CPU.
    """
    # On the CPU by name: a module under construction on the meta device gets numbers all the same.
    limits = kaldi_mel(torch.tensor([low, high], dtype=torch.float64, device="cpu"))
    width = (limits[1] - limits[0]) / (bands + 1)
    index = torch.arange(bands, dtype=torch.float64, device="cpu")
    left = limits[0] + width * index[:, None]  # (bands, 1)
    bins = torch.arange(n_fft // 2, dtype=torch.float64, device="cpu")
    mel = kaldi_mel(bins * sample_rate / n_fft)  # (n_fft // 2,)
    rising = (mel - left) / width
    triangles = torch.minimum(rising, 2.0 - rising).clamp(min=0.0)
    return F.pad(triangles, (0, 1)).float()


def magnitudes(audio: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Magnitude STFT, periodic Hann window, frames centred with reflection, not normalised.

    A clip of half a window or less is first padded with zeros: reflection needs more.

    Args:
        audio: (..., S).
        n_fft: Window and transform length in samples.
        hop_length: In samples.

    Returns:
        (..., n_fft // 2 + 1, frames).
    """
    flat = audio.reshape(-1, audio.shape[-1]).float()
    flat = F.pad(flat, (0, max(0, n_fft // 2 + 1 - flat.shape[-1])))
    window = torch.hann_window(n_fft, device=audio.device)
    spectrum = torch.stft(flat, n_fft, hop_length, window=window, return_complex=True).abs()
    return spectrum.reshape(*audio.shape[:-1], *spectrum.shape[-2:])
