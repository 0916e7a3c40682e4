"""Long recordings in pieces: the same as in one, at any length."""

import numpy as np
import pytest
import torch

from tests.toys import make_autoencoder, randomise
from woosh.autoencoder.network import WooshAutoencoder
from woosh.autoencoder.reconstruction import (
    context_frames,
    reconstruct,
    reconstruct_generated,
)


def test_pieces_join_as_if_the_whole_had_passed_at_once() -> None:
    autoencoder = randomise(make_autoencoder(), 1)
    audio = 0.3 * np.random.default_rng(0).standard_normal((2, 100_001)).astype(np.float32)
    whole = reconstruct(autoencoder, audio, chunk_seconds=10)
    pieces = reconstruct(autoencoder, audio, chunk_seconds=0.25)
    assert whole.shape == pieces.shape == audio.shape
    assert np.abs(whole - pieces).max() < 1e-5 * np.abs(whole).max()


def test_context_is_what_the_network_sees() -> None:
    autoencoder = randomise(make_autoencoder(), 1)
    context, hop = context_frames(autoencoder), autoencoder.config.hop_length
    audio = torch.randn(1, 1, 200 * hop)
    changed = audio.clone()
    changed[..., 100 * hop] += 1
    with torch.no_grad():
        difference = (autoencoder(audio) - autoencoder(changed)).abs()[0, 0]
    touched = difference.nonzero()
    assert touched.min() >= (100 - context) * hop
    assert touched.max() <= (100 + context) * hop


@pytest.mark.parametrize("samples", [1, 480, 481, 4799])
def test_any_length_comes_back(samples: int) -> None:
    autoencoder = randomise(make_autoencoder(), 1)
    assert reconstruct(autoencoder, np.ones((1, samples), np.float32)).shape == (1, samples)


@pytest.mark.parametrize("samples", [100, 30_011])
def test_generated_latents_alone_give_what_a_generator_s_would(samples: int) -> None:
    """Channel by channel, and never a trace of the other latents."""
    autoencoder = randomise(
        WooshAutoencoder(
            latent_channels=8, magnitude_channels=5, width=16, inner_width=24,
            encoder_layers=1, decoder_layers=1,
        ),
        1,
    )  # fmt: skip
    audio = 0.3 * np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32)
    found = reconstruct_generated(autoencoder, audio)
    assert found.shape == audio.shape
    for channel, sound in zip(found, audio, strict=True):
        missing = 480 * max(2, -(-samples // 480)) - samples
        filled = torch.nn.functional.pad(torch.from_numpy(sound), (0, missing))
        with torch.no_grad():
            latents = autoencoder.encode(filled[None, None])[:, :5]
            torch.testing.assert_close(
                torch.from_numpy(channel), autoencoder.decode(latents)[0, 0, :samples]
            )


def test_where_all_latents_are_generated_nothing_differs() -> None:
    autoencoder = randomise(make_autoencoder(), 1)
    audio = 0.3 * np.random.default_rng(0).standard_normal((1, 9_000)).astype(np.float32)
    assert np.array_equal(
        reconstruct_generated(autoencoder, audio), reconstruct(autoencoder, audio)
    )
