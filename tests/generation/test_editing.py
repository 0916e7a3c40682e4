"""Sampling around what is known, and on a circle."""

import pytest
import torch

from tests.toys import CHANNELS, make_autoencoder, make_mel_autoencoder, make_pipeline
from woosh.generation.editing import Known, new_frames, sample_around
from woosh.generation.request import DEFAULT_SOLVER, Request
from woosh.generation.sampling import Sampler

FRAMES = 41
REQUEST = Request("rain", seconds=0.4, seed=3)


@pytest.fixture(scope="module", params=[False, True], ids=["flow", "few steps"])
def sampler(request: pytest.FixtureRequest) -> Sampler:
    return make_pipeline(flow_map=request.param, max_frames=100).sampler


def latents(count: int = 2) -> torch.Tensor:
    return torch.randn(count, CHANNELS, FRAMES, generator=torch.Generator().manual_seed(1))


def test_what_is_known_is_kept_and_the_rest_is_drawn(sampler: Sampler) -> None:
    """Frames that are not new come back as they were; a change of what is known changes what is drawn."""
    new = torch.zeros(FRAMES)
    new[15:25] = 1
    known = Known(latents(), new)
    drawn = sample_around(sampler, REQUEST, known)
    assert drawn[..., new == 0].equal(known.latents[..., new == 0])
    assert not torch.isclose(drawn[..., new == 1], known.latents[..., new == 1]).any()
    other = sample_around(sampler, REQUEST, Known(known.latents.flip(2), new))
    assert not other[..., 15:25].equal(drawn[..., 15:25])


def test_alike_stays_alike_and_a_seed_repeats(sampler: Sampler) -> None:
    """Two equal channels are made equal, bit for bit."""
    twice = Known(latents(1).repeat(2, 1, 1), torch.ones(FRAMES))
    first, second = sample_around(sampler, REQUEST, twice, 0.5)
    assert first.equal(second)
    assert first.equal(
        sample_around(sampler, REQUEST, Known(latents(1), torch.ones(FRAMES)), 0.5)[0]
    )
    assert sample_around(sampler, REQUEST, twice, 0.0).equal(twice.latents)


def test_a_request_without_a_seed_is_refused(sampler: Sampler) -> None:
    with pytest.raises(ValueError, match="give the request a seed"):
        sample_around(sampler, Request("rain", seconds=0.4), Known(latents(), torch.ones(FRAMES)))


def test_every_frame_that_hears_a_sample_is_new() -> None:
    """A change of the samples changes the latents of new frames alone, with either autoencoder."""
    sound = 0.1 * torch.randn(1, 1, 48_000, generator=torch.Generator().manual_seed(0))
    changed = sound.clone()
    changed[..., 20_011:26_007] *= -3
    for autoencoder in (make_autoencoder(), make_mel_autoencoder()):
        if autoencoder.latent_rate == 100:  # the spectra of which the latents are made
            encoded = [autoencoder.stft(one).abs() for one in (sound, changed)]
        else:
            encoded = [autoencoder.encode(one) for one in (sound, changed)]
        moved = ~torch.isclose(encoded[0], encoded[1], atol=1e-5).all(dim=1)[0]
        new = new_frames(autoencoder, len(moved), 20_011, 26_007)
        assert (new[moved] == 1).all()
        assert new.min() == 0 and ((new > 0) & (new < 1)).sum() >= 4
        assert (new == 1).sum() <= moved.sum() + 2


def test_a_circle_has_no_place_where_it_begins(sampler: Sampler) -> None:
    """Rolled noise gives rolled latents where the windows are rolled too: by half, of two windows."""
    renoise = [0.0] * sampler.steps if sampler.few_step else None  # new noise is not rolled
    solver = DEFAULT_SOLVER if sampler.few_step else "euler"  # the former velocity is not rolled
    request = Request("rain", seconds=0.4, seed=3, renoise=renoise, solver=solver)
    circle = sampler.latents(request, circular=True)
    assert circle.shape == (1, CHANNELS, 40)

    def roll(_step: int, _time: float, latents: torch.Tensor) -> torch.Tensor | None:
        return latents.roll(20, -1)

    rolled = sampler.latents(request, roll, circular=True)
    torch.testing.assert_close(rolled.roll(-20 * sampler.steps, -1), circle, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("seconds", [0.02, 0.4, 1.0, 2.5])
def test_circles_of_every_length(sampler: Sampler, seconds: float) -> None:
    """Also of two frames, and longer than the network makes at a time."""
    made = sampler.latents(Request("rain", seconds=seconds, seed=1), circular=True)
    assert made.shape[2] == round(seconds * 100) and made.isfinite().all()


def test_a_video_for_a_circle_is_refused() -> None:
    sampler = make_pipeline(video_channels=8).sampler
    with pytest.raises(ValueError, match="a video does not go around"):
        sampler.latents(Request("", seconds=1, video=torch.zeros(24, 8)), circular=True)
