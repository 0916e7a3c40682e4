"""Sounds whose end goes over into their beginning.

From words: latents, windows of the network, detail and phases all lie on a circle, so that no place of the result is a
seam. From a recording: the stretch of it whose ends are most alike, faded into each other, or with the seam made anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from woosh.audio import is_silent
from woosh.generation.editing import filling
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.studio.edit import remake
from woosh.studio.extend import STRENGTH
from woosh.studio.joins import (
    JoinError,
    crossfade,
    least_samples,
    seam_error,
    spectra,
)
from woosh.studio.takes import Take, draw_until_heard

SHORTEST_SECONDS = 0.5  # of a loop
FADE_SECONDS = 1.0  # of a stretch's ends into each other, at most
FADE_SHARE = 0.2  # of the recording, at most
ALIGNED_SECONDS = 0.01  # by which a free length is changed so that waves meet
SEAM_SECONDS = 0.8  # that are made anew, at most
MOST_STEPS = 2000  # of a search for the best stretch
NEW_SEAM = "new seam"
ALIKE = 1.1  # a longer stretch is taken if its ends differ no more than this much of the best one's


@dataclass(frozen=True, eq=False)
class Loop:
    """A sound that is played around.

    Attributes:
        audio: (C, S) float32.
        error: the worst of its joins: of the seam, and of the ends of what was made to close it.
        way: how it was closed: "circle", "crossfade" or `NEW_SEAM`.
    """

    audio: np.ndarray
    error: JoinError
    way: str


def make_loop(sampler: Sampler, request: Request) -> Loop:
    """Make a loop from words, of exactly the request's length.

    The latents are as many as come nearest to the length; what is decoded from them is a whole circle, and is brought to
    the exact number of samples by resampling around the circle: half a hop in the whole length at most, by which the
    sound is faster or slower (of 25 latents per second .4 % in a loop of 5 s, and the less, the longer it is).

    Args:
        sampler: of the model.
        request: one sound of .5 s or more.

    Returns:
        A loop (A, S) of the model's channels, at its rate.

    Raises:
        ValueError: several sounds, a shorter one, a solver that chooses its own steps, or what the model cannot do.
    """
    if request.count != 1:
        raise ValueError(f"one loop is made at a time, not {request.count}")
    check_length(request.seconds)
    latents = sampler.latents(filling(sampler, request), circular=True)
    circle = sampler.decode(latents, circular=True)[0].cpu().numpy()
    audio = fit_circle(circle, request.samples(sampler.sample_rate))
    return Loop(audio, seam_error(audio, sampler.sample_rate), "circle")


def draw_loop(sampler: Sampler, request: Request) -> tuple[Loop, Take]:
    """A loop as of `make_loop`, and the take that it is; if it is silent, with the next of `take_seeds`.

    Raises:
        ValueError: as `make_loop`; a request without a seed.
        NoSoundError: all seeds gave silence.
    """
    loop, seed, silent_seeds = draw_until_heard(
        request,
        lambda wanted: make_loop(sampler, wanted),
        lambda loop: is_silent(loop.audio, sampler.sample_rate),
    )
    return loop, Take(loop.audio, seed, silent_seeds)


def check_length(seconds: float) -> None:
    """Raise ValueError unless a loop can have so many seconds."""
    if seconds < SHORTEST_SECONDS:
        raise ValueError(f"a loop must have {SHORTEST_SECONDS:g} s or more, not {seconds:g}")


def fit_circle(circle: np.ndarray, samples: int) -> np.ndarray:
    """A circle (C, S) with another number of samples (C, samples): its Fourier series, exact up to the lower rate."""
    length = circle.shape[1]
    if length == samples:
        return circle
    series = np.fft.rfft(circle.astype(np.float64), axis=1)
    fitted = np.fft.irfft(series[:, : samples // 2 + 1], n=samples, axis=1)
    return (fitted * samples / length).astype(np.float32)


@dataclass(frozen=True)
class Stretch:
    """A part of a recording that becomes a loop.

    Attributes:
        start: first sample.
        length: of the loop, in samples.
        fade: so many samples follow the stretch, and are faded into its beginning.
    """

    start: int
    length: int
    fade: int


def best_stretch(audio: np.ndarray, sample_rate: int, seconds: float | None = None) -> Stretch:
    """The stretch of a recording whose ends are most alike.

    Args:
        audio: (C, S) float32.
        sample_rate: in Hz.
        seconds: of the loop; None takes the longest stretch from half the recording on whose ends are as alike as any.

    Raises:
        ValueError: a recording too short for a loop, or for one of so many seconds.
    """
    samples = audio.shape[1]
    fade = min(round(FADE_SECONDS * sample_rate), int(FADE_SHARE * samples))
    if seconds is not None:
        check_length(seconds)
        fade = min(fade, samples - round(seconds * sample_rate))
    shortest = max(round(SHORTEST_SECONDS * sample_rate), least_samples(sample_rate))
    if fade < sample_rate // 100 or samples - fade < shortest:
        asked = "" if seconds is None else f" of {seconds:g} s"
        raise ValueError(
            f"a sound of {samples / sample_rate:g} s gives no loop{asked}: a loop has {SHORTEST_SECONDS:g} s or more, and "
            "some of the sound must be left to fade into its beginning; woosh extend makes a sound longer"
        )
    return Stretch(*find_stretch(audio, sample_rate, fade, seconds), fade)


def close_loop(
    audio: np.ndarray,
    sample_rate: int,
    renew: Callable[[Stretch], Loop],
    seconds: float | None = None,
) -> Loop:
    """The loop (C, L) of a recording (C, S): its ends faded into each other, or its seam made anew where that is heard less.

    Args:
        audio: (C, S) float32.
        sample_rate: in Hz.
        renew: makes what is around the seam of a stretch anew (`renew_seam`); not called where a fade is not heard.
        seconds: see `best_stretch`.

    Raises:
        ValueError: as `best_stretch`.
    """
    stretch = best_stretch(audio, sample_rate, seconds)
    faded = fade_seam(audio, sample_rate, stretch)
    if not faded.error.heard:
        return faded
    renewed = renew(stretch)
    return renewed if renewed.error.excess < faded.error.excess else faded


def fade_seam(audio: np.ndarray, sample_rate: int, stretch: Stretch) -> Loop:
    """The loop (C, L) of a stretch of a recording (C, S): what follows the stretch is faded into its beginning."""
    start, length, fade = stretch.start, stretch.length, stretch.fade
    loop = audio[:, start : start + length].copy()
    after = audio[:, start + length : start + length + fade]
    fade = after.shape[1]
    loop[:, :fade] = crossfade(after, loop[:, :fade]).clip(-1, 1)
    return Loop(loop, _worst(loop, sample_rate, (0, fade // 2, fade)), "crossfade")


def find_stretch(
    audio: np.ndarray, sample_rate: int, fade: int, seconds: float | None
) -> tuple[int, int]:
    """First sample and length of the stretch whose first `fade` samples are most like those that follow it.

    Likeness is that of spectra. A free length is changed by up to 10 ms so that the waves meet.
    """
    samples = audio.shape[1]
    step = max(sample_rate // 100, samples // MOST_STEPS)
    bands = spectra(audio, sample_rate, step=step)  # (N, bands)
    count = max(1, fade // step)
    if seconds is not None:
        length = round(seconds * sample_rate)
        _, place = _difference(bands, length // step, count)
        return min(place * step, samples - length - fade), length
    least, most = max(1, samples // 2 // step), (samples - fade) // step
    found = [(*_difference(bands, lag, count), lag) for lag in range(least, max(least + 1, most))]
    best = min(difference for difference, _, _ in found)
    _, place, lag = max((one for one in found if one[0] <= ALIKE * best), key=lambda one: one[2])
    start = min(place * step, samples - lag * step - fade)
    return start, _aligned(audio, start, lag * step, fade, round(ALIGNED_SECONDS * sample_rate))


def _difference(bands: np.ndarray, lag: int, count: int) -> tuple[float, int]:
    """The least mean difference of `count` spectra and those `lag` later, and the step where they begin."""
    apart = np.abs(bands[lag:] - bands[: len(bands) - lag]).mean(axis=1)
    if not len(apart):
        return np.inf, 0
    count = min(count, len(apart))
    sums = np.cumsum(np.concatenate([[0.0], apart]))
    means = (sums[count:] - sums[:-count]) / count
    place = int(means.argmin())
    return float(means[place]), place


def _aligned(audio: np.ndarray, start: int, length: int, fade: int, reach: int) -> int:
    """The length within `reach` of the given one at which the two sounds of a fade correlate most."""
    mono = audio.mean(axis=0)
    first = mono[start : start + fade]
    low = max(1, length - reach)
    high = min(len(mono) - fade - start, length + reach)
    beside = mono[start + low : start + high + fade]
    if high <= low:
        return min(length, high)
    size = len(beside) + fade
    product = np.fft.irfft(np.fft.rfft(beside, size) * np.fft.rfft(first, size).conj(), size)
    energy = np.cumsum(np.concatenate([[0.0], np.square(beside, dtype=np.float64)]))
    powers = energy[fade:] - energy[:-fade]  # of each place's `fade` samples
    return low + int((product[: len(powers)] / np.sqrt(powers + 1e-9)).argmax())


def renew_seam(
    sampler: Sampler, audio: np.ndarray, sample_rate: int, request: Request, stretch: Stretch
) -> Loop:
    """The loop (C, L) of a stretch of a recording: what is around its seam is made anew, the rest stays, bit for bit.

    Args:
        sampler: of the model.
        audio: (C, S) float32, the recording.
        sample_rate: in Hz.
        request: the words and how they are followed, with a seed; its length is not used.
        stretch: of `best_stretch`.

    Raises:
        ValueError: what the model cannot do.
    """
    middle = stretch.length // 2
    half = min(round(SEAM_SECONDS * sample_rate), stretch.length // 4) // 2
    turned = np.roll(audio[:, stretch.start : stretch.start + stretch.length], middle, axis=1)
    place = slice(middle - half, middle + half)
    made = remake(sampler, turned, sample_rate, request, place, STRENGTH).sound
    loop = np.roll(made, -middle, axis=1)
    return Loop(loop, _worst(loop, sample_rate, (-half, 0, half)), NEW_SEAM)


def _worst(loop: np.ndarray, sample_rate: int, places: tuple[int, ...]) -> JoinError:
    """The worst of the joins in front of some samples of a loop."""
    errors = [seam_error(np.roll(loop, -place, axis=1), sample_rate) for place in places]
    return max(errors, key=lambda error: error.excess)
