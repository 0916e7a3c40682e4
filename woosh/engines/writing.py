"""Files for engines are written beside the sounds; what somebody else has written or changed is left alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from woosh.engines.cues import MARK, EngineFile
from woosh.outside_files import MOST_MANIFEST_BYTES, read_text
from woosh.whole_files import check_replaceable, write_text


@dataclass(frozen=True)
class Outcome:
    """Paths of what was written, was as it should be, or was left alone."""

    written: Sequence[Path]
    unchanged: Sequence[Path]
    kept: Sequence[Path]


def write_files(folder: Path, files: Sequence[EngineFile]) -> Outcome:
    """Write files into a folder of assets, each whole or not at all.

    A file that is there already is replaced only if `MARK` stands in it: engines drop it when they write a file anew.

    Raises:
        OSError: a file cannot be written.
        ValueError: what is there is no text.
    """
    written, unchanged, kept = [], [], []
    for file in files:
        path = folder / file.path
        check_replaceable(path)
        if path.exists():
            present = read_text(path, MOST_MANIFEST_BYTES)
            if present == file.text:
                unchanged.append(path)
                continue
            if MARK not in present:
                kept.append(path)
                continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, file.text)
        written.append(path)
    return Outcome(written, unchanged, kept)
