"""Files below a folder: what cannot be read is told, and never taken for absent."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple


class FoundFiles(NamedTuple):
    """What lies below a folder.

    Attributes:
        files: regular files, or links to such, sorted by folder and name.
        unreadable: folders that cannot be listed and files that cannot be looked at, by their path inside the folder with
            forward slashes, with the reason: what they hold is not known.
    """

    files: list[Path]
    unreadable: dict[str, str]


def find_files(
    folder: Path,
    suffixes: Collection[str],
    enters: Callable[[Path], bool] = lambda _: True,
) -> FoundFiles:
    """Files below a folder with one of these extensions, in lower case.

    Args:
        folder: searched with all folders below it; links to folders are not followed.
        suffixes: of the files that count.
        enters: whether a file, or a folder below this one, counts by its path.

    Raises:
        OSError: the folder itself cannot be listed.
    """
    files: list[Path] = []
    unreadable: dict[str, str] = {}

    def tell(error: OSError) -> None:
        if error.filename is None or Path(error.filename) == folder:
            raise error
        inside = Path(error.filename).relative_to(folder).as_posix()
        unreadable[inside] = f"cannot be read: {error.strerror}"

    for place, folders, names in os.walk(folder, onerror=tell):
        folders[:] = sorted(name for name in folders if enters(Path(place, name)))
        for path in (Path(place, name) for name in sorted(names)):
            if path.suffix.lower() in suffixes and enters(path):
                try:
                    if S_ISREG(path.stat().st_mode):
                        files.append(path)
                except FileNotFoundError:  # a link to nothing
                    continue
                except OSError as error:
                    tell(error)
    return FoundFiles(files, unreadable)
