"""The mel autoencoder: levels, components and back, lengths, silence, equal bits, saving, refusals."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.toys import make_mel_autoencoder
from woosh.autoencoder import WooshAutoencoder, WooshMelAutoencoder, load_autoencoder
from woosh.autoencoder.mel import SILENCE, decades, drawing_times, fit_magnitudes, powers
from woosh.generation.transformer import WooshTransformer


def test_the_built_in_size() -> None:
    with torch.device("meta"):
        model = WooshMelAutoencoder()
    assert sum(value.numel() for value in model.parameters()) == 9_367_040
    assert model.latent_rate == 25.0 and model.generated_channels == 96


def test_channels_lose_nothing() -> None:
    model = make_mel_autoencoder().eval()
    levels = model.levels(torch.randn(2, 1, 9600))
    assert torch.allclose(model.levels_of(model.channels(levels)), levels, atol=1e-4)


def test_latents_are_the_first_channels() -> None:
    model, audio = make_mel_autoencoder().eval(), torch.randn(1, 1, 9600)
    latents = model.encode(audio)
    assert torch.equal(latents.transpose(1, 2), model.channels(model.levels(audio))[..., :8])
    assert torch.equal(latents, model.encode_generated(audio))


def test_a_tone_stands_in_its_band() -> None:
    model = make_mel_autoencoder().eval()
    seconds = torch.arange(48_000) / 48_000
    levels = model.levels(0.5 * torch.sin(2 * torch.pi * 3000 * seconds)[None, None])[0]
    centres = model.filters.argmax(dim=1) * 50.0  # Hz
    assert abs(float(centres[int(levels[:, 50].argmax())]) - 3000) < 1000


def test_silence_has_no_level_and_no_sound() -> None:
    model = make_mel_autoencoder().eval()
    assert not model.levels(torch.zeros(1, 1, 4800)).any()
    assert not powers(torch.tensor([0.0, -1.0])).any()


def test_decades_and_powers_undo_each_other() -> None:
    power = torch.tensor([0.0, SILENCE, 1e-3, 2.0, 1e4])
    assert torch.allclose(powers(decades(power)), power, rtol=1e-3, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(samples=st.integers(1921, 9000))
def test_lengths(samples: int) -> None:
    model = make_mel_autoencoder().eval()
    with torch.no_grad():
        latents = model.encode(torch.randn(1, 1, samples))
        assert latents.shape == (1, 8, 1 + samples // 1920)
        assert model.decode(latents).shape == (1, 1, samples // 1920 * 1920)


def test_given_channels_are_kept_and_the_others_drawn() -> None:
    model, latents = make_mel_autoencoder().eval(), torch.randn(1, 8, 40)
    with torch.no_grad():
        drawn = model.draw(latents)
        doubted = model.draw(latents, doubt=0.5)
    assert torch.allclose(drawn[..., :8], latents.transpose(1, 2), atol=1e-2)
    spread = drawn[..., 8:].std() / (model.deviations / model.units)[8:].square().mean().sqrt()
    assert 0.7 < spread < 1.3  # of an untrained network: the channels' own deviation
    assert 0.1 < (doubted[..., :8] - latents.transpose(1, 2)).std() < 0.7


def test_what_is_drawn_does_not_depend_on_what_follows() -> None:
    model, latents = make_mel_autoencoder().eval(), torch.randn(1, 8, 40)
    with torch.no_grad():
        whole, part = model.draw(latents), model.draw(latents[..., :30])
    reach = 3 * len(model.detail.blocks)  # tokens that the convolutions see on either side
    assert torch.allclose(whole[:, : 30 - reach], part[:, : 30 - reach], atol=1e-5)


def test_batch_equals_single_and_again_the_same() -> None:
    model, audio = make_mel_autoencoder().eval(), torch.randn(3, 1, 9600)
    with torch.no_grad():
        latents = model.encode(audio)
        together = model.draw(latents)
        alone = torch.cat([model.draw(clip[None]) for clip in latents])
        assert torch.equal(model.decode(latents[:1]), model.decode(latents[:1]))
    assert torch.allclose(together, alone, atol=1e-5)


def test_magnitudes_have_the_powers_that_they_were_fitted_to() -> None:
    filters = make_mel_autoencoder().filters
    true = torch.rand(1, filters.shape[1], 6) * (filters.sum(dim=0) > 0)[:, None]
    power = filters @ true.square()
    fitted = filters @ fit_magnitudes(power, filters).square()
    error = (fitted / power.clamp_min(1e-9) - 1)[:, filters.sum(dim=1) > 0].abs()
    assert error.max() < 0.1 and error.mean() < 1e-3


def test_drawing_times() -> None:
    assert drawing_times(4) == [1.0, 0.5625, 0.25, 0.0625, 0.0]


def test_saving_and_loading(tmp_path: Path) -> None:
    model, audio = make_mel_autoencoder().eval(), torch.randn(1, 1, 9600)
    model.save_pretrained(tmp_path)
    loaded = load_autoencoder(tmp_path)
    assert isinstance(loaded, WooshMelAutoencoder)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    with torch.no_grad():
        assert torch.equal(loaded.eval()(audio), model(audio))


def test_either_autoencoder_is_loaded_and_nothing_else(tmp_path: Path) -> None:
    sizes = {"width": 8, "inner_width": 8, "encoder_layers": 1, "decoder_layers": 1}
    WooshAutoencoder(latent_channels=4, **sizes).save_pretrained(tmp_path / "plain")
    assert isinstance(load_autoencoder(tmp_path / "plain"), WooshAutoencoder)
    other = {"heads": 2, "rotary_channels": 4, "joint_blocks": 1, "fused_blocks": 1}
    WooshTransformer(width=8, inner_width=8, text_width=8, **other).save_pretrained(
        tmp_path / "other"
    )
    with pytest.raises(ValueError, match="holds a WooshTransformer, not an autoencoder"):
        load_autoencoder(tmp_path / "other")
    with pytest.raises(FileNotFoundError, match="no WooshAutoencoder in"):
        load_autoencoder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"latent_channels": 0}, "latent_channels is 0: 4 frames of 128 bands have from 1 to 512"),
        ({"latent_channels": 513}, "latent_channels is 513"),
        ({"n_fft": 961}, "no spectrum"),
        ({"n_fft": 900}, "at least two frames long"),
        ({"hop_length": 1924}, "an even number of samples"),
    ],
)
def test_impossible_sizes(sizes: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        WooshMelAutoencoder(width=8, inner_width=8, detail_layers=1, **sizes)


@pytest.mark.parametrize("shape", [(1, 2, 4800), (1, 4800), (1, 1, 480)])
def test_audio_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="more than 480 samples"):
        make_mel_autoencoder().encode(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 9, 4), (8, 4), (1, 8, 1)])
def test_latents_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"latents must be \(batch, 8, frames\)"):
        make_mel_autoencoder().decode(torch.zeros(shape))


def test_it_computes_in_training_too() -> None:
    model = make_mel_autoencoder()
    nn.init.normal_(model.detail.contract.weight, std=0.1)
    model.draw(torch.randn(1, 8, 4)).square().mean().backward()
    assert model.detail.expand.weight.grad is not None
