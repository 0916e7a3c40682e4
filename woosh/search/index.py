"""An index of sounds, open for searching by words or by example.

An index is a folder of two files: `sounds.sqlite` holds what is known of each file, its embedding
too, and is written as the work goes on; `vectors.usearch` is made from it in the end.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from woosh.search.vectors import nearest, read_vectors

if TYPE_CHECKING:
    from usearch.index import Index as VectorIndex

DATABASE, VECTORS = "sounds.sqlite", "vectors.usearch"
FOLDER_NAME = ".woosh-index"  # in the indexed folder, unless another place is named
FORMAT = "1"
LOCK_SECONDS = 30.0  # that one waits for another who writes


@dataclass(frozen=True)
class Match:
    """A sound that was found."""

    score: float  # cosine with what was looked for
    path: Path
    seconds: float


@dataclass(frozen=True)
class SoundIndex:
    """An index that is open for searching.

    Attributes:
        place: folder of the index.
        folder: of the sounds.
        model: name by which the embedder is loaded.
        weights: sha256 of the weights that embedded the sounds.
        vectors: mapped into memory.
    """

    place: Path
    folder: Path
    model: str
    weights: str
    vectors: VectorIndex

    def search(self, vector: np.ndarray, count: int) -> list[Match]:
        """The sounds nearest to a unit vector (D,), best first.

        A sound that was removed from the folder after the vectors were written is left out.
        """
        with closing(_open_to_read(self.place)) as database:
            matches = []
            for key, score in nearest(self.vectors, vector, count):
                row = database.execute("SELECT path, seconds FROM sounds WHERE id = ?", (key,))
                for path, seconds in row:
                    matches.append(Match(score, self.folder / path, seconds))
        return matches

    def waiting(self) -> int:
        """Sounds that were heard but cannot be found yet, since an update was interrupted."""
        with closing(_open_to_read(self.place)) as database:
            count = database.execute("SELECT count(*) FROM sounds WHERE embedding NOTNULL")
            return max(0, count.fetchone()[0] - len(self.vectors))


def open_index(place: Path) -> SoundIndex:
    """Open an index by its folder, or by the folder of sounds that it lies in.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, unfinished, or of another format.
    """
    if not (place / DATABASE).is_file():
        place = place / FOLDER_NAME
    if not (place / DATABASE).is_file():
        raise FileNotFoundError(f"no index in {place.parent}: make one with `woosh index DIR`")
    with closing(_open_to_read(place)) as database:
        settings = dict(database.execute("SELECT name, value FROM settings"))
    if settings.get("format") != FORMAT:
        raise ValueError(f"{place} is no index of this version: delete it and make it anew")
    folder = Path(os.path.normpath(place.resolve() / settings["folder"]))
    try:
        vectors = read_vectors(place / VECTORS, int(settings["width"]))
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(f"{place} is not complete: run `woosh index` again ({error})") from error
    return SoundIndex(place, folder, settings["model"], settings["weights"], vectors)


def _open_to_read(place: Path) -> sqlite3.Connection:
    path = place / DATABASE
    try:
        database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", LOCK_SECONDS, uri=True)
        database.execute("SELECT count(*) FROM settings")
    except sqlite3.DatabaseError as error:
        raise unusable(path, error) from error
    return database


def unusable(path: Path, error: sqlite3.Error) -> ValueError:
    """The error of a database that cannot be read or written."""
    return ValueError(f"{path} cannot be used ({error}): if it is damaged, delete the index")
