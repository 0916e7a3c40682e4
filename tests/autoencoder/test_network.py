"""The autoencoder: inverse STFT of STFT, lengths, saving, and gradients for every parameter."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toys import make_autoencoder, randomise
from woosh.autoencoder import network
from woosh.autoencoder.network import WooshAutoencoder, levels
from woosh.training.autoencoder.losses import complex_loss, magnitude_loss, phase_loss
from woosh.training.autoencoder.magnitudes import add_magnitude_channels


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


@pytest.mark.parametrize(("frames", "circular"), [(7, False), (60, False), (57, False), (60, True)])
def test_decoded_in_pieces_the_audio_is_that_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, frames: int, circular: bool
) -> None:
    """Within rounding, at every seam: a piece knows the frames beside it."""
    model = randomise(make_autoencoder(), 1)
    latents = torch.randn(2, 8, frames, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole = model.decode(latents, circular)
        monkeypatch.setattr(network, "PIECE", 7)
        pieces = model.decode(latents, circular)
    assert pieces.shape == whole.shape
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-6 * float(whole.abs().max()))


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


def make_magnitude_autoencoder() -> WooshAutoencoder:
    clips = 0.1 * torch.randn(3, 9600, generator=torch.Generator().manual_seed(1))
    return add_magnitude_channels(make_autoencoder(), 3, clips[:, None])


def test_magnitude_channels_are_the_principal_components_of_the_levels() -> None:
    mixing = torch.randn(481, 5, generator=torch.Generator().manual_seed(2))
    clips = torch.randn(4, 24_000, generator=torch.Generator().manual_seed(3))
    old = make_autoencoder()
    spectrum = torch.fft.rfft(clips)
    gains = torch.nn.functional.interpolate(0.3 * mixing.T[None, :4], spectrum.shape[1])[0]
    clips = torch.fft.irfft(spectrum * gains.exp())
    model = add_magnitude_channels(old, 6, clips[:, None])
    with torch.no_grad():
        frames = torch.cat([levels(old.stft(clip[None, None]))[0] for clip in clips], dim=1)
        latents = model.encode_generated(clips[:, None])  # (4, 6, T)
    flat = latents.transpose(0, 1).flatten(1)
    assert torch.allclose(torch.cov(flat), torch.eye(6), atol=1e-3)
    assert flat.mean(dim=1).abs().max() < 1e-3
    _, singular, directions = torch.linalg.svd(
        (frames - frames.mean(dim=1, keepdim=True)).T, full_matrices=False
    )
    weight = model.get_parameter("components.weight")[..., 0]
    cosine = torch.nn.functional.cosine_similarity(weight, directions[:6])
    assert torch.allclose(cosine.abs(), torch.ones(6), atol=1e-3)
    assert torch.allclose(
        weight.norm(dim=1) * singular[:6] / frames.shape[1] ** 0.5, torch.ones(6), rtol=1e-2
    )


def test_magnitude_channels_do_not_see_phases() -> None:
    model, audio = make_magnitude_autoencoder().eval(), torch.randn(1, 1, 9600)
    spectrum = model.stft(audio)
    turned = spectrum * torch.exp(1j * torch.randn(spectrum.shape))
    with torch.no_grad():
        latents, others = model.analyse(spectrum), model.analyse(turned)
    assert torch.allclose(latents[:, :3], others[:, :3], atol=1e-3)
    assert not torch.allclose(latents[:, 3:], others[:, 3:], atol=1e-2)


def test_magnitude_channels_are_decoded_alone() -> None:
    model, audio = make_magnitude_autoencoder().eval(), torch.randn(2, 1, 9600)
    model.latent_mean.fill_(0.5)
    model.latent_std.fill_(2.0)
    assert (model.generated_channels, make_autoencoder().generated_channels) == (3, 8)
    with torch.no_grad():
        latents = model.encode(audio)
        alone = model.decode(latents[:, :3])
        assert latents.shape == (2, 11, 21) and alone.shape == (2, 1, 9600)
        assert torch.allclose(model.encode_generated(audio), latents[:, :3], atol=1e-6)
        assert torch.equal(alone, model.decode(latents[:, :3]))
        single = torch.cat([model.spectrum(clip[None, :3]).magnitude for clip in latents])
        assert torch.allclose(single, model.spectrum(latents[:, :3]).magnitude, atol=1e-5)
        with pytest.raises(ValueError, match=r"\(batch, 3, frames\)"):
            model.decode(latents[:, :8])


def test_new_magnitude_channels_leave_the_others_as_they_are(tmp_path: Path) -> None:
    old, audio = make_autoencoder().eval(), torch.randn(1, 1, 9600)
    old.latent_std.fill_(2.0)
    new = add_magnitude_channels(old, 3, torch.randn(2, 1, 4800)).eval()
    new.save_pretrained(tmp_path)
    again = WooshAutoencoder.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(new.encode(audio)[:, 3:], old.encode(audio))
        assert torch.equal(new.encode(audio), again.encode(audio))
        assert torch.allclose(new(audio), old(audio), atol=1e-5)
        assert torch.equal(old.encode_generated(audio), old.encode(audio))
    with pytest.raises(ValueError, match="3 magnitude channels already"):
        add_magnitude_channels(new, 2, [])


@pytest.mark.parametrize(("channels", "hop"), [(4, 480), (5, 480), (-1, 480), (2, 475)])
def test_impossible_magnitude_channels_are_refused(channels: int, hop: int) -> None:
    with pytest.raises(ValueError, match="magnitude channels need"):
        WooshAutoencoder(
            latent_channels=4,
            hop_length=hop,
            width=8,
            inner_width=12,
            encoder_layers=1,
            decoder_layers=1,
            magnitude_channels=channels,
        )


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


@pytest.mark.parametrize("exponent", [0.0, -1.0])
def test_magnitudes_keep_their_order(exponent: float) -> None:
    """All of them to the power of 0 are 1, and the way back divided by it."""
    with pytest.raises(ValueError, match=f"spectrum_exponent is {exponent}"):
        WooshAutoencoder(width=16, spectrum_exponent=exponent)


@pytest.mark.parametrize("shape", [(1, 4800), (1, 2, 4800), (1, 1, 480)])
def test_bad_audio_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(batch, 1, samples\)"):
        make_autoencoder().encode(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 7, 10), (8, 10), (1, 8, 1)])
def test_bad_latents_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(batch, 8, frames\)"):
        make_autoencoder().decode(torch.zeros(shape))
