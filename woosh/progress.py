"""Showing how far a long task is. Nothing here prints unless somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

# Iterable, number of items, title -> the same items
Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


def no_progress(items: Iterable[Any], _total: int, _title: str) -> Iterable[Any]:
    """Shows nothing."""
    return items


def tqdm_on_terminals(steps: Iterable[Any]) -> Iterable[Any]:
    """Show a progress bar where somebody watches."""
    from tqdm import tqdm

    return tqdm(steps, leave=False, disable=not sys.stderr.isatty())


def progress_on_terminals(items: Iterable[Any], total: int, title: str) -> Iterable[Any]:
    """Show how far a long task is, where somebody watches."""
    from tqdm import tqdm

    return tqdm(items, title, total, leave=False, disable=not sys.stderr.isatty())
