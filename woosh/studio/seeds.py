"""Seeds of takes: which are allowed, and which are tried where one gives silence. Needs no sound and no NumPy."""

from __future__ import annotations

REDRAWS = 3
SEED_STRIDE = 10_000  # to the next seed of a take: more than the takes of a batch, whose seeds follow each other
MOST_TAKES = SEED_STRIDE  # of a batch: with more, the seed of one would be another's next try
# Torch takes 63 bits. Take i uses seed + i, and other seeds where that gives silence.
LARGEST_SEED = 2**63 - 1 - MOST_TAKES - REDRAWS * SEED_STRIDE


def take_seeds(seed: int) -> list[int]:
    """The seeds of a take in the order in which they are tried: N, N + 10,000, N + 20,000, N + 30,000.

    Takes whose seeds are less than 10,000 apart never share one.
    """
    return [seed + number * SEED_STRIDE for number in range(REDRAWS + 1)]
