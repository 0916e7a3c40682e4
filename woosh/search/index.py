"""An index of sounds, open for searching by words or by example.

An index is a folder of two files: `sounds.sqlite` holds what is known of each file, its embedding
too, and is written as the work goes on; `vectors.usearch` is made from it in the end.

An index may come from someone else. What it says is checked: its tables, its paths, which name sounds below its folder,
and its model, which is loaded without being named only if it is built in.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from woosh import catalogue
from woosh.audio import SUFFIXES
from woosh.outside_files import printable, shaped, shown
from woosh.search.vectors import nearest, read_vectors

if TYPE_CHECKING:
    from usearch.index import Index as VectorIndex

DATABASE, VECTORS = "sounds.sqlite", "vectors.usearch"
FOLDER_NAME = ".woosh-index"  # in the indexed folder, unless another place is named
FORMAT = "1"
LOCK_SECONDS = 30.0  # that one waits for another who writes
WIDEST = 65_536  # numbers of a vector
LONGEST_NAME = 300  # characters of a model's name that are shown
STATISTICS = "log-mel"  # an embedder without weights
LARGEST_NUMBER = 2**63 - 1  # of a row of a database


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

        Raises:
            ValueError: the index is damaged, or names what is no sound below its folder.
        """
        with _reading(self.place) as database:
            matches = []
            for key, score in nearest(self.vectors, vector, count):
                if key > LARGEST_NUMBER:
                    raise ValueError(
                        f"{self.place} has vectors of unknown sounds: delete the index"
                    )
                row = "SELECT substr(path, 1, 5000), seconds FROM sounds WHERE id = ?"
                for path, seconds in database.execute(row, (key,)):
                    if not _is_sound_below(path) or not _is_length(seconds):
                        raise ValueError(
                            f"{self.place} names {shown(path)} of {shown(seconds)} s, which is no sound below "
                            "its folder: delete the index"
                        )
                    matches.append(Match(score, self.folder / path, seconds))
        return matches

    def waiting(self) -> int:
        """Sounds that were heard but cannot be found yet, since an update was interrupted."""
        with _reading(self.place) as database:
            count = database.execute("SELECT count(*) FROM sounds WHERE embedding NOTNULL")
            return max(0, count.fetchone()[0] - len(self.vectors))


@dataclass(frozen=True)
class Settings:
    """What an index says of itself: its table `settings`.

    Attributes:
        format: of the index.
        folder: of the sounds, relative to the index or absolute.
        model: name by which the embedder is loaded.
        weights: sha256 of them.
        protocol: of the embedder.
        width: of the vectors, in digits.
    """

    format: str
    folder: str
    model: str
    weights: str
    protocol: str
    width: str

    def __post_init__(self) -> None:
        if not self.width.isdecimal() or len(self.width) > 5 or not 1 <= int(self.width) <= WIDEST:
            raise ValueError(f"width is {shown(self.width)}; it must be from 1 to {WIDEST}")
        if not self.folder.isprintable():
            raise ValueError(f"the folder {shown(self.folder)} cannot be printed")


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
    with _reading(place) as database:
        settings = read_settings(database, place)
    folder = Path(os.path.normpath(place.resolve() / settings.folder))
    try:
        vectors = read_vectors(place / VECTORS, int(settings.width))
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(f"{place} is not complete: run `woosh index` again ({error})") from error
    return SoundIndex(place, folder, settings.model, settings.weights, vectors)


def trusted_model(index: SoundIndex, remedy: str) -> str:
    """The model that an index names, if that may be loaded without being named by the user: one that is built in.

    Args:
        index: that may come from someone else.
        remedy: what the user can do if it may not be loaded, for the error.

    Raises:
        ValueError: it may not.
    """
    if catalogue.is_built_in(index.model) or index.model == STATISTICS:
        return index.model
    raise ValueError(
        f"{index.place} was made with '{printable(index.model[:LONGEST_NAME])}', which is not built in: {remedy}"
    )


def read_settings(database: sqlite3.Connection, place: Path) -> Settings:
    """What an open index says of itself.

    Raises:
        ValueError: another format, or a setting that is missing or has another type.
    """
    settings: dict[Any, Any] = dict(
        database.execute("SELECT name, substr(value, 1, 5000) FROM settings LIMIT 100")
    )
    if settings.get("format") != FORMAT:
        raise ValueError(f"{place} is no index of this version: delete it and make it anew")
    try:
        return shaped(Settings, settings, str(place))
    except ValueError as error:
        raise ValueError(f"{error}: delete the index and make it anew") from error


@contextmanager
def _reading(place: Path) -> Iterator[sqlite3.Connection]:
    """The database of an index, open to be read; what goes wrong meanwhile is one `ValueError`."""
    path = place / DATABASE
    with unusable(path):
        address = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, LOCK_SECONDS, uri=True)) as database:
            check_tables(database, place)
            yield database


def check_tables(database: sqlite3.Connection, place: Path) -> None:
    """Refuse a database with views or triggers: what they do when they are read is whatever their author wrote.

    Raises:
        ValueError: it has one.
    """
    database.execute("PRAGMA trusted_schema = OFF")
    rows = "SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') LIMIT 1"
    for (name,) in database.execute(rows):
        raise ValueError(f"{place / DATABASE} holds {shown(name)}, which no index has: delete it")


@contextmanager
def unusable(path: Path) -> Iterator[None]:
    """Whatever SQLite refuses to do with a database, as one `ValueError` with the database's name."""
    try:
        yield
    # UnicodeDecodeError: what SQLite says of a damaged database may quote its bytes.
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} cannot be used ({error}): if it is damaged, delete the index"
        ) from error


def _is_sound_below(path: Any) -> bool:
    """Whether a path of the database is that of a sound below the folder, as `woosh index` writes it."""
    if not isinstance(path, str) or not path.isprintable():
        return False
    parts = PurePosixPath(path).parts
    inside = not Path(path).is_absolute() and ".." not in Path(path).parts and ".." not in parts
    return inside and Path(path).suffix.lower() in SUFFIXES


def _is_length(seconds: Any) -> bool:
    return isinstance(seconds, float | int) and math.isfinite(seconds) and seconds >= 0


def check_readable(path: Path, folder: Path) -> None:
    """Refuse to copy what is no regular file below the folder of the sounds, links followed.

    Raises:
        FileNotFoundError: it is no longer there.
        ValueError: it is no regular file, or a link leads out of the folder.
    """
    if not path.exists():
        raise FileNotFoundError(f"no longer there: {path}")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"not copied, since a link leads out of {folder}: {path}")
    if not path.is_file():
        raise ValueError(f"not copied, since it is no regular file: {path}")
