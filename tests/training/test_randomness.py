"""Random numbers of a batch: each purpose has a stream of its own.

Pictures were once hidden by a generator seeded like the one that draws noise: the hidden frames followed from the first
clip's noise, with a correlation of .97.
"""

import itertools

import pytest
import torch

from woosh.training.flow.steps import TimeDistribution, draw_noise
from woosh.training.flow.video import VideoData, without_some
from woosh.training.randomness import batch_generator

PURPOSES = ("noise and times", "hidden pictures", "jumps", "spectrogram masks")
FIRMLY = 5  # standard deviations of a correlation by chance


def drawn(seed: int, number: int, purpose: str, count: int = 10_000) -> torch.Tensor:
    return torch.rand(count, generator=batch_generator(seed, number, purpose))


def correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(PURPOSES, 2)))
def test_streams_of_different_purposes_are_uncorrelated(first: str, second: str) -> None:
    for seed, number in ((0, 0), (0, 1), (7, 12_345)):
        chance = FIRMLY / 10_000**0.5
        assert abs(correlation(drawn(seed, number, first), drawn(seed, number, second))) < chance


def test_the_same_batch_gives_the_same_numbers_and_its_neighbours_others() -> None:
    assert drawn(3, 5, "noise and times").equal(drawn(3, 5, "noise and times"))
    for other in (drawn(3, 6, "noise and times"), drawn(4, 5, "noise and times")):
        assert abs(correlation(drawn(3, 5, "noise and times"), other)) < FIRMLY / 10_000**0.5


def test_seeds_and_numbers_do_not_run_into_each_other() -> None:
    """seed x 1,000,003 + number gave seed 1, batch 0 the numbers of seed 0, batch 1,000,003."""
    assert not drawn(1, 0, "jumps").equal(drawn(0, 1_000_003, "jumps"))


def test_what_is_hidden_of_a_video_does_not_follow_from_the_noise() -> None:
    clips, frames, batches = 4, 50, 40
    data = VideoData(None, None, frame_dropout=0.5, video_dropout=0.0)
    hidden, noise = [], []
    for number in range(batches):
        latents = torch.zeros(clips, 1, frames)
        noise.append(draw_noise(latents, TimeDistribution(0.0, 1.0), 0, number)[0].flatten())
        seen = without_some(torch.ones(clips, frames, 1), data, 0, number)
        hidden.append(1.0 - seen.flatten())
    chance = FIRMLY / (clips * frames * batches) ** 0.5
    assert abs(correlation(torch.cat(hidden), torch.cat(noise))) < chance
