"""Nearest neighbours among unit vectors, in a file that is mapped into memory, not read.

The file is usearch's: a graph of small worlds (HNSW, arXiv 1603.09320) over half-precision vectors.
Small collections are compared one by one instead, which is exact.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from woosh.whole_files import replacing

if TYPE_CHECKING:
    from usearch.index import Index

EXACT_UP_TO = 100_000  # vectors; one by one they take about as long as the walk through the graph
CONNECTIVITY = 16  # neighbours that a vector is linked to
BUILD_EXPANSION = 128  # candidates while it is linked
SEARCH_EXPANSION = (
    512  # candidates while it is looked for: texts lie apart from sounds, and are harder
)


class Neighbour(NamedTuple):
    """A vector's key, and its cosine with what was looked for."""

    key: int
    score: float


def new_index(width: int) -> Index:
    """An empty index of vectors (width,)."""
    from usearch.index import Index

    return Index(
        ndim=width,
        metric="ip",
        dtype="f16",
        connectivity=CONNECTIVITY,
        expansion_add=BUILD_EXPANSION,
        expansion_search=SEARCH_EXPANSION,
    )


def write_vectors(path: Path, index: Index) -> None:
    """Write an index; the file appears under its name only once it is complete.

    Raises:
        OSError: it cannot be written.
    """
    try:
        with replacing(path) as part:
            index.save(str(part))
    except RuntimeError as error:
        raise OSError(f"cannot write {path}: {error}") from error


def read_vectors(path: Path, width: int, changeable: bool = False) -> Index:
    """Open a file of `write_vectors`: mapped into memory, or loaded if it is to be changed.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it holds no such index.
    """
    from usearch.index import Index

    if not path.is_file():
        raise FileNotFoundError(f"no vectors at {path}")
    try:
        facts = Index.metadata(str(path))
        index = Index.restore(str(path), view=not changeable) if facts else None
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if index is None or index.ndim != width:
        raise ValueError(f"{path} does not hold vectors of {width} numbers")
    index.expansion_add, index.expansion_search = BUILD_EXPANSION, SEARCH_EXPANSION
    return index


def keys_of(index: Index) -> set[int]:
    """All keys of an index."""
    return {int(key) for key in index.keys} if len(index) else set()


def nearest(index: Index, vector: np.ndarray, count: int) -> list[Neighbour]:
    """The `count` vectors with the greatest cosine to a unit vector (D,), best first.

    All are compared up to `EXACT_UP_TO` vectors; past that, the graph finds nearly all of them.

    Raises:
        ValueError: a vector of another width.
    """
    if vector.shape != (index.ndim,):
        raise ValueError(f"the index has vectors ({index.ndim},), the one asked is {vector.shape}")
    count = min(count, len(index))
    if count == 0:  # usearch reads memory that is not there
        return []
    exact = len(index) <= EXACT_UP_TO
    index.expansion_search = max(SEARCH_EXPANSION, 2 * count)
    found = index.search(vector.astype(np.float32), count, exact=exact)
    return [
        Neighbour(int(key), 1.0 - float(distance))
        for key, distance in zip(found.keys, found.distances, strict=True)
    ]
