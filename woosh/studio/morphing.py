"""Sounds between two sounds: their latents are mixed, and the model draws the mixture anew."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.generation.starting import Start
from woosh.studio.takes import Take, draw_take, silent_like
from woosh.studio.variations import at_loudness, loudness_of, start_from


def morph(
    sampler: Sampler,
    sounds: tuple[np.ndarray, np.ndarray],
    request: Request,
    shares: np.ndarray,
    strength: float,
) -> Iterator[Take]:
    """Sounds (1, S) on the way from one sound to another, the loudness included, each made when it is asked for.

    The latents are mixed linearly, since those of our autoencoders say levels, which so go evenly from one sound's to the
    other's. All are drawn with the same noise, but for one that would be silent. The strength rises from 0 at either sound to
    the one given in the middle, with the sine of the share: there the mixture is farthest from anything that was ever recorded.

    Args:
        sampler: the model.
        sounds: two of (C, S), at the model's rate; each is cut to the request's length, or followed by silence.
        request: of one sound, with a seed.
        shares: of the second sound (K,), from 0 to 1.
        strength: in the middle, from 0 to 1.

    Raises:
        ValueError: a silent sound, shares or strength out of their range, or a request for several sounds or without a seed.
        NoSoundError: all of `take_seeds` gave silence.
    """
    if request.count != 1:
        raise ValueError(f"a morph is of one request for one sound, not {request.count}")
    if not bool(((shares >= 0) & (shares <= 1)).all()):
        raise ValueError(f"shares must be from 0 to 1, got {shares.tolist()}")
    first, second = (start_from(sampler, sound, request, strength).latents for sound in sounds)
    rate = sampler.sample_rate
    loudness = [loudness_of(sound, rate) for sound in sounds]
    silent = silent_like(sounds, rate)
    for share in shares.tolist():
        mixture = (1 - share) * first + share * second
        start = Start(mixture, strength * math.sin(math.pi * share))
        take = draw_take(sampler, request, start, silent=silent)
        target = (1 - share) * loudness[0] + share * loudness[1]
        yield replace(take, sound=at_loudness(take.sound, target, sampler))
