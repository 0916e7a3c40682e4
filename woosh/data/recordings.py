"""Recordings named by a manifest, or found in a folder with captions beside them."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from woosh.audio import SUFFIXES, file_stem, find_files
from woosh.data.clotho import caption_tables, read_table
from woosh.data.manifests import Row, read_manifest
from woosh.outside_files import lines_of, read_text

logger = logging.getLogger(__name__)


class Recordings(NamedTuple):
    """What a manifest or a folder names.

    Attributes:
        folder: that the rows' files are relative to.
        rows: one for each recording.
        unreadable: files whose captions, and folders whose files, cannot be read, by path, with the reason.
    """

    folder: Path
    rows: list[Row]
    unreadable: dict[str, str]

    def warned(self) -> Recordings:
        """The same, after a warning that names what cannot be read."""
        if self.unreadable:
            reasons = "; ".join(f"{path} ({reason})" for path, reason in self.unreadable.items())
            logger.warning("skipped %d files: %s", len(self.unreadable), reasons)
        return self


def list_recordings(source: Path, suffixes: Collection[str] = SUFFIXES) -> Recordings:
    """The rows of a manifest, or the audio files below a folder with captions that lie beside them.

    The captions of `dog.wav` are the lines of `dog.txt`, or the words of its name if there is no such file. A folder with
    Clotho's tables, or one of these, is read by them.

    Args:
        source: manifest (JSONL beside its files), folder, or Clotho's table of captions.
        suffixes: of the files that count in a folder, in lower case.

    Raises:
        FileNotFoundError: no such manifest or folder.
        ValueError: a faulty manifest, or no audio file in the folder that can be read.
        OSError: the folder cannot be listed.
    """
    if tables := caption_tables(source):
        rows = [row for table in tables for row in read_table(table)]
        return Recordings(tables[0].parent, rows, {})
    if source.is_file():
        rows = read_manifest(source)
        if not rows:
            raise ValueError(
                f"{source} has no rows: a manifest has a line of JSON for every recording"
            )
        return Recordings(source.parent, rows, {})
    if not source.is_dir():
        raise FileNotFoundError(
            f"neither a manifest nor a folder: {source}; name a folder of sounds, or a JSONL manifest"
        )
    found = find_files(source, suffixes)
    rows, unreadable = [], dict(found.unreadable)
    for path in found.files:
        name = path.relative_to(source).as_posix()
        try:
            rows.append(Row(name, _captions_beside(path), 0.0, group=path.stem))
        except (ValueError, OSError) as error:
            unreadable[name] = str(error)
    if not rows and unreadable:
        path, reason = next(iter(unreadable.items()))
        raise ValueError(f"no file of {source} can be used: {path}: {reason}")
    if not rows:
        kind = "audio" if suffixes == SUFFIXES else "such"
        raise ValueError(f"{source} holds no {kind} file ({', '.join(sorted(suffixes))})")
    return Recordings(source, rows, unreadable)


def _captions_beside(path: Path) -> tuple[str, ...]:
    beside = path.with_suffix(".txt")
    lines = lines_of(read_text(beside)) if beside.is_file() else []
    captions = tuple(line.strip() for line in lines if line.strip())
    return captions or (file_stem(path.stem).replace("-", " "),)
