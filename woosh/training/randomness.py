"""Random numbers of a batch: they follow from the run's seed, the batch's number and what they are for."""

import hashlib

import torch


def batch_generator(seed: int, number: int, purpose: str) -> torch.Generator:
    """The source of a batch's random numbers for one purpose, independent of those for any other.

    Two things drawn from equally seeded generators follow from each other: what was hidden of a video was once a
    function of the first clip's noise. The purpose is part of the seed, so no two streams are the same.

    Args:
        seed: of the run.
        number: of the batch.
        purpose: a name that nothing else draws under, such as "noise".
    """
    digest = hashlib.sha256(f"{purpose} {seed} {number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
