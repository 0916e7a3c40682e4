"""The built-in model that generates by default: its size, and what its autoencoder makes of silence."""

import pytest
import torch
from torch import Tensor

from woosh.autoencoder import WooshMelAutoencoder, load_autoencoder
from woosh.catalogue import BUILT_IN, DEFAULT_MODEL, describe_model

FOLDER = BUILT_IN / "woosh-small"
RATE = 48_000


@pytest.fixture(scope="module")
def autoencoder() -> WooshMelAutoencoder:
    return load_autoencoder(FOLDER / "autoencoder", torch.float32).eval()


def level(audio: Tensor) -> float:
    """In dB of full scale."""
    return float(20 * (audio.square().mean().sqrt() + 1e-12).log10())


def test_it_is_the_default_and_fits_into_27_megabytes() -> None:
    info = describe_model(FOLDER)
    assert info.name == DEFAULT_MODEL and info.size <= 27_000_000
    assert info.longest >= 10 and info.told_length and info.licence == "cc-by-4.0"
    assert not info.few_step and info.parts_of == "woosh-tiny"


@pytest.mark.parametrize("doubt", [0.0, 0.07], ids=["reconstructed", "generated"])
def test_silence_is_silence(autoencoder: WooshMelAutoencoder, doubt: float) -> None:
    """Below -90 dB, also before and after a burst, which starts when it should; without a constant part."""
    audio = torch.zeros(1, 1, 3 * RATE)
    burst = slice(RATE, RATE + RATE // 4)
    noise = torch.randn(1, 1, RATE // 4, generator=torch.Generator().manual_seed(0))
    audio[..., burst] = 0.3 * noise
    with torch.no_grad():
        silent, sound = (
            autoencoder.decode(autoencoder.encode(clip), doubt)
            for clip in (torch.zeros_like(audio), audio)
        )
    assert level(silent) < -90
    margin = RATE // 50
    assert level(sound[..., : burst.start - margin]) < -90
    assert level(sound[..., burst.stop + margin :]) < -90
    assert abs(level(sound[..., burst]) - level(audio[..., burst])) < 3
    assert sound.mean().abs() < 1e-3


@pytest.mark.parametrize("decibels", [-60, -80])
def test_quiet_noise_keeps_its_level(autoencoder: WooshMelAutoencoder, decibels: int) -> None:
    noise = torch.randn(1, 1, RATE, generator=torch.Generator().manual_seed(1))
    noise *= 10 ** (decibels / 20)
    with torch.no_grad():
        assert level(autoencoder(noise)) == pytest.approx(decibels, abs=1.5)
