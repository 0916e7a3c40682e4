"""Starting from a sound: its two ends, the way between them, and the latents that it starts from."""

import numpy as np
import pytest
import torch

from tests.toys import CHANNELS, make_autoencoder, make_mel_autoencoder, make_pipeline
from woosh.autoencoder import Autoencoder
from woosh.generation.flow import interpolate
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.generation.solvers import draw_noise, uniform_times
from woosh.generation.starting import Start, encode_sound

SECONDS = 0.2
FRAMES = 21
PAIR = Request(prompt=["a dog", "rain"], seconds=SECONDS, seed=3)


@pytest.fixture(scope="module", params=[False, True], ids=["flow", "few steps"])
def sampler(request: pytest.FixtureRequest) -> Sampler:
    return make_pipeline(flow_map=request.param).sampler


def latents(count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, CHANNELS, FRAMES, generator=generator)


def test_strength_0_is_the_sound_and_1_is_generation_from_noise(sampler: Sampler) -> None:
    """Both ends of the dial are exact: nothing is drawn at 0, and nothing of the sound is left at 1."""
    assert sampler.latents(PAIR, start=Start(latents(), 0)).equal(latents())
    assert sampler.latents(PAIR, start=Start(latents(), 1)).equal(sampler.latents(PAIR))


def test_the_nearer_to_0_the_nearer_to_the_sound(sampler: Sampler) -> None:
    """Less noise keeps more of the sound."""
    made = [sampler.latents(PAIR, start=Start(latents(), s)) for s in (0.05, 0.3, 0.6, 1)]
    away = [(one - latents()).square().mean().item() for one in made]
    assert away == sorted(away) and away[0] > 0


def test_only_the_times_below_the_strength_are_left(sampler: Sampler) -> None:
    """A start takes as many steps as its share of the way, from exactly its own noise level."""
    reached = []

    def keep(_step: int, time: float, _latents: torch.Tensor) -> None:
        reached.append(time)

    request = Request(prompt="a dog", seconds=SECONDS, seed=3, steps=4)
    sampler.latents(request, keep, Start(latents(1), 0.6))
    assert reached == [0.5, 0.25, 0]


def test_the_start_has_the_noise_of_its_strength() -> None:
    """The same point of the straight path that a network was trained on, with the noise of the seed."""
    noise = draw_noise(latents(), [torch.Generator().manual_seed(seed) for seed in (3, 4)])
    expected = interpolate(latents(), noise, torch.tensor([0.4, 0.4]))
    start = Start(latents(), 0.4)
    assert start.noisy(noise).equal(expected)
    assert start.times(uniform_times(4)).tolist() == pytest.approx([0.4, 0.25, 0])
    assert start.renoise((0.0, 0.5, 0.5, 0.3), 2) == (0.0, 0.3)


def test_a_sound_of_a_request_does_not_depend_on_the_others(sampler: Sampler) -> None:
    """A seed makes the same variation alone and in a batch."""
    both = sampler.latents(PAIR, start=Start(latents(), 0.5))
    second = Request(prompt="rain", seconds=SECONDS, seed=4)
    assert both[1:].equal(sampler.latents(second, start=Start(latents()[1:], 0.5)))


@pytest.mark.parametrize("autoencoder", [make_autoencoder(), make_mel_autoencoder()])
@pytest.mark.parametrize("samples", [1, 100, 479, 480, 481, 1920, 9600, 9601])
def test_latents_of_a_sound_fit_the_request_for_its_length(
    autoencoder: Autoencoder, samples: int
) -> None:
    """Every length gives as many frames as generation makes for it."""
    sound = np.sin(np.arange(samples, dtype=np.float32))[None]
    hop = autoencoder.config.hop_length
    assert encode_sound(autoencoder, sound).shape == (1, CHANNELS, 1 - (-samples // hop))


def test_what_cannot_be_a_start_is_refused(sampler: Sampler) -> None:
    """A start of another length or strength is an error that says so, never a sound."""
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="strength must be from 0 to 1"):
            Start(latents(), strength)
    with pytest.raises(ValueError, match=r"latents \(2, 8, 21\), the start has \(1, 8, 21\)"):
        sampler.latents(PAIR, start=Start(latents(1), 0.5))
    with pytest.raises(ValueError, match="takes 1 channels, the sound has 2"):
        encode_sound(make_autoencoder(), np.zeros((2, 9600), np.float32))
    if not sampler.few_step:
        adaptive = Request(prompt=["a dog", "rain"], seconds=SECONDS, solver="dopri5")
        with pytest.raises(ValueError, match="dopri5 starts from noise"):
            sampler.latents(adaptive, start=Start(latents(), 0.5))
