"""Making the index of a folder of sounds, and keeping it up to date."""

from __future__ import annotations

import math
import os
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import numpy as np
import soundfile
from torch import Tensor

from woosh.audio import SUFFIXES
from woosh.checksums import hash_files
from woosh.embeddings.embedders import Embedder, read_to_embed
from woosh.progress import Progress, no_progress
from woosh.search.index import DATABASE, FORMAT, LOCK_SECONDS, VECTORS, unusable
from woosh.search.vectors import keys_of, new_index, read_vectors, write_vectors

COMMIT_SECONDS = 2.0
BLOCK = 10_000  # embeddings that travel from one file to the other at a time
REMOVED_SHARE = 0.2  # of the vectors; with more holes than that the graph is built anew

TABLES = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sounds (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    content TEXT NOT NULL,
    seconds REAL,
    embedding BLOB,
    problem TEXT
);
CREATE INDEX IF NOT EXISTS contents ON sounds (content);
"""


@dataclass(frozen=True)
class Report:
    """What an update of an index did.

    Attributes:
        sounds: that can be found now.
        embedded: heard in this update.
        reused: known already by their content, under another name or time.
        unchanged: left as they were.
        removed: no longer there.
        problems: files that cannot be heard, by path, with the reason.
    """

    sounds: int
    embedded: int
    reused: int
    unchanged: int
    removed: int
    problems: dict[str, str]


class _File(NamedTuple):
    path: str  # inside the folder, with forward slashes
    size: int
    modified: int  # ns


class _Heard(NamedTuple):
    """A file that was read: its audio; nothing, if its content is known; or why neither."""

    file: _File
    content: str
    seconds: float = 0.0
    audio: Tensor | None = None  # (S,)
    problem: str | None = None


def update_index(
    folder: Path,
    index: Path,
    embedder: Embedder,
    model: str,
    readers: int = 4,
    progress: Progress = no_progress,
) -> Report:
    """Bring the index of a folder up to date: what did not change is not heard again.

    After an interruption the next update goes on where this one stopped.

    Args:
        folder: of sounds, searched with all folders below it; hidden ones are left out.
        index: folder of the index; made if missing.
        embedder: for sounds and texts.
        model: name by which the embedder is loaded again.
        readers: threads that read files beside this one.
        progress: shows how far it is.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no sound in it, or the index is another folder's, another embedder's or damaged.
        OSError: the index cannot be written.
    """
    files, unnamed = find_sounds(folder, index)
    index.mkdir(parents=True, exist_ok=True)
    settings = {
        "format": FORMAT,
        "folder": _folder_name(folder, index),
        "model": model,
        "weights": embedder.weights,
        "protocol": embedder.protocol,
        "width": str(embedder.width),
    }
    with closing(_open_to_write(index, settings)) as database:
        rows = database.execute("SELECT path, size, modified FROM sounds")
        known = {row[0]: _File(*row) for row in rows}
        waiting = [file for file in files if known.get(file.path) != file]
        embedded, reused = _listen(database, folder, waiting, embedder, readers, progress)
        gone = known.keys() - {file.path for file in files}
        database.executemany("DELETE FROM sounds WHERE path = ?", [(path,) for path in gone])
        database.commit()
        sounds = _synchronise(database, index, embedder.width, progress)
        rows = database.execute("SELECT path, problem FROM sounds WHERE problem NOTNULL")
        problems = unnamed | dict(rows.fetchall())
    return Report(
        sounds,
        embedded,
        reused,
        len(files) - len(waiting),
        len(gone),
        dict(sorted(problems.items())),
    )


def find_sounds(folder: Path, index: Path) -> tuple[list[_File], dict[str, str]]:
    """The audio files below a folder by their extension, without hidden ones and the index itself.

    Returns:
        The files, and those whose names are no text, with the reason.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no audio file in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    files, unnamed = [], {}
    own = index.resolve()
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and Path(place, name).resolve() != own
        )
        for name in sorted(names):
            path = Path(place, name)
            if path.suffix.lower() not in SUFFIXES or name.startswith(".") or not path.is_file():
                continue
            inside, facts = path.relative_to(folder).as_posix(), path.stat()
            if inside.isprintable():
                files.append(_File(inside, facts.st_size, facts.st_mtime_ns))
            else:
                unnamed[ascii(inside)] = "its name cannot be printed: rename it"
    if not files:
        raise ValueError(f"{folder} holds no audio file ({', '.join(sorted(SUFFIXES))})")
    return files, unnamed


def _folder_name(folder: Path, index: Path) -> str:
    """The indexed folder as the index names it: relative if the index lies inside and moves with it."""
    folder, index = folder.resolve(), index.resolve()
    return os.path.relpath(folder, index) if index.is_relative_to(folder) else str(folder)


def _open_to_write(index: Path, settings: dict[str, str]) -> sqlite3.Connection:
    """Open the database of an index, or make it.

    Raises:
        ValueError: it has other settings, or it is damaged.
    """
    path = index / DATABASE
    try:
        database = sqlite3.connect(path, timeout=LOCK_SECONDS)
        with database:
            database.executescript(TABLES)
            database.executemany("INSERT OR IGNORE INTO settings VALUES (?, ?)", settings.items())
        found = dict(database.execute("SELECT name, value FROM settings"))
    except sqlite3.DatabaseError as error:
        raise unusable(path, error) from error
    for name in settings.keys() - {"model"}:
        if found[name] != settings[name]:
            database.close()
            raise ValueError(
                f"{index} was made for another {name}, {found[name]!r} and not {settings[name]!r}: "
                "name another index with -o, or delete this one"
            )
    return database


def _listen(
    database: sqlite3.Connection,
    folder: Path,
    files: list[_File],
    embedder: Embedder,
    readers: int,
    progress: Progress,
) -> tuple[int, int]:
    """Embed files into the database: how many were heard, and how many known by their content."""
    rows = database.execute("SELECT content FROM sounds WHERE embedding NOTNULL") if files else ()
    contents = {content for (content,) in rows}
    heard_files = _read_ahead(folder, files, embedder, readers, contents)
    counts = [0, 0]
    committed = monotonic()
    try:
        for heard in progress(heard_files, len(files), "listening"):
            counts[0] += heard.audio is not None
            counts[1] += heard.audio is None and heard.problem is None
            _store(database, folder, heard, embedder)
            if monotonic() - committed > COMMIT_SECONDS:
                database.commit()
                committed = monotonic()
    finally:
        database.commit()
    return counts[0], counts[1]


def _read_ahead(
    folder: Path, files: Iterable[_File], embedder: Embedder, readers: int, contents: set[str]
) -> Iterator[_Heard]:
    """Read files in their order, some ahead of their use."""
    with ThreadPoolExecutor(readers) as pool:
        waiting = iter(files)
        ahead = deque(
            pool.submit(_read, folder, file, embedder, contents)
            for file in islice(waiting, 2 * readers)
        )
        while ahead:
            heard = ahead.popleft().result()
            for file in islice(waiting, 1):
                ahead.append(pool.submit(_read, folder, file, embedder, contents))
            yield heard


def _read(folder: Path, file: _File, embedder: Embedder, contents: set[str]) -> _Heard:
    """Read a file, unless its content is known."""
    path, content = folder / file.path, ""
    try:
        content = hash_files([path])
        if content in contents:
            return _Heard(file, content)
        audio = read_to_embed(path, embedder)
        return _Heard(file, content, soundfile.info(path).duration, audio)
    except (ValueError, OSError) as error:
        return _Heard(file, content, problem=str(error))


def _store(database: sqlite3.Connection, folder: Path, heard: _Heard, embedder: Embedder) -> None:
    """Write what is known of a file; one whose content is as before keeps its number."""
    file, embedding, seconds, problem = heard.file, None, heard.seconds, heard.problem
    if heard.audio is not None:
        vector = embedder.embed(heard.audio).numpy()
        length = np.linalg.norm(vector)
        if np.isfinite(length) and length > 0:
            embedding = (vector / length).astype(np.float16).tobytes()
        else:
            problem = "the model hears nothing in it"
    elif problem is None:
        same = database.execute(
            "UPDATE sounds SET size = ?, modified = ? WHERE path = ? AND content = ?",
            (file.size, file.modified, file.path, heard.content),
        )
        if same.rowcount:
            return
        known = database.execute(
            "SELECT seconds, embedding FROM sounds WHERE content = ? AND embedding NOTNULL",
            (heard.content,),
        ).fetchone()
        if known is None:  # the file that had this content has another one since this update
            _store(database, folder, _read(folder, file, embedder, set()), embedder)
            return
        seconds, embedding = known
    database.execute(
        "INSERT OR REPLACE INTO sounds (path, size, modified, content, seconds, embedding, problem)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*file, heard.content, seconds, embedding, problem),
    )


def _synchronise(database: sqlite3.Connection, index: Path, width: int, progress: Progress) -> int:
    """Make the file of vectors hold the embeddings of the database, and count them."""
    path = index / VECTORS
    rows = database.execute("SELECT id FROM sounds WHERE embedding NOTNULL")
    wanted = {number for (number,) in rows}
    try:
        vectors = read_vectors(path, width)
        present = keys_of(vectors)
    except (FileNotFoundError, ValueError):
        present = None
    if present == wanted:
        return len(wanted)
    surplus = (present or set()) - wanted
    if present is None or len(surplus) > REMOVED_SHARE * len(present):
        vectors, present = new_index(width), set()
    else:
        vectors = read_vectors(path, width, changeable=True)
        for number in surplus:
            vectors.remove(number)
    rows = database.execute("SELECT id, embedding FROM sounds WHERE embedding NOTNULL ORDER BY id")
    missing = ((number, data) for number, data in rows if number not in present)
    total = len(wanted - present)
    for block in progress(_blocks(missing), math.ceil(total / BLOCK), "linking"):
        keys = np.array([number for number, _ in block], dtype=np.uint64)
        data = np.frombuffer(b"".join(data for _, data in block), dtype=np.float16)
        vectors.add(keys, data.reshape(len(keys), width))
    write_vectors(path, vectors)
    return len(wanted)


def _blocks(rows: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    rows = iter(rows)
    while block := list(islice(rows, BLOCK)):
        yield block
