"""Where sounds and videos go: a file that the user named, or free names in a folder, checked before the work."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from woosh import audio
from woosh.outside_files import expanded
from woosh.whole_files import check_replaceable, claimed, numbered


@dataclass(frozen=True)
class Target:
    """Where sounds or videos go."""

    folder: Path
    file: Path | None  # the very file, if the user named one for a single sound
    stem: str | None  # stem of the names in `folder`; None names them after the prompts
    file_format: str

    def claim(self, prompt: str, index: int, clips: int) -> AbstractContextManager[Path]:
        """Hold the path of clip `index` of `clips` while it is written; unless the user named it, a free one."""
        if self.file is not None:
            return nullcontext(self.file)
        return claimed(self.names(prompt, index, clips))

    def names(self, prompt: str, index: int, clips: int) -> Iterator[Path]:
        """Names for a clip in the folder, the best first, without end."""
        stem = self.stem or audio.file_stem(prompt)
        if clips > 1:
            stem = f"{stem}-{index + 1:0{len(str(clips))}d}"
        return numbered(self.folder / f"{stem}.{self.file_format}")


def plan_output(
    output: str | None,
    file_format: str | None,
    clips: int,
    stem: str | None = None,
    default_format: str = "wav",
    format_of: Callable[[Path], str] = audio.format_of,
) -> Target:
    """Decide where `clips` files go and check that they can be written there.

    Args:
        output: what the user named, if anything.
        file_format: that the user asked for, if any.
        clips: how many.
        stem: of the names in a folder; None names the files after their prompts.
        default_format: of files in a folder.
        format_of: the format that a name asks for, or a ValueError.

    Raises:
        ValueError: an unknown extension, or one that contradicts `file_format`.
        OSError: a folder that does not exist or cannot be written to.
    """
    path = expanded(output or ".")
    is_folder = path.is_dir() or (output or "").endswith(("/", os.sep)) or not path.suffix
    if output == "":
        raise ValueError("the output's name is empty")
    if is_folder:
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(f"{path} exists and is not a folder")
        check_writable(path if path.exists() else path.parent)
        return Target(path, None, stem, file_format or default_format)
    named = format_of(path)
    if file_format not in (None, named):
        raise ValueError(f"{path.name} asks for {named} and --format for {file_format}: choose one")
    check_file(path)
    return Target(path.parent, path if clips == 1 else None, path.stem, named)


def check_file(path: Path) -> None:
    """Raise OSError unless a file can be written at `path`, in the place of what may be there."""
    check_writable(check_replaceable(path).parent)


def check_writable(folder: Path) -> None:
    """Raise OSError unless a file can be created in `folder`: permissions alone do not tell."""
    if not folder.is_dir():
        raise FileNotFoundError(f"cannot write to {folder}: there is no such folder")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"cannot write to {folder}: {error.strerror}") from error
