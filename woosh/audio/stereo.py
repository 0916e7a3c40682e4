"""Two channels from one, with a width that vanishes in the sum."""

from __future__ import annotations

import math

import numpy as np

# Delays in seconds of the all-pass filters that follow each other. At 48 kHz they are 139, 211 and 347 samples: primes, so
# that their echoes do not meet.
DELAYS = (0.0029, 0.0044, 0.00723)
FEEDBACK = 0.5
SIDE = math.sqrt(1 / 3)  # of the middle's level: channels with a correlation of 1/2
MOST_GAIN = 4.0  # by which what is left of the side is raised: of a sound that the filters hardly change, little is


def widen(audio: np.ndarray, sample_rate: int = 48_000, circular: bool = False) -> np.ndarray:
    """Make (1, S) audio stereo (2, S), so that the mean of both channels is the audio again.

    With the middle M = x and a side S that has nothing in common with it,

        left = M + S,   right = M - S,   (left + right) / 2 = x.

    S is what is left of A x, x after the all-pass filters A, once its share of x is taken away, at a level g = 1 / sqrt(3)
    of x's:

        R = A x - (<A x, x> / <x, x>) x,   S = g (|x| / |R|) R.

    As <S, x> = 0, both channels are equally loud, and their correlation is (1 - g^2) / (1 + g^2) = 1/2, whatever the sound.
    Only of a sound that the filters give back as it was, such as some pure tones, the side stays smaller.

    Args:
        audio: (1, S) float32.
        sample_rate: in Hz.
        circular: the sound's end goes on at its beginning, as a loop's: so does that of the side, too.

    Raises:
        ValueError: audio with more than one channel.
    """
    if audio.ndim != 2 or len(audio) != 1:
        raise ValueError(f"audio must have one channel, (1, S), got {audio.shape}")
    if (
        circular
    ):  # what the filters still hold of the sound's end is there from the second time around
        return widen(np.tile(audio, 2), sample_rate)[:, audio.shape[1] :]
    middle = audio[0].astype(np.float64)
    spread = middle
    for seconds in DELAYS:
        spread = all_pass(spread, max(1, round(seconds * sample_rate)), FEEDBACK)
    power = float(middle @ middle)
    if power == 0:
        return np.repeat(audio, 2, axis=0)
    rest = spread - (float(spread @ middle) / power) * middle
    gain = min(SIDE * math.sqrt(power / max(float(rest @ rest), 1e-300)), MOST_GAIN)
    side = gain * rest
    return np.stack([middle + side, middle - side]).astype(np.float32)


def all_pass(signal: np.ndarray, delay: int, feedback: float) -> np.ndarray:
    """Schroeder's all-pass filter of (S,): y[n] = -a x[n] + x[n - d] + a y[n - d], all frequencies equally loud.

    What it does lies within `delay` samples apart, so that many are computed at once.
    """
    size = -(-len(signal) // delay) * delay
    blocks = np.pad(signal, (0, size - len(signal))).reshape(-1, delay)
    result = -feedback * blocks
    for index in range(1, len(blocks)):
        result[index] += blocks[index - 1] + feedback * result[index - 1]
    return result.reshape(-1)[: len(signal)]
