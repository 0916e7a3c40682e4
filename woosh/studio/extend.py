"""Sounds that go on: what comes after the end, or before the beginning, is made to fit what is there."""

from __future__ import annotations

import numpy as np

from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.studio.decays import decay_of, dying, kept_below
from woosh.studio.edit import Remade, remake
from woosh.studio.joins import held, limited
from woosh.studio.takes import Take, draw_until_heard, falls_silent

# Made beyond the end and cut off: sounds that a model learned from have an end, and this one is to go on.
BEYOND_SECONDS = 0.5
# What is drawn starts from the sound mirrored at its end, almost all noise: enough to stay in level and colour.
STRENGTH = 0.9
# What is new has the mean level of so much of the sound beside it, and is brought there within so much of itself.
LEVEL_SECONDS = 1.0
REACHED_SECONDS = 0.5
EDGE_SECONDS = 0.05  # of the sound, that tell whether it has died away where it is made longer


def extend(
    sampler: Sampler,
    audio: np.ndarray,
    sample_rate: int,
    request: Request,
    before: bool = False,
) -> np.ndarray:
    """Make a sound longer: what is there stays as it is, bit for bit, up to the 30 ms of a fade.

    What is new is as loud, in the mean, as the last second of the sound, or the first one for what comes before. A sound that
    dies away (see `decay_of`) dies further at the same pace; one that swells at its beginning has begun so.

    Args:
        sampler: of the model.
        audio: (C, S) float32 within [-1, 1].
        sample_rate: of the audio, in Hz.
        request: the words and how they are followed, with a seed; its length is that of the whole result.
        before: put what is new in front of the sound.

    Returns:
        (C, S') float32, S' the request's length.

    Raises:
        ValueError: a length that is not beyond the sound's own, or what the model cannot do.
    """
    return _extended(sampler, audio, sample_rate, request, before).sound


def _extended(
    sampler: Sampler, audio: np.ndarray, sample_rate: int, request: Request, before: bool
) -> Remade:
    """See `extend`; the part is what the model made of what is new."""
    samples, wanted = audio.shape[1], request.samples(sample_rate)
    if wanted <= samples:
        raise ValueError(
            f"the sound has {samples / sample_rate:g} s already, and {request.seconds:g} s is the length of the result: "
            "ask for more"
        )
    added, beyond = wanted - samples, round(BEYOND_SECONDS * sample_rate)
    room = (beyond + added, 0) if before else (0, added + beyond)
    longer = np.pad(audio, ((0, 0), room), mode="symmetric")
    decay = decay_of(audio[:, ::-1] if before else audio, sample_rate)
    if decay is not None:
        mirrored = longer[:, room[0] - 1 :: -1] if before else longer[:, samples:]
        fallen = dying(mirrored, decay, sample_rate)
        parts = (fallen[:, ::-1], audio) if before else (audio, fallen)
        longer = np.concatenate(parts, axis=1)
    place = slice(0, room[0]) if before else slice(samples, longer.shape[1])
    remade = remake(sampler, longer, sample_rate, request, place, STRENGTH)
    made = remade.sound[:, beyond:] if before else remade.sound[:, :wanted]
    drawn = remade.part[:, beyond:] if before else remade.part[:, :added]
    near, way = (round(seconds * sample_rate) for seconds in (LEVEL_SECONDS, REACHED_SECONDS))
    new = made[:, added - 1 :: -1] if before else made[:, samples:]  # away from the sound
    if decay is None:
        new = held(new, audio[:, :near] if before else audio[:, -near:], way)
    else:
        new = kept_below(new, decay, sample_rate)
    new = limited(new, sample_rate)
    parts = (new[:, ::-1], made[:, added:]) if before else (made[:, :samples], new)
    return Remade(np.concatenate(parts, axis=1), drawn)


def draw_extension(
    sampler: Sampler,
    audio: np.ndarray,
    sample_rate: int,
    request: Request,
    before: bool = False,
) -> Take:
    """A take as `extend` makes it; if what is new is silent and the sound beside it is not, with the next of `take_seeds`.

    Raises:
        ValueError: as `extend`; a request without a seed.
        NoSoundError: all seeds gave silence.
    """
    edge = round(EDGE_SECONDS * sample_rate)
    beside = audio[:, :edge] if before else audio[:, -edge:]

    def make(wanted: Request) -> Remade:
        return _extended(sampler, audio, sample_rate, wanted, before)

    def silent(made: Remade) -> bool:
        return falls_silent(made.part, beside, sample_rate)

    made, seed, silent_seeds = draw_until_heard(request, make, silent)
    return Take(made.sound, seed, silent_seeds)
