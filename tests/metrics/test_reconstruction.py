"""Properties of the distances, against closed forms and independent implementations."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.signal import stft

from woosh.metrics.distributions import frechet_distance
from woosh.metrics.originality import mean_pairwise_distance, pairwise_distances
from woosh.metrics.reconstruction import mel_distance, scale_peak, si_sdr, stft_distance
from woosh.spectra import magnitudes, mel_filters


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.2


def numpy_filters(sample_rate: int, n_fft: int, bands: int) -> np.ndarray:
    """The same filter bank written a second time, value by value, from the definition."""

    def to_hertz(mel: float) -> float:
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    top = 15 + 27 * math.log(sample_rate / 2 / 1000) / math.log(6.4)
    edges = [to_hertz(top * index / (bands + 1)) for index in range(bands + 2)]
    filters = np.zeros((bands, n_fft // 2 + 1))
    for band, (left, centre, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for index in range(n_fft // 2 + 1):
            frequency = index * sample_rate / n_fft
            if left < frequency <= centre:
                filters[band, index] = (frequency - left) / (centre - left)
            elif centre < frequency < right:
                filters[band, index] = (right - frequency) / (right - centre)
        filters[band] *= 2 / (right - left)
    return filters


def scipy_magnitudes(audio: np.ndarray, n_fft: int, hop_length: int) -> np.ndarray:
    padded = np.pad(audio, n_fft // 2, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    _, _, spectrum = stft(
        padded, window=window, nperseg=n_fft, noverlap=n_fft - hop_length, boundary=None,
        padded=False,
    )  # fmt: skip
    return np.abs(spectrum) * window.sum()


def test_filters_equal_an_independent_writing() -> None:
    assert np.allclose(mel_filters(48000, 2048, 128), numpy_filters(48000, 2048, 128), atol=1e-7)


def test_filters_equal_librosa() -> None:
    librosa = pytest.importorskip("librosa", reason="librosa is not installed")
    theirs = librosa.filters.mel(sr=48000, n_fft=2048, n_mels=128)
    assert np.allclose(mel_filters(48000, 2048, 128), theirs, atol=1e-7)


def test_distances_equal_an_independent_writing() -> None:
    reference, estimate = noise(9600).double(), noise(9600, seed=1).double()
    pair = [audio.numpy() for audio in (reference, estimate)]
    mels = [numpy_filters(48000, 2048, 128) @ scipy_magnitudes(audio, 2048, 512) for audio in pair]
    spectra = [scipy_magnitudes(audio, 512, 128) for audio in pair]
    expected_mel, expected_stft = (
        np.abs(np.subtract(*(np.log10(np.maximum(values, 1e-5)) for values in two))).mean()
        for two in (mels, spectra)
    )
    assert mel_distance(reference, estimate).item() == pytest.approx(expected_mel, rel=1e-4)
    assert stft_distance(reference, estimate).item() == pytest.approx(expected_stft, rel=1e-4)


@pytest.mark.parametrize("distance", [mel_distance, stft_distance])
def test_a_gain_shifts_every_logarithm(distance) -> None:
    audio = noise(3, 1, 24000)
    assert distance(audio, audio).abs().max() == 0
    assert torch.allclose(distance(audio, audio / 10), torch.ones(3, 1), atol=2e-3)


@pytest.mark.parametrize("distance", [mel_distance, stft_distance, si_sdr])
def test_clips_are_measured_one_by_one(distance) -> None:
    reference, estimate = noise(2, 3, 4800), noise(2, 3, 4800, seed=1)
    together = distance(reference, estimate)
    assert together.shape == (2, 3)
    alone = distance(reference[1, 2], estimate[1, 2])
    assert torch.allclose(together[1, 2], alone, rtol=1e-5)
    with pytest.raises(ValueError, match="differ in shape"):
        distance(reference, estimate[..., 1:])


@pytest.mark.parametrize("samples", [1, 100, 512, 2048])
def test_the_shortest_clips_have_distances(samples: int) -> None:
    audio = noise(samples)
    assert mel_distance(audio, audio / 2).isfinite()
    assert stft_distance(audio, audio / 2).isfinite()


def test_magnitudes_of_silence_are_floored() -> None:
    silence = torch.zeros(4800)
    assert magnitudes(silence, 512, 128).max() == 0
    assert stft_distance(silence, silence + 0.1) > 0
    assert mel_distance(silence, silence) == 0


def test_si_sdr_of_orthogonal_noise_is_the_energy_ratio() -> None:
    time = torch.arange(48000) / 48000
    wanted = torch.sin(2 * math.pi * 440 * time)
    unwanted = torch.sin(2 * math.pi * 1000 * time)
    for decibels in (-20.0, 0.0, 15.0):
        estimate = wanted + 10 ** (-decibels / 20) * unwanted
        assert si_sdr(wanted, estimate).item() == pytest.approx(decibels, abs=1e-3)
        assert si_sdr(wanted, -3 * estimate + 0.5).item() == pytest.approx(decibels, abs=1e-3)


def test_si_sdr_limits() -> None:
    audio = noise(4800)
    assert si_sdr(audio, 0.3 * audio) == 100
    assert si_sdr(audio, torch.zeros_like(audio)) == -100
    assert si_sdr(torch.full_like(audio, 5e-5), audio).isnan()


def test_scale_peak() -> None:
    clips = torch.stack([noise(1, 100), 3 * noise(1, 100), torch.full((1, 100), 1e-5)])
    scaled = scale_peak(clips)
    assert torch.allclose(scaled.abs().amax(-1)[:2], torch.full((2, 1), 0.8))
    assert torch.equal(scaled[2], clips[2])


def test_frechet_distance_closed_forms() -> None:
    first = noise(500, 6)
    assert frechet_distance(first, first).item() == pytest.approx(0, abs=1e-9)
    assert frechet_distance(first, first + 2).item() == pytest.approx(6 * 4, rel=1e-6)
    spread = torch.cov(first.T).trace().item()
    centred = first - first.mean(dim=0)
    assert frechet_distance(centred, 3 * centred).item() == pytest.approx(4 * spread, rel=1e-5)


@pytest.mark.parametrize("rows", [400, 5])
def test_frechet_distance_equals_the_matrix_root(rows: int) -> None:
    mix = noise(6, 6, seed=3)
    first, second = noise(400, 6), noise(rows, 6, seed=1) @ mix + 0.1
    means = first.double().mean(0) - second.double().mean(0)
    covariances = [np.cov(rows.double().numpy().T) for rows in (first, second)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    expected = means.square().sum().item() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(first, second).item() == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_frechet_distance_needs_two_rows() -> None:
    with pytest.raises(ValueError, match="at least two rows"):
        frechet_distance(noise(1, 4), noise(5, 4))


def test_pairwise_distances() -> None:
    first, second = noise(7, 40), noise(5, 40, seed=1)
    second[2] = first[4]
    distances = pairwise_distances(first, second)
    expected = (first[:, None].double() - second[None].double()).norm(dim=-1)
    assert torch.allclose(distances, expected)
    assert distances[4, 2] == 0


def test_mean_pairwise_distance() -> None:
    corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    assert mean_pairwise_distance(corners).item() == pytest.approx((3 + 4 + 5) / 3)
    assert mean_pairwise_distance(corners[:1].expand(4, 2)) == 0
    with pytest.raises(ValueError, match="at least two"):
        mean_pairwise_distance(corners[:1])
