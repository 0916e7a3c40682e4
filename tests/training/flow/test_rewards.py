"""Latents are heard nearly as the audio that they stand for."""

import pytest
import torch

from tests.toys import make_clap, make_mel_autoencoder
from woosh.audio import resample
from woosh.autoencoder import WooshMelAutoencoder
from woosh.autoencoder.mel import powers
from woosh.taggers import AudioTagger
from woosh.taggers.log_mel import LOG_FLOOR, LogMel
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.tagger import FrontEnd
from woosh.training.flow.rewards import LatentListener, advantages, gathering_of, likeness


def make_tagger(hop_length: int = 320) -> AudioTagger:
    torch.manual_seed(0)
    labels = tuple(f"label {number}" for number in range(7))
    return AudioTagger(MobileNet(0.1, classes=7), labels, FrontEnd(hop_length)).eval()


@pytest.mark.parametrize("colour", [0.0, 0.9])
def test_gathered_powers_are_those_of_the_front_end(colour: float) -> None:
    """White noise and noise that falls with frequency: every band within a decibel on average over two seconds."""
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(1, 1, 96_015, generator=generator)
    fading = colour ** torch.arange(16.0).flip(0)
    noise = torch.nn.functional.conv1d(noise, fading[None, None])[0]  # (1, 96000)
    autoencoder, front = WooshMelAutoencoder(detail_layers=1), LogMel()
    power = powers(autoencoder.levels(noise[None]))[0]  # (bands, T)
    gathered = torch.log(gathering_of(autoencoder, front) @ power + LOG_FLOOR)[:, 4:-4].mean(dim=1)
    audio = torch.from_numpy(resample(noise.numpy(), 48_000, 32_000))
    heard = front.log_energies(audio, front.filters)[0][:, 4:-4].mean(dim=1)
    # The lowest bands lie between the bins of both transforms, the highest at the edge of the resampling.
    difference = (gathered - heard)[8:-2]
    assert difference.abs().max() < 0.5 and difference.mean().abs() < 0.1


def test_the_listener_gives_probabilities_and_unit_embeddings_for_each_sound() -> None:
    listener = LatentListener(make_mel_autoencoder(), make_tagger(), make_clap(), doubt=0.1)
    latents = torch.randn(3, 8, 30, generator=torch.Generator().manual_seed(1))
    heard = listener(latents)
    assert heard.probabilities.shape == (3, 7) and heard.embeddings.shape == (3, 24)
    assert ((heard.probabilities > 0) & (heard.probabilities < 1)).all()
    torch.testing.assert_close(heard.embeddings.norm(dim=1), torch.ones(3))
    alone = listener(latents[1:2])
    torch.testing.assert_close(alone.embeddings[0], heard.embeddings[1], atol=1e-5, rtol=1e-4)
    assert not any(value.requires_grad for value in listener.parameters())


def test_listeners_with_other_frames_are_refused() -> None:
    tagger = make_tagger(hop_length=640)
    with pytest.raises(ValueError, match="frames of 0.0100 s"):
        LatentListener(make_mel_autoencoder(), tagger, make_clap(), doubt=0.0)


def test_likeness_counts_the_labels_that_are_heard_more_than_usual() -> None:
    usual = torch.tensor([0.5, 0.1, 0.1])
    recorded = torch.tensor([[0.5, 0.8, 0.05]])  # the second label alone says what it is
    heard = torch.tensor([[[0.5, 0.8, 0.9], [0.9, 0.2, 0.05]]])
    alike, clear = likeness(heard, recorded, usual)
    assert alike[0].tolist() == pytest.approx([-0.222, -1.604], abs=2e-3)
    assert clear.item() == pytest.approx(0.8 * torch.tensor(8.0).log().item())


def test_advantages_are_differences_within_a_prompt() -> None:
    easy_and_hard = torch.tensor([[1.0, 2.0, 3.0], [-90.0, -90.0, -90.0]])
    other = torch.tensor([[0.0, 0.0, 0.0], [0.3, 0.2, 0.1]])
    gain = advantages([easy_and_hard, other], [2.0, 1.0])
    torch.testing.assert_close(gain.sum(dim=1), torch.zeros(2))
    assert gain[0].tolist() == pytest.approx([-(12**0.5), 0.0, 12**0.5])
    assert gain[1].tolist() == pytest.approx([3**0.5, 0.0, -(3**0.5)], rel=1e-4)
