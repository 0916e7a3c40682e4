"""Sets of takes: what is drawn again, how often, and what a user may rely on."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
import torch

from tests.sounds import sound
from woosh.catalogue import FEW_STEP_MODEL, find_model
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.metrics.takes import take_distance, take_spectrum
from woosh.procedural import generate
from woosh.studio.seeds import REDRAWS, take_seeds
from woosh.studio.spacing import (
    COMPARED,
    LEAST_DISTANCE,
    LEAST_OF_STEADY,
    Spacing,
    least_distance,
)
from woosh.studio.takes import Take
from woosh.studio.variations import draw_variation, spacing_of

RATE = 48_000
SIMILARITY = 0.7
FIRST_SEED = 1


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return load_sampler(find_model(FEW_STEP_MODEL))


@pytest.fixture(scope="module")
def rain() -> np.ndarray:
    """Half a second of a sound whose variations are near."""
    return generate(seed=3, family="rain").audio[None, : RATE // 2]


class Draws:
    """Takes of given sounds, counted as they are drawn."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *sounds: np.ndarray) -> Iterator[Take]:
        for seed, one in enumerate(sounds):
            self.count += 1
            yield Take(one, seed)


def between(first: np.ndarray, second: np.ndarray) -> float:
    one, other = (take_spectrum(torch.from_numpy(take[0]), RATE) for take in (first, second))
    return take_distance(one, other, RATE)


def request_for(own: np.ndarray, seed: int) -> Request:
    return Request("", seconds=own.shape[1] / RATE, seed=seed)


def make_set(sampler: Sampler, own: np.ndarray, count: int, spacing: Spacing | None) -> list[Take]:
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    requests = [request_for(own, seed) for seed in seeds]
    return [
        draw_variation(sampler, own, request, SIMILARITY, spacing=spacing) for request in requests
    ]


def nearest(takes: list[Take]) -> float:
    return min(between(one.sound, other.sound) for one, other in combinations(takes, 2))


def test_what_is_far_enough_is_drawn_once() -> None:
    draws, spacing = Draws(), Spacing(RATE, LEAST_DISTANCE)
    first, second, other = sound(1), sound(2), sound(3)
    assert between(first, second) > LEAST_DISTANCE
    assert spacing.keep(draws(first, other)).sound is first
    assert spacing.keep(draws(second, other)).sound is second
    assert (draws.count, spacing.redrawn, spacing.near) == (2, 0, 0)


def test_what_is_too_near_is_drawn_again() -> None:
    """Until one is far enough; the others are not drawn any more."""
    draws, spacing = Draws(), Spacing(RATE, LEAST_DISTANCE)
    spacing.keep(draws(sound(1)))
    assert spacing.keep(draws(0.5 * sound(1), sound(2), sound(3))).seed == 1
    assert (draws.count, spacing.redrawn, spacing.near) == (3, 1, 0)


def test_where_none_is_far_enough_the_farthest_is_kept_and_counted() -> None:
    own, draws, spacing = sound(1), Draws(), Spacing(RATE, LEAST_DISTANCE)
    rough = own + 0.001 * np.random.default_rng(0).standard_normal(own.shape).astype(np.float32)
    assert 0 < between(own, rough) < LEAST_DISTANCE
    spacing.keep(draws(own))
    assert spacing.keep(draws(own, rough, own)).sound is rough
    assert (spacing.redrawn, spacing.near) == (2, 1)


def test_no_more_is_drawn_again_than_there_are_takes() -> None:
    """A set of which all takes are alike costs twice as much as one without this, whatever its size."""
    for count in (2, 5, 9):
        draws, spacing = Draws(), Spacing(RATE, LEAST_DISTANCE)
        for _ in range(count):
            spacing.keep(draws(*[sound(1)] * (REDRAWS + 1)))
        assert draws.count == count + spacing.redrawn <= 2 * count
        assert spacing.near == count - 1


def test_a_take_is_compared_with_those_shortly_before_it() -> None:
    """The cost of a set of thousands grows with its size alone."""
    spacing, draws = Spacing(RATE, LEAST_DISTANCE), Draws()
    first, other = sound(0, 0.1), sound(1, 0.1)
    assert between(first, other) > LEAST_DISTANCE
    for one in [first, *[other] * COMPARED, first]:
        spacing.keep(draws(one))
    assert spacing.near == COMPARED - 1  # not the copy of the first, which 31 others lie between


def test_a_set_of_variations_is_apart_where_its_first_seeds_are_not(
    sampler: Sampler, rain: np.ndarray
) -> None:
    """The promise of the command, with a model and a sound where it takes further draws."""
    spacing = spacing_of(rain, SIMILARITY, RATE)
    assert spacing is not None
    assert nearest(make_set(sampler, rain, 4, None)) < spacing.least
    takes = make_set(sampler, rain, 4, spacing)
    assert nearest(takes) >= spacing.least
    assert spacing.near == 0 and 0 < spacing.redrawn <= 4
    for place, take in enumerate(takes):
        assert take.seed in take_seeds(FIRST_SEED + place)
        alone = draw_variation(sampler, rain, request_for(rain, take.seed), SIMILARITY)
        assert alone.seed == take.seed and np.array_equal(alone.sound, take.sound)


def test_the_same_seed_makes_the_same_set_and_a_larger_one_begins_with_it(
    sampler: Sampler, rain: np.ndarray
) -> None:
    smaller, larger = (
        [take.seed for take in make_set(sampler, rain, count, Spacing(RATE, LEAST_DISTANCE))]
        for count in (3, 4)
    )
    assert larger[:3] == smaller != list(range(FIRST_SEED, FIRST_SEED + 3))


def test_near_variations_are_left_alone_where_they_are_asked_for() -> None:
    own = sound(1)
    assert spacing_of(own, 0.71, RATE) is None and spacing_of(own, 0.9, RATE) is None
    for similarity in (0.7, 0):
        spacing = spacing_of(own, similarity, RATE)
        assert spacing is not None and spacing.least == LEAST_DISTANCE


def test_of_steady_sounds_less_is_asked_for() -> None:
    """Two stretches of noise are near, whoever recorded them; of a sound that repeats exactly not everything goes."""
    noise = np.random.default_rng(0).standard_normal((2, 3 * RATE)).astype(np.float32)
    assert LEAST_OF_STEADY <= least_distance(noise, RATE) < LEAST_DISTANCE
    assert least_distance(np.tile(sound(1), 2), RATE) == LEAST_OF_STEADY
    fading = sound(1) * np.linspace(1, 0, RATE // 2, dtype=np.float32) ** 4
    assert least_distance(fading, RATE) == LEAST_DISTANCE
    click = np.pad(np.ones((1, 5), np.float32), ((0, 0), (0, RATE)))
    assert least_distance(click, RATE) == LEAST_DISTANCE
    assert LEAST_OF_STEADY <= least_distance(click[:, :1], RATE) <= LEAST_DISTANCE
