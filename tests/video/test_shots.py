"""Cuts between shots: found where they are, however the film is read, and not where something only moves or flickers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from woosh.scenes import FAMILIES, generate_scene
from woosh.video.shots import cuts, split_at_cuts


def scene(seed: int, length: int) -> Tensor:
    """The first pictures of a rendered scene."""
    family = FAMILIES[seed % len(FAMILIES)]
    clip = generate_scene(930_000_000 + seed, family, 2.0, 64, with_audio=False)
    return torch.from_numpy(clip.frames[:length]).permute(0, 3, 1, 2)


SHOTS = [scene(0, 9), 255 - scene(0, 24), scene(0, 1), 255 - scene(0, 30)]
BEGINNINGS = [9, 33, 34]


def test_cuts_are_found_where_they_are() -> None:
    assert (cuts(torch.cat(SHOTS)).nonzero().flatten() + 1).tolist() == BEGINNINGS


@given(st.lists(st.integers(1, 64), max_size=8))
def test_a_film_is_split_alike_however_it_is_read(bounds: list[int]) -> None:
    film = torch.cat(SHOTS)
    windows = film.tensor_split(sorted(bounds))  # some may be empty
    pieces = list(split_at_cuts(windows))
    assert torch.equal(torch.cat([piece for piece, _ in pieces]), film)
    ends = torch.tensor([len(piece) for piece, _ in pieces]).cumsum(0).tolist()
    starts = [0, *ends[:-1]]
    begun = [start for start, (_, begins) in zip(starts, pieces, strict=True) if begins]
    assert begun == BEGINNINGS


@pytest.mark.parametrize("seed", range(len(FAMILIES)))
def test_what_happens_in_a_scene_is_no_cut(seed: int) -> None:
    assert not cuts(scene(seed, 48)).any()


def test_changing_light_and_noise_are_no_cuts() -> None:
    picture = scene(2, 1).float()
    light = torch.linspace(0.2, 1.0, 5)[torch.tensor([0, 4, 1, 3, 0])]
    assert not cuts((picture * light[:, None, None, None]).to(torch.uint8)).any()
    noise = torch.randn(20, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert not cuts((picture + 30 * noise).clamp(0, 255).to(torch.uint8)).any()
    assert cuts(picture.to(torch.uint8)).shape == (0,)
