"""Takes that hold a sound: where a model makes silence, another seed is tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from woosh.audio import SILENT_LEVEL, is_silent, loudest_level
from woosh.generation.request import Request
from woosh.studio.seeds import take_seeds

if TYPE_CHECKING:
    from woosh.generation.sampling import Sampler
    from woosh.generation.starting import Start

BESIDE = 20.0  # dB below what is beside it, where a part is silent
Made = TypeVar("Made")
Silent = Callable[[np.ndarray, int], bool]  # whether a sound (C, S) at a rate is none


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


def draw_until_heard(
    request: Request, make: Callable[[Request], Made], silent: Callable[[Made], bool]
) -> tuple[Made, int, tuple[int, ...]]:
    """What is made of a request with the first of `take_seeds` that does not give silence.

    Args:
        request: one prompt with a seed.
        make: makes it with the seed of the request that it is given.
        silent: whether what was made is silence.

    Returns:
        what was made, its seed, and those that were tried before.

    Raises:
        ValueError: a request without a seed.
        NoSoundError: all seeds gave silence.
    """
    if request.seed is None:
        raise ValueError("a take needs a seed")
    seeds = take_seeds(request.seed)
    for number, seed in enumerate(seeds):
        made = make(replace(request, seed=seed))
        if not silent(made):
            return made, seed, tuple(seeds[:number])
    asked = "the video" if request.video is not None else "a sound without words"
    raise NoSoundError(
        f"{repr(request.prompts[0]) if request.prompts[0] else asked} gave silence with the seeds "
        f"{', '.join(map(str, seeds))}: take other words or another seed"
    )


def draw_take(
    sampler: Sampler,
    request: Request,
    start: Start | None = None,
    choose: Callable[[np.ndarray], int] | None = None,
    silent: Silent = is_silent,
    keep: Callable[[Iterator[Take]], Take] | None = None,
) -> Take:
    """Make a take of a request; if all of it is silent, with the next of `take_seeds`.

    Args:
        sampler: of the model.
        request: one prompt with a seed; where it asks for several sounds, one of them is kept.
        start: what they start from; None is noise.
        choose: the place of the best of several sounds (N, 1, S), none of them silent; None keeps the first.
        silent: what counts as silence.
        keep: chooses among the takes of all of `take_seeds` that are not silent, each drawn when it is asked for; None keeps
            the first.

    Raises:
        ValueError: as the sampler; a request without a seed.
        NoSoundError: all seeds gave silence.
    """

    def make(wanted: Request) -> list[tuple[int, np.ndarray]]:
        sounds = sampler(wanted, start=start).cpu().numpy()  # (N, 1, S)
        numbered = enumerate(sounds)
        return [pair for pair in numbered if not silent(pair[1], sampler.sample_rate)]

    def best(heard: list[tuple[int, np.ndarray]], seed: int) -> Take:
        chosen = 0
        if choose is not None and len(heard) > 1:
            chosen = choose(np.stack([one for _, one in heard]))
        place, sound = heard[chosen]
        return Take(sound, seed + place, silent_seeds)

    heard, first_seed, silent_seeds = draw_until_heard(request, make, lambda heard: not heard)
    first = best(heard, first_seed)
    if keep is None:
        return first

    def takes() -> Iterator[Take]:
        yield first
        assert request.seed is not None  # or nothing would have been heard
        for seed in take_seeds(request.seed)[len(silent_seeds) + 1 :]:
            if further := make(replace(request, seed=seed)):
                yield best(further, seed)

    return keep(takes())


def silent_like(sounds: Sequence[np.ndarray], sample_rate: int) -> Silent:
    """What counts as silence among takes of sounds (C, S): as always, or by level alone if one has less than 30 ms itself."""
    return is_faint if any(is_silent(sound, sample_rate) for sound in sounds) else is_silent


def is_faint(sound: np.ndarray, sample_rate: int) -> bool:
    """Whether a sound (C, S) is nowhere above -50 dB of full scale."""
    return loudest_level(sound, sample_rate) < SILENT_LEVEL


def falls_silent(new: np.ndarray, beside: np.ndarray, sample_rate: int) -> bool:
    """Whether a part (C, S) that was made anew is silence, and what is beside it (C, S') is not.

    It is if it is nowhere above -50 dB of full scale, nor within 20 dB of what is beside it: room tone may be faint.
    """
    if not new.shape[1] or not beside.shape[1]:
        return False
    level = loudest_level(new, sample_rate)
    return level < min(SILENT_LEVEL, loudest_level(beside, sample_rate) - BESIDE)
