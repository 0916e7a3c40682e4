"""Sets of takes that differ: one that comes too near to another is drawn again with other seeds."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from woosh.metrics.takes import take_distance, take_spectrum
from woosh.studio.takes import Take

# A quarter of the pairs of takes of one recording lie nearer to each other than the larger, a tenth nearer than the smaller,
# and half of the sets of eight such takes hold a pair nearer than the larger (benchmarks/variations.py --set 8).
LEAST_DISTANCE, LEAST_OF_STEADY = 0.28, 0.2
COMPARED = 31  # takes before a take: what it costs does not grow with a set of thousands


def least_distance(sound: np.ndarray, sample_rate: int) -> float:
    """How far apart takes of a sound (C, S) should be at least.

    That is 0.28, or less for a steady sound: as far as its own halves are, and 0.2 at least. Other takes of steady noise are no
    farther apart than stretches of one.
    """
    mono = torch.from_numpy(sound.mean(axis=0))
    middle = len(mono) // 2
    halves = [take_spectrum(half, sample_rate) for half in (mono[:middle], mono[middle:])]
    own = take_distance(halves[0], halves[1], sample_rate)
    if math.isnan(own):  # of a half that is silent
        return LEAST_DISTANCE
    return min(LEAST_DISTANCE, max(LEAST_OF_STEADY, own))


class Spacing:
    """The takes of a set, each of which is kept apart from those before it.

    What is drawn again depends on the takes before alone, so a larger set begins with the smaller one. Up to any take, no more
    are drawn again than there are takes: a set costs up to twice what its takes cost.

    Args:
        sample_rate: of the takes, in Hz.
        least: distance that they should have, see `least_distance`.

    Attributes:
        redrawn: number of takes that were drawn beyond the first of each, and not silent.
        near: number of takes that are nearer to one before them than `least` after all.
    """

    def __init__(self, sample_rate: int, least: float) -> None:
        self.least = least
        self.near = self.redrawn = 0
        self._sample_rate = sample_rate
        self._spectra: deque[Tensor] = deque(maxlen=COMPARED)
        self._takes = 0

    def keep(self, takes: Iterator[Take]) -> Take:
        """The next take of the set: the first that is far enough from those kept, or the farthest that may be drawn.

        Args:
            takes: (1, S) to choose from, one or more, in the order of their seeds; each is drawn when it is asked for.
        """
        self._takes += 1
        tried: list[tuple[float, Take, Tensor]] = []
        for take in takes:
            spectrum = take_spectrum(torch.from_numpy(take.sound[0]), self._sample_rate)
            distance = self._distance(spectrum)
            tried.append((distance, take, spectrum))
            if distance >= self.least or self.redrawn + len(tried) > self._takes:
                break
        distance, kept, spectrum = max(tried, key=lambda one: one[0])
        self.redrawn += len(tried) - 1
        self._spectra.append(spectrum)
        self.near += distance < self.least
        return kept

    def _distance(self, spectrum: Tensor) -> float:
        """Of a take from the nearest one that it is compared with."""
        distances = [take_distance(spectrum, other, self._sample_rate) for other in self._spectra]
        return min(distances, default=math.inf)
