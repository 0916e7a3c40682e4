"""Properties of the distances, against closed forms and independent implementations."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import stft

from tests.metrics.signals import noise
from woosh.audio.spectra import magnitudes, mel_filters
from woosh.metrics.reconstruction import (
    loudness_error,
    mel_distance,
    multi_resolution_stft_distance,
    scale_peak,
    si_sdr,
    stft_distance,
)


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


@pytest.mark.parametrize(
    "distance",
    [mel_distance, stft_distance, si_sdr, multi_resolution_stft_distance, loudness_error],
)
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
    assert multi_resolution_stft_distance(audio, audio / 2).isfinite()
    assert loudness_error(audio, audio / 2).isfinite()


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


def test_si_sdr_equals_torchmetrics() -> None:
    functional = pytest.importorskip("torchmetrics.functional.audio", reason="it is not installed")
    reference, estimate = noise(3, 4800).double(), noise(3, 4800, seed=1).double()
    estimate = reference + torch.tensor([0.01, 0.3, 5.0])[:, None] * estimate + 0.1
    theirs = functional.scale_invariant_signal_distortion_ratio(estimate, reference, zero_mean=True)
    assert torch.allclose(si_sdr(reference, estimate), theirs, atol=1e-6)


def test_spectral_distances_equal_torchmetrics_mean_absolute_error() -> None:
    functional = pytest.importorskip("torchmetrics.functional", reason="it is not installed")
    reference, estimate = noise(9600), noise(9600, seed=1)
    spectra = [
        torch.stft(audio, 512, 128, window=torch.hann_window(512), return_complex=True)
        for audio in (reference, estimate)
    ]
    logs = [spectrum.abs().clamp(min=1e-5).log10().flatten() for spectrum in spectra]
    theirs = functional.mean_absolute_error(logs[1], logs[0]).item()
    assert stft_distance(reference, estimate).item() == pytest.approx(theirs, rel=1e-6)


def short_window_magnitudes(audio: np.ndarray, n_fft: int, length: int, hop: int) -> np.ndarray:
    """Frames cut one by one, windowed in the middle of the transform."""
    window = np.zeros(n_fft)
    start = (n_fft - length) // 2
    window[start : start + length] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    padded = np.pad(audio, n_fft // 2, mode="reflect")
    frames = [padded[at : at + n_fft] * window for at in range(0, len(audio) + 1, hop)]
    return np.abs(np.fft.rfft(np.stack(frames), axis=1))


def test_multi_resolution_stft_distance_equals_an_independent_writing() -> None:
    reference, estimate = noise(9600), 0.5 * noise(9600, seed=1)
    expected = []
    for resolution in ((512, 240, 50), (1024, 600, 120), (2048, 1200, 240)):
        wanted, found = (
            np.maximum(short_window_magnitudes(audio.double().numpy(), *resolution), 1e-5)
            for audio in (reference, estimate)
        )
        convergence = np.sqrt(np.square(wanted - found).sum() / np.square(wanted).sum())
        expected.append(convergence + np.abs(np.log(wanted / found)).mean())
    result = multi_resolution_stft_distance(reference, estimate).item()
    assert result == pytest.approx(np.mean(expected), rel=1e-4)


def test_multi_resolution_stft_distance_of_a_gain() -> None:
    audio = noise(2, 1, 9600)
    assert multi_resolution_stft_distance(audio, audio).abs().max() == 0
    halved = multi_resolution_stft_distance(audio, audio / 2)
    assert torch.allclose(halved, torch.full((2, 1), 0.5 + math.log(2)), atol=1e-3)
    assert multi_resolution_stft_distance(torch.zeros(4800), noise(4800)).isnan()


@pytest.mark.parametrize("samples", [240, 9600, 48_000])
def test_loudness_error_of_a_gain_is_its_decibels(samples: int) -> None:
    audio = noise(2, 1, samples)
    quieter = audio * 10 ** (-6 / 20)
    assert loudness_error(audio, audio).abs().max() == 0
    assert torch.allclose(
        loudness_error(audio, quieter), torch.full((2, 1), 6.0).double(), atol=0.01
    )
    assert torch.equal(loudness_error(quieter, audio), loudness_error(audio, quieter))


def test_loudness_error_of_what_is_not_heard() -> None:
    audio = noise(24_000)
    silence = torch.zeros(24_000)
    missed = loudness_error(audio, silence).item()
    assert missed == pytest.approx(loudness_error(audio, 1e-6 * audio).item())
    assert 40 < missed < 70  # from about -15 LUFS down to the gate at -70
    assert loudness_error(silence, audio).isnan()
    assert loudness_error(1e-6 * audio, audio).isnan()
