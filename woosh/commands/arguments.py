"""Numbers on the command line: the types that `argparse` calls, with errors that tell the range."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

MAX_CLIPS = 10_000
MAX_SEED = 2**63 - 1 - MAX_CLIPS  # torch takes 63 bits, and clip i uses seed + i


def number(low: float, high: float = math.inf, open_low: bool = False) -> Callable[[str], float]:
    """Return the argument type of finite numbers in [low, high], or (low, high] if `open_low`."""

    def parse(text: str) -> float:
        bounds = f"above {low:g}" if open_low else f"at least {low:g}"
        if high < math.inf:
            bounds = f"between {low:g} and {high:g}"
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        inside = low < value <= high if open_low else low <= value <= high
        if not (math.isfinite(value) and inside):
            raise argparse.ArgumentTypeError(f"must be a number {bounds}, not {text!r}")
        return value

    return parse


def _whole(text: str, low: int, high: int) -> int:
    value = int(text) if text.strip().lstrip("+-").isdecimal() else low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(
            f"must be a whole number from {low} to {high}, not {text!r}"
        )
    return value


def count_up_to(high: int) -> Callable[[str], int]:
    """Return the argument type of whole numbers from 1 to `high`."""
    return lambda text: _whole(text, 1, high)


def seed_number(text: str) -> int:
    """The argument type of seeds."""
    return _whole(text, 0, MAX_SEED)
