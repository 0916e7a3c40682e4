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
NO_DIRECTION = 1e-18  # magnitude below which a number has no phase to keep


def retrieve_phases(magnitude: Tensor, hop_length: int, circular: bool = False) -> Tensor:
    """Magnitudes (B, F, T) of an STFT -> audio (B, hop (T - 1)) that has about these magnitudes.

    The fast Griffin-Lim algorithm (Perraudin, Balazs, Soendergaard 2013): go to audio and back, and keep the
    phases, with momentum. Windows that overlap by half do not determine phases, so it works on twice
    as many frames, between which log-magnitudes are interpolated. It starts from the phases of one fixed
    white noise, so equal magnitudes always give equal audio, on a CPU with any number of threads.

    Args:
        magnitude: not negative, of windows of 2 (F - 1) samples (periodic Hann, centred by reflection).
        hop_length: samples per frame, divisible by 2.
        circular: the first frame follows the last one, in the audio too, which is (B, hop T): its windows and its phases
            wrap, and its end goes over into its beginning.

    Raises:
        ValueError: an odd hop, or a circle shorter than a window.
    """
    if hop_length % REFINEMENT:
        raise ValueError(f"hop_length must be divisible by {REFINEMENT}, got {hop_length}")
    n_fft, length = 2 * (magnitude.shape[1] - 1), hop_length * magnitude.shape[2]
    if circular and length < n_fft:
        raise ValueError(f"a circle of {length} samples is shorter than a window of {n_fft}")
    # Clip by clip: the search amplifies the rounding by which a batch differs from a single clip.
    return torch.stack([_retrieve(clip, hop_length, circular) for clip in magnitude])


def _retrieve(magnitude: Tensor, hop_length: int, circular: bool) -> Tensor:
    """Magnitudes (F, T) -> audio (hop (T - 1),), or (hop T,) of a circle."""
    bins, frames = magnitude.shape
    half, hop = bins - 1, hop_length // REFINEMENT
    n_fft = 2 * half
    window = torch.hann_window(n_fft, device=magnitude.device)
    # One more frame, cut off below: two frames would be too short an audio to reflect. Of a circle it is the first one.
    further = magnitude[:, :1] if circular else magnitude[:, -1:]
    magnitude = torch.cat([magnitude, further], dim=1).float()
    count = frames * REFINEMENT + 1
    level = functional.interpolate(
        magnitude.clamp_min(SILENCE).log()[None], size=count, mode="linear", align_corners=True
    )
    length = hop * (count - 1)
    if circular:
        count -= 1
    fine = rearrange(level[0, :, :count].exp(), "f t -> t f").contiguous()  # (T', F)

    def analyse(audio: Tensor) -> Tensor:
        if circular:
            audio = wrapped(audio, half)
        spectrum = torch.stft(
            audio, n_fft, hop, window=window, center=not circular, return_complex=True
        )
        return rearrange(spectrum[:, :count], "f t -> t f")

    def add(windows: Tensor) -> Tensor:
        total = overlap_add(windows, hop)
        return folded(total, length, half) if circular else total[half:-half]

    def synthesise(direction: Tensor) -> Tensor:
        # Not `sgn`: it rounds differently at the ends of each thread's share, and the search makes that audible.
        real, imaginary = direction.real, direction.imag
        size = (real * real + imaginary * imaginary).sqrt().clamp_min(NO_DIRECTION)
        windows = torch.fft.irfft(direction * (fine / size), n=n_fft) * window
        return add(windows) / envelope

    envelope = add(window.square().expand(count, n_fft))
    noise = torch.randn(length, generator=torch.Generator().manual_seed(0))
    spectrum = analyse(noise.to(magnitude.device))
    previous = torch.zeros_like(spectrum)
    for _ in range(ITERATIONS):
        audio = synthesise(torch.sub(spectrum, previous, alpha=PULL))
        previous, spectrum = spectrum, analyse(audio)
    audio = synthesise(torch.sub(spectrum, previous, alpha=PULL))
    return audio if circular else audio[: hop_length * (frames - 1)]


def wrapped(circle: Tensor, reach: int) -> Tensor:
    """A circle (..., T) with so many of its members again before its beginning and after its end: (..., T + 2 reach)."""
    count = circle.shape[-1]
    return circle[..., torch.arange(-reach, count + reach, device=circle.device) % count]


def folded(line: Tensor, length: int, start: int) -> Tensor:
    """A line (N,) laid around a circle (length,) that begins at its sample `start`; what meets is added.

    N is at most twice the length.
    """
    circle = line[:length].clone()
    circle[: len(line) - length] += line[length:]
    return circle.roll(-start)


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
