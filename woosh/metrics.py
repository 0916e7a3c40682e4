"""Distances between audio clips, and between sets of embedded clips.

The three reconstruction measures follow one fixed protocol: clips mono at 48 kHz, peak-scaled to
0.8 (`scale_peak`), magnitudes through base-10 logarithms with a floor of 1e-5.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_FLOOR = 1e-5
SILENT_PEAK = 1e-4  # below it a clip is silence: nothing to scale, nothing to compare with
SI_SDR_LIMIT = 100.0  # dB


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
    filters = mel_filters(sample_rate, 2048, 128).to(reference.device)
    first, second = (
        (filters @ magnitudes(audio, 2048, 512)).clamp(min=LOG_FLOOR).log10()
        for audio in (reference, estimate)
    )
    return (first - second).abs().mean(dim=(-2, -1))


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


def frechet_distance(first: Tensor, second: Tensor) -> Tensor:
    """Frechet distance of the normal distributions fitted to two sets (Heusel et al., 1706.08500).

    ``|m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2))``, the last trace being the sum of the
    singular values of ``C1^(1/2) C2^(1/2)``.

    Args:
        first: Embeddings (N, D), N >= 2.
        second: Embeddings (M, D), M >= 2.

    Returns:
        A float64 scalar, at least 0 up to rounding.

    Raises:
        ValueError: If a set has fewer than two rows or the widths differ.
    """
    if min(len(first), len(second)) < 2 or first.shape[1] != second.shape[1]:
        raise ValueError(
            f"sets of shapes {tuple(first.shape)} and {tuple(second.shape)} have no Frechet "
            "distance: both need at least two rows and the same width"
        )
    first, second = first.double(), second.double()
    shift = (first.mean(dim=0) - second.mean(dim=0)).square().sum()
    first_covariance, second_covariance = torch.cov(first.T), torch.cov(second.T)
    product = _matrix_root(first_covariance) @ _matrix_root(second_covariance)
    overlap = torch.linalg.svdvals(product).sum()
    return shift + first_covariance.trace() + second_covariance.trace() - 2.0 * overlap


def _matrix_root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0.0).sqrt() @ vectors.T


def pairwise_distances(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distances (N, M) between the rows of (N, D) and (M, D), float64.

    Differences are taken row by row: the faster product form gives equal rows a distance of 1e-7
    instead of 0, and a copy has to be found as one.
    """
    return torch.cdist(first.double(), second.double(), compute_mode="donot_use_mm_for_euclid_dist")


def mean_pairwise_distance(embeddings: Tensor) -> Tensor:
    """Mean Euclidean distance over the pairs of different rows of (N, D): how varied a set is.

    Raises:
        ValueError: If there are fewer than two rows.
    """
    if len(embeddings) < 2:
        raise ValueError(f"{len(embeddings)} rows form no pair: at least two are needed")
    return torch.pdist(embeddings.double()).mean()


class RecordingDistances(NamedTuple):
    """How far apart the recordings of one class are; clips of one group count as one recording."""

    pairs: Tensor  # (P,) between every two recordings
    nearest: Tensor  # (R,) from each recording to the nearest other one


class Originality(NamedTuple):
    """Whether a set of generated clips repeats the training data, or itself."""

    below_pair: float  # share nearer to a training clip than the median pair of recordings
    below_nearest: float  # share nearer than a recording's median distance to its nearest other
    copied: float  # share nearer than 95 % of the recordings are to their nearest other
    spread: float  # mean distance between the outputs over the mean distance between recordings


def recording_distances(embeddings: Tensor, groups: Sequence[str]) -> RecordingDistances:
    """Distances between the recordings of one class.

    Args:
        embeddings: (R, D).
        groups: Name of the original recording that each row was cut from.

    Raises:
        ValueError: If all rows are of one recording.
    """
    distances = pairwise_distances(embeddings, embeddings)
    names = sorted(set(groups))
    if len(names) < 2:
        raise ValueError(
            f"all {len(groups)} clips are of the recording {names}: nothing to compare"
        )
    numbers = torch.tensor([names.index(group) for group in groups])
    different = numbers[:, None] != numbers[None]
    nearest = distances.masked_fill(~different, torch.inf).amin(dim=1)
    return RecordingDistances(distances[different.triu()], nearest)


def originality(outputs: Tensor, training: Tensor, recordings: RecordingDistances) -> Originality:
    """Compares generated clips of one class with the training clips and among themselves.

    A new recording has some training clip near it by chance, more likely so the more clips there
    are. The first share is therefore high for new recordings too; of them about half fall under
    the second bound and 5 % under the third.

    Args:
        outputs: Embeddings of generated clips (N, D), N >= 2.
        training: Embeddings of all clips that the generator was trained on (M, D).
        recordings: Of the class, in the same embedding.
    """
    nearest = pairwise_distances(outputs, training).amin(dim=1)
    spread = mean_pairwise_distance(outputs) / recordings.pairs.mean()

    def share_below(bound: Tensor) -> float:
        return (nearest < bound).double().mean().item()

    return Originality(
        below_pair=share_below(recordings.pairs.median()),
        below_nearest=share_below(recordings.nearest.median()),
        copied=share_below(recordings.nearest.quantile(0.05)),
        spread=spread.item(),
    )
