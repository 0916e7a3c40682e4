"""Which samples a preparation keeps, by what a listener hears in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

PROBABILITY = 0.3  # a label is heard from here on


@dataclass(frozen=True)
class Selection:
    """Samples to keep and to drop.

    Attributes:
        keep: labels of which a sample must have at least one; none of them lets every sample pass.
        drop: labels of which it must have none; they go before `keep`.
        ear: who listens, in words that stay the same as long as the listener does.
        hears: audio (C, S) and its sample rate in Hz -> probability of each label; goes to other processes.
    """

    keep: tuple[str, ...]
    drop: tuple[str, ...]
    ear: str
    hears: Callable[[np.ndarray, int], Mapping[str, float]]

    def refuses(self, audio: np.ndarray, sample_rate: int) -> str | None:
        """Why a sample (C, S) is left out, or None if it is kept."""
        heard = self.hears(audio, sample_rate)
        for label in self.drop:
            if heard[label] >= PROBABILITY:
                return f"{label} is heard"
        if self.keep and all(heard[label] < PROBABILITY for label in self.keep):
            return "nothing to keep is heard"
        return None

    def plan(self) -> dict[str, Any]:
        """What decides, as JSON."""
        labels = {"keep": list(self.keep), "drop": list(self.drop)}
        return labels | {"ear": self.ear, "probability": PROBABILITY}
