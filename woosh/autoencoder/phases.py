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
BLOCK = 256  # frames that are computed at a time
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
    half, frames, hop = magnitude.shape[0] - 1, magnitude.shape[1], hop_length // REFINEMENT
    n_fft = 2 * half
    fine = refined(magnitude, circular)  # (T', F)
    length = hop * (frames * REFINEMENT)
    window = torch.hann_window(n_fft, device=magnitude.device)
    # One buffer of each kind for the whole search: memory that is asked for anew in every iteration of a long sound is
    # given back to the system each time, which cost two thirds of its time.
    total = fine.new_empty(n_fft + hop * (len(fine) - 1))

    def audio_of() -> Tensor:
        """What lies in `total`, without what its first and last windows reach beyond the ends."""
        return folded(total, length, half) if circular else total[half:-half]

    def analyse(audio: Tensor, spectrum: Tensor) -> None:
        around = wrapped(audio, half) if circular else reflected(audio, half)
        windows = around.unfold(0, n_fft, hop)
        for block in blocks(len(fine)):
            torch.fft.rfft(windows[block] * window, out=spectrum[block])

    def synthesise(spectrum: Tensor, previous: Tensor) -> Tensor:
        total.zero_()
        # From the last block to the first, each sample adds its windows in one order, whatever the blocks.
        for block in reversed(blocks(len(fine))):
            direction = torch.sub(spectrum[block], previous[block], alpha=PULL)
            # Not `sgn`: it rounds differently at the ends of each thread's share, and the search makes that audible.
            real, imaginary = direction.real, direction.imag
            size = (real * real + imaginary * imaginary).sqrt_().clamp_min_(NO_DIRECTION)
            direction *= fine[block] / size
            overlap_add(torch.fft.irfft(direction, n=n_fft) * window, hop, total, block.start)
        return audio_of().div_(envelope)

    total.zero_()
    overlap_add(window.square().expand(len(fine), n_fft), hop, total)
    envelope = audio_of().clone()
    noise = torch.randn(length, generator=torch.Generator().manual_seed(0))
    spectrum = torch.zeros(fine.shape, dtype=torch.complex64, device=fine.device)
    previous = torch.zeros_like(spectrum)
    analyse(noise.to(fine.device), spectrum)
    for _ in range(ITERATIONS):
        audio = synthesise(spectrum, previous)
        previous, spectrum = spectrum, previous
        analyse(audio, spectrum)
    audio = synthesise(spectrum, previous)
    return audio.clone() if circular else audio[: hop_length * (frames - 1)].clone()


def refined(magnitude: Tensor, circular: bool) -> Tensor:
    """Magnitudes (F, T) -> (T', F), `REFINEMENT` frames for each and one more, log-magnitudes interpolated between them."""
    count = magnitude.shape[1] * REFINEMENT + 1
    # One more frame, cut off afterwards: two frames would be too short an audio to reflect. Of a circle it is the first.
    further = magnitude[:, :1] if circular else magnitude[:, -1:]
    level = torch.cat([magnitude, further], dim=1).float().clamp_min(SILENCE).log_()
    level = functional.interpolate(level[None], size=count, mode="linear", align_corners=True)[0]
    return rearrange(level[:, : count - 1 if circular else count].exp_(), "f t -> t f").contiguous()


def blocks(count: int) -> list[slice]:
    """Parts of `BLOCK` frames: what is computed of one at a time stays in a processor's cache."""
    return [slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]


def reflected(line: Tensor, reach: int) -> Tensor:
    """A line (N,) with its beginning and its end mirrored beyond them: (N + 2 reach,)."""
    return functional.pad(line[None, None], (reach, reach), mode="reflect")[0, 0]


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


def overlap_add(windows: Tensor, hop: int, total: Tensor, first: int = 0) -> None:
    """Add frames (..., T, N) every `hop` samples to `total` (..., S), frame t from its sample hop (first + t) on.

    Three times as fast as `torch.istft`'s.

    Raises:
        ValueError: N that `hop` does not divide.
    """
    count, length = windows.shape[-2:]
    if length % hop:
        raise ValueError(f"the window's {length} samples must be a multiple of the hop, {hop}")
    parts = windows.unflatten(-1, (length // hop, hop))
    rows = total.unflatten(-1, (-1, hop))
    for part in range(length // hop):
        rows[..., first + part : first + part + count, :] += parts[..., part, :]


def overlapped(windows: Tensor, hop: int) -> Tensor:
    """Frames (..., T, N) laid every `hop` samples and added: (..., S), S the end of the last one or up to a hop more."""
    windows = functional.pad(windows, (0, -windows.shape[-1] % hop))
    *clips, count, length = windows.shape
    total = windows.new_zeros(*clips, hop * (count - 1) + length)
    overlap_add(windows, hop, total)
    return total
