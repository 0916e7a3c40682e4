"""New takes of a sound that exists: how alike they are is a dial from 1, the sound itself, to 0, another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from woosh import audio
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.generation.starting import Start, encode_sound
from woosh.studio.spacing import Spacing, least_distance
from woosh.studio.takes import Take, draw_take, silent_like

LEARNED_PEAK = 0.8  # of the sounds that generators learned
SILENT_PEAK = 1e-4
MOST_SIMILAR = 0.7  # of a set whose takes are kept apart: above it, near ones are what is asked for
FADE = 960  # samples before a silence that is added: 20 ms at 48 kHz
QUIETEST, LOUDEST = -70.0, 0.0  # LUFS that a sound can be brought to

# Strengths at the similarities 1, .9, ... 0. What is heard changes little up to a strength of .5 and most above .9. These make
# equal steps of the dial equal steps of what changes: the mean of the shares that the aligner's cosine and the log-mel
# distance have come of their ways, over 14 recordings and two models (benchmarks/variations.py --strengths --part 0).
STRENGTHS = (0.0, 0.41, 0.63, 0.74, 0.81, 0.86, 0.9, 0.93, 0.95, 0.975, 1.0)


def strength_of(similarity: float) -> float:
    """How far a sound is taken back to noise to become one that is so similar.

    Raises:
        ValueError: a similarity that is not from 0 to 1.
    """
    if not 0 <= similarity <= 1:
        raise ValueError(f"similarity must be from 0 to 1, got {similarity!r}")
    return float(np.interp(1 - similarity, np.linspace(0, 1, len(STRENGTHS)), STRENGTHS))


def vary(sampler: Sampler, sound: np.ndarray, request: Request, similarity: float) -> np.ndarray:
    """Variations (N, 1, S) of a sound in mono, one for each sound of a request, as loud as the sound.

    Args:
        sampler: the model.
        sound: (C, S) at the model's rate; what it has beyond the request's length is left out.
        request: prompt, length, seed and number of the variations.
        similarity: from 1, the sound as the autoencoder gives it, to 0, where nothing of it is left.

    Raises:
        ValueError: a silent sound, or a similarity out of its range.
    """
    return redraw(sampler, sound, request, strength_of(similarity))


def draw_variation(
    sampler: Sampler,
    sound: np.ndarray,
    request: Request,
    similarity: float,
    choose: Callable[[np.ndarray], int] | None = None,
    spacing: Spacing | None = None,
) -> Take:
    """A variation as `vary` makes it; if all of a request's are silent, with the next of `take_seeds`.

    So it is, too, if it is too near to another of its set.

    Args:
        sampler: the model.
        sound: as for `vary`.
        request: as for `vary`, with a seed; of several sounds one is kept.
        similarity: as for `vary`.
        choose: the place of the best of several (N, 1, S), as loud as the sound; None keeps the first.
        spacing: the set that it belongs to, see `spacing_of`; None keeps whatever is heard.

    Raises:
        ValueError: as `vary`; a request without a seed.
        NoSoundError: all seeds gave silence.
    """
    loudness = loudness_of(sound, sampler.sample_rate)
    start = start_from(sampler, sound, request, strength_of(similarity))

    def best(takes: np.ndarray) -> int:
        assert choose is not None
        return choose(np.stack([at_loudness(take, loudness, sampler) for take in takes]))

    chooser = None if choose is None else best
    keep = None if spacing is None else spacing.keep
    silent = silent_like([sound], sampler.sample_rate)
    take = draw_take(sampler, request, start, chooser, silent, keep)
    return replace(take, sound=at_loudness(take.sound, loudness, sampler))


def spacing_of(sound: np.ndarray, similarity: float, sample_rate: int) -> Spacing | None:
    """What keeps the variations of a new set of a sound (C, S) apart; None above a similarity of 0.7."""
    if similarity > MOST_SIMILAR:
        return None
    return Spacing(sample_rate, least_distance(sound, sample_rate))


def redraw(sampler: Sampler, sound: np.ndarray, request: Request, strength: float) -> np.ndarray:
    """Takes (N, 1, S) as of `vary`, by the strength at which the sound is taken back to noise, from 0 to 1."""
    takes = sampler(request, start=start_from(sampler, sound, request, strength))
    loudness = loudness_of(sound, sampler.sample_rate)
    return np.stack([at_loudness(take, loudness, sampler) for take in takes.cpu().numpy()])


def start_from(sampler: Sampler, sound: np.ndarray, request: Request, strength: float) -> Start:
    """The start of a request's sounds from a sound (C, S) at the model's rate.

    It is cut to the request's length, or followed by silence up to it.

    Raises:
        ValueError: a silent sound, or a strength out of its range.
    """
    mono = as_learned(sound, request.samples(sampler.sample_rate))
    channels = sampler.autoencoder.audio_channels
    latents = encode_sound(sampler.autoencoder, np.repeat(mono, channels, axis=0))
    return Start(latents.expand(request.count, -1, -1), strength)


def as_learned(sound: np.ndarray, samples: int) -> np.ndarray:
    """A sound (C, S) as generators learned theirs: mono with so many samples (1, `samples`), its peak at 0.8.

    Silence that follows it begins after a fade, or its edge would be heard as a click.

    Raises:
        ValueError: it is silent.
    """
    mono = sound[:, :samples].mean(axis=0, keepdims=True, dtype=np.float32)
    peak = float(np.abs(mono).max(initial=0.0))
    if peak < SILENT_PEAK:
        raise ValueError("the sound is silent: there is nothing to start from")
    scaled = mono * np.float32(LEARNED_PEAK / peak)
    missing = samples - scaled.shape[1]
    if missing == 0:
        return scaled
    fade = np.ones(scaled.shape[1], np.float32)
    fade[-FADE:] = np.linspace(1, 0, len(fade[-FADE:]))
    return np.pad(scaled * fade, ((0, 0), (0, missing)))


def loudness_of(sound: np.ndarray, sample_rate: int) -> float:
    """Loudness in LUFS of a sound (C, S) in mono, within what a sound can be brought to."""
    measured = audio.levelling_loudness(sound.mean(axis=0, keepdims=True), sample_rate)
    return float(np.clip(measured, QUIETEST, LOUDEST))


def at_loudness(take: np.ndarray, loudness: float, sampler: Sampler) -> np.ndarray:
    """A take (1, S) as loud as it should be, or as loud as its peaks allow."""
    return audio.normalise_loudness(take, loudness, sampler.sample_rate).audio
