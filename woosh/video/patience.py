"""How long a film may take to be read and decoded, all of it together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

Part = TypeVar("Part")

MOST_SECONDS = 48 * 3600.0  # from a film's first picture to its last
PATIENCE_SECONDS = 600.0  # that any film may take
SLOWEST = 5.0  # and so many seconds for each second of it that has passed


def in_time(parts: Iterator[tuple[float | None, Part]], path: Path) -> Iterator[Part]:
    """The parts of a film as they come, each given with its time stamp in seconds, or None where it has none.

    Counted is what the parts take to come, not what is done with them.

    Args:
        parts: packets, pictures or sounds of the film, read as they are asked for.
        path: of the film, for the error.

    Raises:
        ValueError: they take longer than `PATIENCE_SECONDS`, and `SLOWEST` times as long as they last.
    """
    taken, first, passed = 0.0, None, 0.0
    while True:
        begun = time.monotonic()
        stamp, part = next(parts, (None, None))
        taken += time.monotonic() - begun
        if part is None:
            return
        if stamp is not None:
            first = stamp if first is None else first
            passed = min(max(passed, stamp - first), MOST_SECONDS)  # whatever the stamps say
        if taken > PATIENCE_SECONDS + SLOWEST * passed:
            raise ValueError(
                f"{path} takes too long: {taken:.0f} s for {passed:.0f} s of it; copy it to a faster disk, or make its "
                "pictures smaller"
            )
        yield part


def with_stamps(parts: Iterator[Any]) -> Iterator[tuple[float | None, Any]]:
    """Packets or frames of PyAV with their time stamps in seconds."""
    for part in parts:
        stamp, unit = part.pts, part.time_base
        yield (None if stamp is None or unit is None else float(stamp * unit), part)
