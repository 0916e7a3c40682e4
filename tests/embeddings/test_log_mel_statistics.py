"""Plain statistics of log-mel spectra: what they are relative to, and what they leave out."""

import torch

from tests.sounds import tone
from woosh.embeddings.log_mel_statistics import FLOOR, mel_decibels, relative, statistics


def spectrum(frames: int) -> torch.Tensor:
    random = torch.rand(1, 64, frames, generator=torch.Generator().manual_seed(0))
    return relative(FLOOR + 70 * random)[0]


def test_range_and_silence() -> None:
    sounds = torch.stack([tone(440), torch.zeros(48_000)])[:, None]
    decibels = mel_decibels(sounds, 48_000, 960, 64)
    assert decibels.shape == (2, 64, 51)
    assert decibels[0].max() == 0 and decibels[0].min() >= FLOOR
    assert (decibels[1] == FLOOR).all()


def test_gain_does_not_matter() -> None:
    noise = 0.1 * torch.randn(1, 1, 48_000, generator=torch.Generator().manual_seed(0))
    loud, quiet = (mel_decibels(gain * noise, 48_000, 960, 64) for gain in (1.0, 0.01))
    torch.testing.assert_close(loud, quiet, atol=1e-3, rtol=0)


def test_silence_around_an_event_says_nothing() -> None:
    event = spectrum(60)
    event[0] = 0.0
    filled = torch.nn.functional.pad(event, (0, 191), value=FLOOR)
    torch.testing.assert_close(statistics(filled), statistics(event), atol=1e-4, rtol=0)
    assert statistics(torch.full((64, 20), FLOOR)).isfinite().all()
