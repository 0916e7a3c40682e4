"""Sounds through the impulse responses of devices, which make a listener indifferent to them (arXiv 2305.07499)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.signal import fftconvolve

from woosh.training.cropping import happens


def convolved(audio: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Audio (S,) through a device's impulse response (R,), its level included, cut to its length (S,).

        y[n] = sum_k h[k] x[n - k]                                                    (arXiv 2305.07499)

    `woosh.data.augmentation.through_response` gives the result the sound's own level.
    """
    return fftconvolve(audio, response)[: len(audio)].astype(audio.dtype, copy=False)


def through_devices(
    sounds: Sequence[np.ndarray],
    main: Sequence[bool],
    responses: Sequence[np.ndarray],
    chance: float,
    generator: np.random.Generator,
) -> list[np.ndarray]:
    """Sounds of the main device, each with a chance through a random response (DIR, arXiv 2305.07499).

    Args:
        sounds: (S,) each.
        main: whether each was recorded by the main device; the others stay as they are.
        responses: (R,) each, at the sounds' rate.
        chance: of each; .4 and .6 are published.
        generator: of the draws.

    Raises:
        ValueError: a chance above 0 without responses.
    """
    if chance and not responses:
        raise ValueError("chance is above 0, but there are no impulse responses")
    return [
        convolved(audio, responses[int(generator.integers(len(responses)))])
        if own and happens(chance, generator)
        else audio
        for audio, own in zip(sounds, main, strict=True)
    ]
