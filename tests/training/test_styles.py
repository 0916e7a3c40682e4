"""Freq-MixStyle of sounds: whose colour a restyled sound has."""

import torch

from tests.toys import make_autoencoder
from woosh.training.styles import Styles, restyled_audio


def test_a_restyled_sound_has_its_partner_s_colour_and_its_own_course() -> None:
    """Low-pass and high-pass noise exchange their spectra; a share of one gives the sounds back."""
    model = make_autoencoder()
    torch.manual_seed(0)
    noise = torch.randn(2, 1, 9_600) * 0.05
    burst = (torch.arange(9_600) % 2_400 < 1_200).float() * 0.9 + 0.1
    low = torch.nn.functional.avg_pool1d(noise[:1], 9, 1, 4)
    high = noise[1:] - torch.nn.functional.avg_pool1d(noise[1:], 9, 1, 4)
    audio = torch.cat([low * burst, high])
    partner = torch.tensor([1, 0])
    same = restyled_audio(audio, Styles(torch.ones(2), partner), model.stft, model.istft)
    torch.testing.assert_close(same, audio[..., : same.shape[-1]], atol=1e-4, rtol=0)
    made = restyled_audio(audio, Styles(torch.zeros(2), partner), model.stft, model.istft)

    def log_spectrum(sound: torch.Tensor) -> torch.Tensor:
        return model.stft(sound).abs().clamp_min(1e-4).log()

    before, after = log_spectrum(audio), log_spectrum(made)
    means, wanted = after.mean(dim=2)[0], before.mean(dim=2)[1]
    apart = float((wanted - before.mean(dim=2)[0]).abs().mean())
    assert float((means - wanted).abs().mean()) < 0.1 * apart
    course = torch.stack([before[0].mean(dim=0), after[0].mean(dim=0)])
    assert float(torch.corrcoef(course)[0, 1]) > 0.9
