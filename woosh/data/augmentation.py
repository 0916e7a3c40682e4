"""Variations of recorded sounds: most leave their meaning as it is, a mixture of two has both meanings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.fft import next_fast_len

from woosh.audio import SUFFIXES, read_audio
from woosh.data.clips import SILENCE

COLOUR_WAVES = 5
LOUDEST_BESIDE = (
    5.0  # dB, of the second of two sounds that are mixed as equals, and quietest with a minus
)
RESPONSE_SECONDS = 1.5  # of an impulse response; later echoes are cut off
LOUDEST_UNDER, QUIETEST_UNDER = -5.0, -25.0  # dB, of a sound that lies under another


def coloured(audio: np.ndarray, decibels: float, generator: np.random.Generator) -> np.ndarray:
    """Filter audio (S,) by a smooth random response over log frequency, `decibels` its standard deviation."""
    length = next_fast_len(len(audio), real=True)
    spectrum = np.fft.rfft(audio, length)
    octaves = np.log2(1.0 + np.arange(len(spectrum)) / len(spectrum) * 1023.0) / 10.0  # 0 to 1
    waves = np.cos(np.pi * octaves[:, None] * np.arange(1, COLOUR_WAVES + 1))  # (F, 5)
    weights = generator.normal(0.0, decibels * np.sqrt(2.0 / COLOUR_WAVES), COLOUR_WAVES)
    return np.fft.irfft(spectrum * 10.0 ** (waves @ weights / 20.0), length)[: len(audio)]


def at_speed(audio: np.ndarray, factor: float) -> np.ndarray:
    """Audio (S,) read faster (factor over 1) or slower by linear interpolation: about (S / factor,).

    Rough, for data of a network that hears no fine structure; `at_fine_speed` sounds well.
    """
    places = np.arange(0, len(audio) - 1, factor) if len(audio) > 1 else np.zeros(1)
    return np.interp(places, np.arange(len(audio)), audio)


def at_fine_speed(audio: np.ndarray, factor: float, sample_rate: int) -> np.ndarray:
    """Play audio (S,) faster (factor over 1) or slower without loss in its band: (S / factor,) about."""
    import soxr

    return audio if factor == 1.0 else soxr.resample(audio, sample_rate * factor, sample_rate)


def with_another_under(
    audio: np.ndarray, under: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Audio (S,) with another sound (S,) 5 to 25 dB weaker under it; silence changes nothing."""
    own, other = (np.sqrt(np.mean(np.square(sound))) for sound in (audio, under))
    if own == 0 or other == 0:
        return audio
    gain = 10 ** (generator.uniform(QUIETEST_UNDER, LOUDEST_UNDER) / 20)
    return audio + gain * own / other * under


def mixed_as_equals(
    first: np.ndarray, second: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Two sounds (S,) and (S',) together, at most 5 dB apart, each from a random place on: as long as the longer one."""
    length = max(len(first), len(second))
    total = np.zeros(length)
    gains = (0.0, generator.uniform(-LOUDEST_BESIDE, LOUDEST_BESIDE))
    for sound, gain in zip((first, second), gains, strict=True):
        level = np.sqrt(np.mean(np.square(sound)))
        start = int(generator.integers(length - len(sound) + 1))
        if level > 0:
            total[start : start + len(sound)] += 10 ** (gain / 20) * sound / level
    return total


def through_response(audio: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Audio (..., S) through a room or a device: convolved with its impulse response (R,), at its own level, (..., S)."""
    samples = audio.shape[-1]
    length = next_fast_len(samples + len(response) - 1, real=True)
    spectrum = np.fft.rfft(audio, length) * np.fft.rfft(response, length)
    wet = np.fft.irfft(spectrum, length)[..., :samples]
    before, after = (np.sqrt(np.mean(np.square(sound))) for sound in (audio, wet))
    return wet * (before / after) if after > 0 else wet


def load_responses(folder: Path, sample_rate: int) -> list[np.ndarray]:
    """The impulse responses below a folder, (R,) each, from their loudest moment on, in the order of their paths.

    Raises:
        FileNotFoundError: no such folder, or no audio file in it.
        ValueError: one that cannot be read, or is silent.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"no impulse responses in {folder}")
    responses = []
    for path in paths:
        response = read_audio(path, sample_rate)[0].astype(np.float64)
        if not response.any():
            raise ValueError(f"{path} is silent")
        start = int(np.abs(response).argmax())
        responses.append(response[start : start + round(RESPONSE_SECONDS * sample_rate)])
    return responses


def crop(
    audio: np.ndarray, samples: int, generator: np.random.Generator, tries: int = 4
) -> np.ndarray:
    """A random stretch (..., samples) of audio (..., S), its first and last one more often than others.

    A shorter sound lands somewhere in zeros or, half of the times, between its own mirror images: that is how a
    spectrogram with reflected ends sees a short file. A silent stretch is drawn again, up to `tries` times:
    recordings often end in digital zeros.
    """
    length = audio.shape[-1]
    spare = length - samples
    if spare <= 0:
        before = int(generator.integers(0, 1 - spare))
        mirrored = length > 1 and generator.random() < 0.5
        widths = [(0, 0)] * (audio.ndim - 1) + [(before, -spare - before)]
        return np.pad(audio, widths, "reflect" if mirrored else "constant")
    stretch = audio[..., :samples]
    for _ in range(tries):
        start = int(generator.integers(-(samples // 8), spare + samples // 8 + 1))
        start = min(max(start, 0), spare)
        stretch = audio[..., start : start + samples]
        if np.abs(stretch).max() >= SILENCE:
            break
    return stretch
