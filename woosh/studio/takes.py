"""Takes that hold a sound: where a model makes silence, another seed is tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from woosh.audio import is_silent
from woosh.generation.request import Request

if TYPE_CHECKING:
    import numpy as np

    from woosh.generation.sampling import Sampler
    from woosh.generation.starting import Start

REDRAWS = 3
SEED_STRIDE = 10_000  # to the next seed of a take: more than the takes of a batch, whose seeds follow each other


MOST_TAKES = SEED_STRIDE  # of a batch: with more, the seed of one would be another's next try
# Torch takes 63 bits. Take i uses seed + i, and other seeds where that gives silence.
LARGEST_SEED = 2**63 - 1 - MOST_TAKES - REDRAWS * SEED_STRIDE


class NoSoundError(RuntimeError):
    """Every seed of a take gave silence."""


@dataclass(frozen=True, eq=False)
class Take:
    """A sound as it was made, and the seed that it was made from.

    Attributes:
        sound: (C, S) float32.
        seed: of its noise.
        silent_seeds: that were tried before, and gave silence.
    """

    sound: np.ndarray
    seed: int
    silent_seeds: tuple[int, ...] = ()


def take_seeds(seed: int) -> list[int]:
    """The seeds of a take in the order in which they are tried: N, N + 10,000, N + 20,000, N + 30,000.

    Takes whose seeds are less than 10,000 apart never share one.
    """
    return [seed + number * SEED_STRIDE for number in range(REDRAWS + 1)]


def draw_take(
    sampler: Sampler,
    request: Request,
    start: Start | None = None,
    choose: Callable[[np.ndarray], int] | None = None,
) -> Take:
    """Make a take of a request; if all of it is silent (see `is_silent`), with the next of `take_seeds`.

    Args:
        sampler: of the model.
        request: one prompt with a seed; where it asks for several sounds, one of them is kept.
        start: what they start from; None is noise.
        choose: the place of the best of several sounds (N, 1, S), none of them silent; None keeps the first.

    Raises:
        ValueError: as the sampler; a request without a seed.
        NoSoundError: all seeds gave silence.
    """
    if request.seed is None:
        raise ValueError("a take needs a seed")
    seeds = take_seeds(request.seed)
    for number, seed in enumerate(seeds):
        sounds = sampler(replace(request, seed=seed), start=start).cpu().numpy()  # (N, 1, S)
        heard = [
            index for index, sound in enumerate(sounds) if not is_silent(sound, sampler.sample_rate)
        ]
        if heard:
            kept = heard[0 if choose is None or len(heard) == 1 else choose(sounds[heard])]
            return Take(sounds[kept], seed + kept, tuple(seeds[:number]))
    asked = repr(request.prompts[0]) if request.prompts[0] else "the video"
    raise NoSoundError(
        f"{asked} gave silence with the seeds {', '.join(map(str, seeds))}: "
        "take other words or another seed"
    )
