"""Phases for a spectrum of which only the magnitudes are known."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

REFINEMENT = 2  # frames of the search for each frame of the magnitudes
ITERATIONS = 64
MOMENTUM = 0.99
# c + m (c - p) = (1 + m) (c - PULL p), and phases do not see the factor.
PULL = MOMENTUM / (1 + MOMENTUM)
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
    half, hop = bins - 1, hop_length // REFINEMENT
    n_fft = 2 * half
    window = torch.hann_window(n_fft, device=magnitude.device)
    # One more frame, cut off below: two frames would be too short an audio to reflect.
    magnitude = torch.cat([magnitude, magnitude[:, -1:]], dim=1).float()
    count = frames * REFINEMENT + 1
    level = functional.interpolate(
        magnitude.clamp_min(SILENCE).log()[None], size=count, mode="linear", align_corners=True
    )
    fine = rearrange(level[0].exp(), "f t -> t f").contiguous()  # (T', F)
    envelope = overlap_add(window.square().expand(count, n_fft), hop)

    def analyse(audio: Tensor) -> Tensor:
        spectrum = torch.stft(audio, n_fft, hop, window=window, return_complex=True)
        return rearrange(spectrum, "f t -> t f")

    def synthesise(direction: Tensor) -> Tensor:
        windows = torch.fft.irfft(fine * direction.sgn(), n=n_fft) * window
        return overlap_add(windows, hop)[half:-half] / envelope[half:-half]

    noise = torch.randn(hop * (count - 1), generator=torch.Generator().manual_seed(0))
    spectrum = analyse(noise.to(magnitude.device))
    previous = torch.zeros_like(spectrum)
    for _ in range(ITERATIONS):
        audio = synthesise(torch.sub(spectrum, previous, alpha=PULL))
        previous, spectrum = spectrum, analyse(audio)
    audio = synthesise(torch.sub(spectrum, previous, alpha=PULL))
    return audio[: hop_length * (frames - 1)]


def overlap_add(windows: Tensor, hop: int) -> Tensor:
    """Frames (T, N) every `hop` samples -> their sum (N + hop (T - 1),); three times as fast as `torch.istft`'s.

    Raises:
        ValueError: N that `hop` does not divide.
    """
    count, length = windows.shape
    if length % hop:
        raise ValueError(f"the window's {length} samples must be a multiple of the hop, {hop}")
    parts = windows.reshape(count, length // hop, hop)
    total = windows.new_zeros(count + length // hop - 1, hop)
    for part in range(length // hop):
        total[part : part + count] += parts[:, part]
    return total.flatten()
