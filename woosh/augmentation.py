"""Variations of recorded sounds that leave their meaning as it is."""

from __future__ import annotations

import numpy as np
from scipy.fft import next_fast_len

COLOUR_WAVES = 5
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

    Rough, for data of a network that hears no fine structure; soxr is what sounds well.
    """
    places = np.arange(0, len(audio) - 1, factor) if len(audio) > 1 else np.zeros(1)
    return np.interp(places, np.arange(len(audio)), audio)


def with_another_under(
    audio: np.ndarray, under: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Audio (S,) with another sound (S,) 5 to 25 dB weaker under it; silence changes nothing."""
    own, other = (np.sqrt(np.mean(np.square(sound))) for sound in (audio, under))
    if own == 0 or other == 0:
        return audio
    gain = 10 ** (generator.uniform(QUIETEST_UNDER, LOUDEST_UNDER) / 20)
    return audio + gain * own / other * under
