"""Making the index of a folder of sounds, and keeping it up to date."""

from __future__ import annotations

import dataclasses
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import numpy as np

from woosh.audio import SUFFIXES, find_files
from woosh.embeddings.embedders import Embedder
from woosh.outside_files import shown
from woosh.progress import Progress, no_progress
from woosh.search.hearing import (
    HeardFile,
    Hearing,
    Listening,
    SoundFile,
    hear_file,
)
from woosh.search.index import (
    DATABASE,
    FORMAT,
    LOCK_SECONDS,
    VECTORS,
    Settings,
    check_tables,
    read_settings,
    unusable,
)
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
        problems: files that cannot be heard, and folders that cannot be listed, by path, with the reason.
    """

    sounds: int
    embedded: int
    reused: int
    unchanged: int
    removed: int
    problems: dict[str, str]


def update_index(
    folder: Path,
    index: Path,
    embedder: Embedder,
    model: str,
    hearing: Hearing,
    progress: Progress = no_progress,
) -> Report:
    """Bring the index of a folder up to date: what did not change is not heard again.

    After an interruption the next update goes on where this one stopped. What cannot be read at present, files or whole
    folders, stays in the index as it was, is told, and is tried again in the next update.

    Args:
        folder: of sounds, searched with all folders below it; hidden ones are left out.
        index: folder of the index; made if missing.
        embedder: for sounds and texts.
        model: name by which the embedder is loaded again.
        hearing: hears the files, here or elsewhere.
        progress: shows how far it is.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no sound in it, or the index is another folder's, another embedder's or damaged.
        OSError: the index cannot be written.
    """
    found = find_sounds(folder, index)
    index.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        format=FORMAT,
        folder=_folder_name(folder, index),
        model=model,
        weights=embedder.weights,
        protocol=embedder.protocol,
        width=str(embedder.width),
    )
    with unusable(index / DATABASE), closing(_open_to_write(index, settings)) as database:
        rows = database.execute("SELECT path, size, modified FROM sounds")
        known = {row[0]: SoundFile(*row) for row in rows}
        waiting = [file for file in found.files if known.get(file.path) != file]
        heard = _listen(database, folder, waiting, embedder, hearing, progress)
        missing = known.keys() - {file.path for file in found.files}
        gone = [path for path in missing if not _is_below(path, found.unreadable)]
        database.executemany("DELETE FROM sounds WHERE path = ?", [(path,) for path in gone])
        database.commit()
        sounds = _synchronise(database, index, embedder.width, progress)
        rows = database.execute("SELECT path, problem FROM sounds WHERE problem NOTNULL")
        problems = dict(rows.fetchall()) | found.unnamed | found.unreadable | heard.unread
    return Report(
        sounds,
        heard.embedded,
        heard.reused,
        len(found.files) - len(waiting),
        len(gone),
        dict(sorted(problems.items())),
    )


def _is_below(path: str, places: Iterable[str]) -> bool:
    """Whether a path is one of these, or lies below one."""
    return any(path == place or path.startswith(f"{place}/") for place in places)


class FoundSounds(NamedTuple):
    """What lies in a folder of sounds.

    Attributes:
        files: that are to be heard.
        unnamed: files whose names are no text, with the reason.
        unreadable: folders that cannot be listed and files that cannot be looked at, with the reason.
    """

    files: list[SoundFile]
    unnamed: dict[str, str]
    unreadable: dict[str, str]


def find_sounds(folder: Path, index: Path) -> FoundSounds:
    """The audio files below a folder by their extension, without hidden ones and the index itself.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no audio file in it.
        OSError: the folder itself cannot be listed.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    own = index.resolve()
    found = find_files(
        folder,
        SUFFIXES,
        lambda path: (
            not path.name.startswith(".") and (path.name != own.name or path.resolve() != own)
        ),
    )
    files, unnamed = [], {}
    for path in found.files:
        inside, facts = path.relative_to(folder).as_posix(), path.stat()
        if inside.isprintable():
            files.append(SoundFile(inside, facts.st_size, facts.st_mtime_ns))
        else:
            unnamed[ascii(inside)] = "its name cannot be printed: rename it"
    if not files and not found.unreadable:
        raise ValueError(f"{folder} holds no audio file ({', '.join(sorted(SUFFIXES))})")
    return FoundSounds(files, unnamed, found.unreadable)


def _folder_name(folder: Path, index: Path) -> str:
    """The indexed folder as the index names it: relative if the index lies inside and moves with it."""
    folder, index = folder.resolve(), index.resolve()
    return os.path.relpath(folder, index) if index.is_relative_to(folder) else str(folder)


def _open_to_write(index: Path, settings: Settings) -> sqlite3.Connection:
    """Open the database of an index, or make it.

    Raises:
        ValueError: it has other settings, or it is damaged.
    """
    database = sqlite3.connect(index / DATABASE, timeout=LOCK_SECONDS)
    try:
        check_tables(database, index)
        wanted = dataclasses.asdict(settings)
        with database:
            database.executescript(TABLES)
            database.executemany("INSERT OR IGNORE INTO settings VALUES (?, ?)", wanted.items())
            # Earlier versions kept what could not be read at the time, which has no content, for ever.
            database.execute("DELETE FROM sounds WHERE content = ''")
        found = dataclasses.asdict(read_settings(database, index))
        for name in wanted.keys() - {"model"}:
            if found[name] != wanted[name]:
                raise ValueError(
                    f"{index} was made for another {name}, {shown(found[name])} and not {shown(wanted[name])}: "
                    "name another index with -o, or delete this one"
                )
        rows = database.execute(
            "SELECT count(*) FROM sounds WHERE embedding NOTNULL"
            " AND (id < 0 OR typeof(embedding) <> 'blob' OR length(embedding) <> ?)",
            (2 * int(settings.width),),
        )
        if rows.fetchone()[0]:
            raise ValueError(f"{index / DATABASE} is damaged: delete the index and make it anew")
    except BaseException:
        database.close()
        raise
    return database


class _Listened(NamedTuple):
    """What came of files: how many were heard, how many known by their content, and which cannot be read at present."""

    embedded: int
    reused: int
    unread: dict[str, str]


def _listen(
    database: sqlite3.Connection,
    folder: Path,
    files: list[SoundFile],
    embedder: Embedder,
    hearing: Hearing,
    progress: Progress,
) -> _Listened:
    """Embed files into the database."""
    rows = database.execute("SELECT content FROM sounds WHERE embedding NOTNULL") if files else ()
    contents = frozenset(content for (content,) in rows)
    heard_files = hearing(Listening(folder, files, embedder, contents)) if files else ()
    embedded, reused, unread = 0, 0, {}
    committed = monotonic()
    try:
        for heard in progress(heard_files, len(files), "listening"):
            if not heard.content:  # it cannot be read at present, and stays as it was
                unread[heard.file.path] = str(heard.problem)
                continue
            embedded += heard.listened
            reused += not heard.listened and heard.problem is None
            if not _store(database, heard):
                # Another file had this content, and lost it in this update.
                again = hear_file(folder, heard.file, embedder, frozenset())
                if again.content:
                    _store(database, again)
            if monotonic() - committed > COMMIT_SECONDS:
                database.commit()
                committed = monotonic()
    finally:
        database.commit()
    return _Listened(embedded, reused, unread)


def _store(database: sqlite3.Connection, heard: HeardFile) -> bool:
    """Write what is known of a file; one whose content is as before keeps its number. False where nothing is known of it."""
    file, embedding, seconds = heard.file, heard.embedding, heard.seconds
    if not heard.listened and heard.problem is None:
        same = database.execute(
            "UPDATE sounds SET size = ?, modified = ? WHERE path = ? AND content = ?",
            (file.size, file.modified, file.path, heard.content),
        )
        if same.rowcount:
            return True
        known = database.execute(
            "SELECT seconds, embedding FROM sounds WHERE content = ? AND embedding NOTNULL",
            (heard.content,),
        ).fetchone()
        if known is None:
            return False
        seconds, embedding = known
    database.execute(
        "INSERT OR REPLACE INTO sounds (path, size, modified, content, seconds, embedding, problem)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*file, heard.content, seconds, embedding, heard.problem),
    )
    return True


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
