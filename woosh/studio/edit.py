"""Parts of a sound made anew to fit what is around them; the rest stays as it is, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from woosh.audio import resample
from woosh.generation.editing import Known, new_frames, sample_around, seconds_of
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.generation.starting import encode_sound
from woosh.studio.joins import limited, matched, put_into
from woosh.studio.places import Region, places_of
from woosh.studio.takes import Take, draw_until_heard, falls_silent

CONTEXT_SECONDS = 1.0  # that the model hears at least on either side, where there is so much
LEVEL_SECONDS = 0.25  # on either side that the new sound's level is matched with


class Remade(NamedTuple):
    """A sound with a part that was made anew.

    Attributes:
        sound: (C, S) float32.
        part: (C, S') float32, what the model made there; at its ends `sound` may hold less of it, see `put_into`.
    """

    sound: np.ndarray
    part: np.ndarray


def edit(
    sampler: Sampler,
    audio: np.ndarray,
    sample_rate: int,
    request: Request,
    regions: Sequence[Region] = (),
    strength: float = 1.0,
) -> np.ndarray:
    """Make parts of a sound anew.

    A region is made at the model's rate, each channel by itself from the same noise, so that channels that are alike
    stay alike (a model of stereo makes both at once). It is brought to the level beside it and to the sound's rate, and
    joined as `put_into` does: within 30 ms outside of it where the levels are alike. The second region hears the first one.

    Args:
        sampler: of the model.
        audio: (C, S) float32 within [-1, 1].
        sample_rate: of the audio, in Hz.
        request: the words and how they are followed, with a seed; its length is not used.
        regions: in seconds; none is the whole sound.
        strength: from 0, where a region is as the autoencoder gives it, to 1, where nothing of it is left.

    Returns:
        (C, S) float32, outside of the regions and their fades the same bits as `audio`.

    Raises:
        ValueError: a region outside of the sound, regions that overlap, a strength out of range, or what the model cannot do.
    """
    places = _places(audio, sample_rate, regions)
    return _edited(sampler, audio, sample_rate, request, places, strength)[-1].sound


def _places(audio: np.ndarray, sample_rate: int, regions: Sequence[Region]) -> list[slice]:
    samples = audio.shape[1]
    return places_of(regions or [Region(0, samples / sample_rate)], samples, sample_rate)


def _edited(
    sampler: Sampler,
    audio: np.ndarray,
    sample_rate: int,
    request: Request,
    places: Sequence[slice],
    strength: float,
) -> list[Remade]:
    """See `edit`: what came of one place after the other, each in the sound of the one before."""
    made: list[Remade] = []
    for number, place in enumerate(places):
        # Each from noise of its own: equal noise in two regions would make them alike.
        own = replace(request, seed=None if request.seed is None else request.seed + number)
        sound = made[-1].sound if made else audio
        made.append(remake(sampler, sound, sample_rate, own, place, strength))
    return made


def draw_edit(
    sampler: Sampler,
    audio: np.ndarray,
    sample_rate: int,
    request: Request,
    regions: Sequence[Region] = (),
    strength: float = 1.0,
) -> Take:
    """A take as `edit` makes it; if one of the new parts is silent beside what is around it, with the next of `take_seeds`.

    Raises:
        ValueError: as `edit`; a request without a seed.
        NoSoundError: all seeds gave silence.
    """
    near = round(LEVEL_SECONDS * sample_rate)
    places = _places(audio, sample_rate, regions)

    def silent(made: list[Remade]) -> bool:
        if strength == 0:  # nothing is drawn
            return False
        for place, remade in zip(places, made, strict=True):
            sides = audio[:, max(0, place.start - near) : place.start], audio[:, place.stop :]
            beside = np.concatenate([sides[0], sides[1][:, :near]], axis=1)
            if not beside.shape[1]:
                beside = audio
            if falls_silent(remade.part, beside, sample_rate):
                return True
        return False

    def make(wanted: Request) -> list[Remade]:
        return _edited(sampler, audio, sample_rate, wanted, places, strength)

    made, seed, silent_seeds = draw_until_heard(request, make, silent)
    return Take(made[-1].sound, seed, silent_seeds)


def remake(
    sampler: Sampler,
    audio: np.ndarray,
    sample_rate: int,
    request: Request,
    place: slice,
    strength: float = 1.0,
) -> Remade:
    """Make the samples at `place` anew; for the rest see `edit`."""
    samples, span = audio.shape[1], place.stop - place.start
    room = round(sampler.longest * sample_rate)
    context = max(round(CONTEXT_SECONDS * sample_rate), (room - span) // 2)
    low, high = max(0, place.start - context), min(samples, place.stop + context)
    old = audio[:, low:high]
    inside = slice(place.start - low, place.stop - low)
    new = _made(sampler, old, sample_rate, request, inside, strength)

    near = round(LEVEL_SECONDS * sample_rate)
    before = slice(max(0, inside.start - near), inside.start)
    behind = slice(inside.stop, min(old.shape[1], inside.stop + near))
    new = limited(matched(new, old, before, behind), sample_rate)

    joined = audio.copy()
    joined[:, low:high] = put_into(old, new, inside, sample_rate)
    return Remade(joined, new[:, inside])


def _made(
    sampler: Sampler,
    old: np.ndarray,
    sample_rate: int,
    request: Request,
    inside: slice,
    strength: float,
) -> np.ndarray:
    """An excerpt (C, S) through the model, of which the samples at `inside` were drawn anew (C, S)."""
    rate, own = sampler.sample_rate, sampler.autoencoder.audio_channels
    sound = resample(old, sample_rate, rate)  # (C, S')
    if own > 1 and len(sound) != own:
        raise ValueError(
            f"this model makes {own} channels, and the sound has {len(sound)}: take a model of one channel"
        )
    sounds = np.split(sound, len(sound) // own)
    latents = torch.cat([encode_sound(sampler.autoencoder, one) for one in sounds])  # (B, G, T)
    ratio = rate / sample_rate
    new = new_frames(
        sampler.autoencoder,
        latents.shape[2],
        round(inside.start * ratio),
        round(inside.stop * ratio),
    )
    wanted = replace(request, seconds=seconds_of(sampler, sound.shape[1]))
    drawn = sample_around(sampler, wanted, Known(latents, new), strength)
    decoded = _arrays(sampler.decode(drawn))[:, : sound.shape[1]]
    back = resample(decoded, rate, sample_rate)[:, : old.shape[1]]
    return np.pad(back, ((0, 0), (0, old.shape[1] - back.shape[1])))


def _arrays(decoded: Tensor) -> np.ndarray:
    """Sounds (B, A, S) -> all their channels (B A, S)."""
    return decoded.flatten(0, 1).float().cpu().numpy()
