"""Long recordings in pieces: the same as in one, at any length."""

import numpy as np
import pytest
import torch

from tests.toys import make_autoencoder, randomise
from woosh.autoencoder.reconstruction import context_frames, reconstruct


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
