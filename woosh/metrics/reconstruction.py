"""How close a reconstruction comes to its original: mel and STFT distances, SI-SDR, loudness.

One fixed protocol: clips mono at 48 kHz, peak-scaled to 0.8 (`scale_peak`), magnitudes through
base-10 logarithms with a floor of 1e-5; the multi-resolution STFT distance takes natural ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from woosh.audio import loudness
from woosh.audio.spectra import magnitudes, mel_filters

LOG_FLOOR = 1e-5
MEL_WINDOW, MEL_HOP, MEL_BANDS = 2048, 512, 128
RESOLUTIONS = ((512, 240, 50), (1024, 600, 120), (2048, 1200, 240))  # transform, window, hop
QUIETEST = -70.0  # LUFS, the absolute gate of the loudness meter
SILENT_PEAK = 1e-4  # below it a clip is silence: nothing to scale, nothing to compare with
SI_SDR_LIMIT = 100.0  # dB


def mel_distance(reference: Tensor, estimate: Tensor, sample_rate: int = 48000) -> Tensor:
    """MelDist: mean absolute difference of log10 mel spectra.

    128 Slaney bands from 0 Hz to half the sample rate over the magnitude STFT 2048 / hop 512.

    Args:
        reference: (..., S), in [-1, 1].
        estimate: Same shape as the reference.
        sample_rate: In Hz.

    Returns:
        One value per clip (...), at least 0.

    Raises:
        ValueError: If the shapes differ.
    """
    _check_shapes(reference, estimate)
    first, second = log_mel(reference, sample_rate), log_mel(estimate, sample_rate)
    return (first - second).abs().mean(dim=(-2, -1))


def log_mel(audio: Tensor, sample_rate: int = 48000) -> Tensor:
    """The log10 mel spectra (..., 128, T) that MelDist compares, of audio (..., S); none is below -5."""
    filters = mel_filters(sample_rate, MEL_WINDOW, MEL_BANDS).to(audio.device)
    return (filters @ magnitudes(audio, MEL_WINDOW, MEL_HOP)).clamp(min=LOG_FLOOR).log10()


def stft_distance(reference: Tensor, estimate: Tensor) -> Tensor:
    """STFTDist: mean absolute difference of log10 magnitudes, STFT 512 / hop 128.

    Args:
        reference: (..., S), in [-1, 1].
        estimate: Same shape as the reference.

    Returns:
        One value per clip (...), at least 0.

    Raises:
        ValueError: If the shapes differ.
    """
    _check_shapes(reference, estimate)
    first, second = (
        magnitudes(audio, 512, 128).clamp(min=LOG_FLOOR).log10() for audio in (reference, estimate)
    )
    return (first - second).abs().mean(dim=(-2, -1))


def multi_resolution_stft_distance(reference: Tensor, estimate: Tensor) -> Tensor:
    """Spectral convergence plus mean log distance, averaged over three resolutions.

    Equations 4 to 6 of Parallel WaveGAN (Yamamoto et al., 1910.11480), per clip, with its
    resolutions: transforms of 512, 1024 and 2048 with periodic Hann windows of 240, 600 and 1200
    and hops of 50, 120 and 240 samples; the logarithms are natural. A silent reference (peak below
    1e-4) has no spectral convergence: nan, which the caller leaves out of an average and counts.

    Args:
        reference: (..., S), in [-1, 1].
        estimate: Same shape as the reference.

    Returns:
        One value per clip (...), at least 0.

    Raises:
        ValueError: If the shapes differ.
    """
    _check_shapes(reference, estimate)
    silent = reference.abs().amax(dim=-1) < SILENT_PEAK
    distances = []
    for resolution in RESOLUTIONS:
        wanted, found = (
            _windowed_magnitudes(audio, *resolution).clamp(min=LOG_FLOOR)
            for audio in (reference, estimate)
        )
        convergence = (wanted - found).norm(dim=(-2, -1)) / wanted.norm(dim=(-2, -1))
        distances.append(convergence + (wanted.log() - found.log()).abs().mean(dim=(-2, -1)))
    return torch.stack(distances).mean(dim=0).masked_fill(silent, torch.nan)


def _windowed_magnitudes(audio: Tensor, n_fft: int, window: int, hop_length: int) -> Tensor:
    """Magnitude STFT (..., bins, frames) whose window is shorter than the transform."""
    flat = audio.reshape(-1, audio.shape[-1]).float()
    flat = torch.nn.functional.pad(flat, (0, max(0, n_fft // 2 + 1 - flat.shape[-1])))
    hann = torch.hann_window(window, device=audio.device)
    spectrum = torch.stft(flat, n_fft, hop_length, window, window=hann, return_complex=True).abs()
    return spectrum.reshape(*audio.shape[:-1], *spectrum.shape[-2:])


def loudness_error(reference: Tensor, estimate: Tensor, sample_rate: int = 48000) -> Tensor:
    """Absolute difference of integrated loudness in LU (ITU-R BS.1770, see `woosh.audio.loudness`).

    A clip shorter than 400 ms is repeated until the meter has a block. An estimate that the meter
    does not hear counts as -70 LUFS, the meter's gate; a reference that it does not hear has no
    loudness to compare with: nan, which the caller leaves out of an average and counts.

    Args:
        reference: (..., S), mono clips in [-1, 1].
        estimate: Same shape as the reference.
        sample_rate: In Hz.

    Returns:
        One value per clip (...), float64, at least 0.

    Raises:
        ValueError: If the shapes differ.
    """
    _check_shapes(reference, estimate)
    wanted, found = (_loudness(audio, sample_rate) for audio in (reference, estimate))
    return (wanted - found.clamp(min=QUIETEST)).abs().masked_fill(wanted < QUIETEST, torch.nan)


def _loudness(audio: Tensor, sample_rate: int) -> Tensor:
    """Integrated loudness (...) in LUFS of (..., S), -inf for what the meter does not hear."""
    clips = audio.detach().cpu().reshape(-1, audio.shape[-1]).numpy()
    measured = [loudness(clip[None], sample_rate) for clip in clips]
    return torch.tensor(measured, dtype=torch.float64).reshape(audio.shape[:-1])


def si_sdr(reference: Tensor, estimate: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al., arXiv 1811.02508, eq. 3).

    Both clips lose their mean; the estimate is split into its projection on the reference and the
    rest, and the ratio of their energies is limited to +-100 dB. A silent estimate has no
    projection: -100 dB. A silent reference (peak below 1e-4) has no ratio: nan, which the caller
    leaves out of an average and counts.

    Args:
        reference: (..., S).
        estimate: Same shape as the reference.

    Returns:
        One value in dB per clip (...), float64.

    Raises:
        ValueError: If the shapes differ.
    """
    _check_shapes(reference, estimate)
    reference = reference.double() - reference.double().mean(dim=-1, keepdim=True)
    estimate = estimate.double() - estimate.double().mean(dim=-1, keepdim=True)
    silent = reference.abs().amax(dim=-1) < SILENT_PEAK
    smallest = torch.finfo(torch.float64).tiny
    energy = reference.square().sum(dim=-1, keepdim=True).clamp(min=smallest)
    target = (estimate * reference).sum(dim=-1, keepdim=True) / energy * reference
    target_energy = target.square().sum(dim=-1)
    residual_energy = (estimate - target).square().sum(dim=-1)
    ratio = target_energy.clamp(min=smallest) / residual_energy.clamp(min=smallest)
    ratio = torch.where(target_energy == 0.0, 0.0, ratio)
    decibels = (10.0 * torch.log10(ratio)).clamp(-SI_SDR_LIMIT, SI_SDR_LIMIT)
    return decibels.masked_fill(silent, torch.nan)


def _check_shapes(reference: Tensor, estimate: Tensor) -> None:
    if reference.shape != estimate.shape:
        raise ValueError(
            f"reference {tuple(reference.shape)} and estimate {tuple(estimate.shape)} differ in "
            "shape: cut both to the same clips and length"
        )


def scale_peak(audio: Tensor, peak: float = 0.8) -> Tensor:
    """Scales each clip (..., S) to the given peak; a silent clip (peak below 1e-4) stays as it is."""
    largest = audio.abs().amax(dim=-1, keepdim=True)
    gain = torch.where(largest < SILENT_PEAK, 1.0, peak / largest.clamp(min=SILENT_PEAK))
    return audio * gain
