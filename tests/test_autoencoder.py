"""The autoencoder: inverse STFT of STFT, lengths, saving, and gradients for every parameter."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toys import make_autoencoder
from woosh.autoencoder import WooshAutoencoder
from woosh.losses import complex_loss, magnitude_loss, phase_loss


def test_released_size() -> None:
    with torch.device("meta"):
        model = WooshAutoencoder()
    assert sum(value.numel() for value in model.parameters()) == 221_158_947


def test_inverse_stft_undoes_the_stft() -> None:
    audio = torch.randn(2, 1, 4800)
    model = make_autoencoder()
    assert torch.allclose(model.istft(model.stft(audio)), audio, atol=1e-5)


@settings(max_examples=20)
@given(samples=st.integers(481, 6000))
def test_lengths(samples: int) -> None:
    model = make_autoencoder()
    with torch.no_grad():
        latents = model.encode(torch.randn(1, 1, samples))
        assert latents.shape == (1, 8, 1 + samples // 480)
        assert model.decode(latents).shape == (1, 1, samples // 480 * 480)


def test_latents_are_normalised_by_the_buffers() -> None:
    model = make_autoencoder().eval()
    audio = torch.randn(2, 1, 9600)
    with torch.no_grad():
        raw = model.encode(audio)
        model.latent_mean.fill_(0.25)
        model.latent_std.fill_(2.0)
        normalised = model.encode(audio)
        assert torch.allclose(normalised, (raw - 0.25) / 2.0, atol=1e-6)
        decoded = model.decode(normalised)
        model.latent_mean.zero_()
        model.latent_std.fill_(1.0)
        assert torch.allclose(decoded, model.decode(raw), atol=1e-5)


def test_batch_equals_single() -> None:
    model, audio = make_autoencoder().eval(), torch.randn(3, 1, 9600)
    with torch.no_grad():
        together = model(audio)
        alone = torch.cat([model(clip[None]) for clip in audio])
    assert torch.allclose(together, alone, atol=1e-5)


def test_every_parameter_gets_a_gradient() -> None:
    model = make_autoencoder()
    target = model.stft(torch.randn(2, 1, 9600))
    estimate = model.synthesise(model.analyse(target))
    loss = magnitude_loss(target, estimate) + phase_loss(target, estimate)
    (loss + complex_loss(target, estimate)).backward()
    without = [name for name, value in model.named_parameters() if not value.grad.abs().sum() > 0]
    assert without == []


def test_phase_vectors_have_unit_length() -> None:
    model = make_autoencoder()
    with torch.no_grad():
        _, real, imaginary = model.synthesise(torch.randn(1, 8, 20))
    assert torch.allclose(real**2 + imaginary**2, torch.ones_like(real), atol=1e-4)


@pytest.mark.parametrize("exponent", [1.0, 0.5])
def test_save_and_load_give_the_same_bits(tmp_path: Path, exponent: float) -> None:
    model = WooshAutoencoder(
        latent_channels=4,
        width=8,
        inner_width=12,
        encoder_layers=1,
        decoder_layers=1,
        spectrum_exponent=exponent,
    ).eval()
    model.latent_std.fill_(3.0)
    model.save_pretrained(tmp_path)
    again = WooshAutoencoder.from_pretrained(tmp_path)
    audio = torch.randn(1, 1, 4800)
    with torch.no_grad():
        assert torch.equal(model(audio), again(audio))
    assert again.config.spectrum_exponent == exponent


def test_silence_gives_finite_numbers_and_gradients() -> None:
    model = WooshAutoencoder(
        latent_channels=4,
        width=8,
        inner_width=12,
        encoder_layers=1,
        decoder_layers=1,
        spectrum_exponent=0.5,
    )
    target = model.stft(torch.zeros(1, 1, 4800))
    estimate = model.synthesise(model.analyse(target))
    (magnitude_loss(target, estimate) + complex_loss(target, estimate)).backward()
    assert all(value.grad is None or value.grad.isfinite().all() for value in model.parameters())


@pytest.mark.parametrize("shape", [(1, 4800), (1, 2, 4800), (1, 1, 480)])
def test_bad_audio_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(batch, 1, samples\)"):
        make_autoencoder().encode(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 7, 10), (8, 10), (1, 8, 1)])
def test_bad_latents_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(batch, 8, frames\)"):
        make_autoencoder().decode(torch.zeros(shape))
