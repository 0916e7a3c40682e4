"""Showing how far a long task is. Nothing here prints unless somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

# Iterable, number of items, title -> the same items
Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


def no_progress(items: Iterable[Any], _total: int, _title: str) -> Iterable[Any]:
    """Shows nothing."""
    return items


def silent_steps(total: int | None) -> tqdm:
    """A bar of so many steps that shows nothing."""
    from tqdm import tqdm

    return tqdm(total=total, disable=True)


def steps_on_terminals(total: int | None) -> tqdm:
    """A bar of so many steps, or of as many as it takes, where somebody watches."""
    from tqdm import tqdm

    return tqdm(total=total, leave=False, disable=not sys.stderr.isatty())


def progress_on_terminals(items: Iterable[Any], total: int, title: str) -> Iterable[Any]:
    """Show how far a long task is, where somebody watches."""
    from tqdm import tqdm

    return tqdm(items, title, total, leave=False, disable=not sys.stderr.isatty())
