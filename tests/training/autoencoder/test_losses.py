"""Losses of the autoencoder against closed forms."""

import math

import pytest
import torch

from woosh.autoencoder.network import Spectrum
from woosh.training.autoencoder.losses import (
    complex_loss,
    log10_mel,
    magnitude_loss,
    multiscale_mel_loss,
    phase_loss,
)


def spectrum(values: torch.Tensor) -> Spectrum:
    magnitude = values.abs()
    return Spectrum(magnitude, values.real / magnitude, values.imag / magnitude)


@pytest.fixture
def target() -> torch.Tensor:
    return torch.randn(2, 5, 7, dtype=torch.complex64)


def test_a_perfect_estimate_costs_nothing(target: torch.Tensor) -> None:
    estimate = spectrum(target)
    assert magnitude_loss(target, estimate) < 1e-6
    assert phase_loss(target, estimate) < 1e-6
    assert complex_loss(target, estimate) < 1e-3


def test_a_gain_costs_its_logarithm_and_no_phase(target: torch.Tensor) -> None:
    estimate = spectrum(10 * target)
    assert math.isclose(magnitude_loss(target, estimate), 1.0, abs_tol=1e-5)
    assert phase_loss(target, estimate) < 1e-6
    assert math.isclose(complex_loss(target, estimate), 9.0, rel_tol=1e-3)


@pytest.mark.parametrize(
    ("angle", "cost"), [(math.pi, 2.0), (math.pi / 2, 1.0), (math.pi / 3, 0.5)]
)
def test_a_rotation_costs_its_cosine(target: torch.Tensor, angle: float, cost: float) -> None:
    turned = target * complex(math.cos(angle), math.sin(angle))
    assert math.isclose(phase_loss(target, spectrum(turned)), cost, abs_tol=1e-5)
    assert magnitude_loss(target, spectrum(turned)) < 1e-5


def test_loud_bins_decide_the_phase_loss() -> None:
    target = torch.tensor([[[100.0 + 0j, 0.01 + 0j]]])
    wrong_quiet = spectrum(torch.tensor([[[100.0 + 0j, -0.01 + 0j]]]))
    wrong_loud = spectrum(torch.tensor([[[-100.0 + 0j, 0.01 + 0j]]]))
    assert phase_loss(target, wrong_quiet) < 0.01 < 1.9 < phase_loss(target, wrong_loud)


def test_log_mel_rises_with_the_tone() -> None:
    seconds = torch.arange(48_000) / 48_000
    peaks = [
        log10_mel(torch.sin(2 * math.pi * hertz * seconds)[None], 48_000, 2048, 128)
        .mean(2)
        .argmax()
        for hertz in (200, 1000, 5000, 15_000)
    ]
    assert peaks == sorted(peaks) and len(set(map(int, peaks))) == 4


def test_a_gain_costs_its_logarithm_in_every_mel_scale() -> None:
    audio = torch.randn(1, 1, 9600)
    loss = multiscale_mel_loss(audio, 0.1 * audio, 48_000, (512, 2048), (40, 80))
    assert math.isclose(loss, 2.0, rel_tol=1e-3)


def test_mel_loss_of_silence_has_finite_gradient() -> None:
    estimate = torch.zeros(1, 1, 9600, requires_grad=True)
    multiscale_mel_loss(torch.randn(1, 1, 9600), estimate, 48_000).backward()
    assert estimate.grad is not None and estimate.grad.isfinite().all()
