"""Parts of a sound, in seconds and in samples. Needs no torch, so that a wrong one is refused at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Region(NamedTuple):
    """A part of a sound in seconds, from `start` up to `stop`."""

    start: float
    stop: float


def places_of(regions: Sequence[Region], samples: int, sample_rate: int) -> list[slice]:
    """Regions of a sound as samples, in their order in time.

    Raises:
        ValueError: one that is not inside the sound, is empty, or overlaps another.
    """
    end, reached = samples / sample_rate, 0
    places = []
    for start, stop in sorted(regions):
        place = slice(round(start * sample_rate), min(samples, round(stop * sample_rate)))
        if not 0 <= start < stop <= end + 0.5 / sample_rate or place.stop <= place.start:
            raise ValueError(
                f"no region from {start:g} to {stop:g} s in a sound of {end:g} s: it must begin before it ends, inside "
                "the sound"
            )
        if place.start < reached:
            raise ValueError(
                f"the region from {start:g} to {stop:g} s overlaps the one before it: make one of them"
            )
        places.append(place)
        reached = place.stop
    return places
