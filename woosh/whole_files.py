"""How every file that a user named is written: whole or not at all, through links, never over what is read-only.

Names that nobody chose are claimed first, so that two runs in one folder never take the same one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

WRITE_BITS = 0o222
LOCK = ".woosh-lock"  # in a folder that one process at a time may fill


@contextmanager
def replacing(path: str | Path, suffix: str = ".part") -> Iterator[Path]:
    """Give a file beside `path` to write; it takes the place of `path` once it is complete, and goes if that fails.

    Of a symbolic link the link stays and what it leads to is replaced.

    Args:
        path: the file to write; another one may be there.
        suffix: of the file that is given, for writers that go by it.

    Raises:
        OSError: it cannot be written there; see also `check_replaceable`.
    """
    target = check_replaceable(path)
    # A random sibling: Path.replace is atomic only within one file system.
    part = target.with_name(f".woosh-{secrets.token_hex(6)}{suffix}")
    try:
        with failures_named(path):
            yield part
        part.replace(target)
    except OSError as error:
        if error.strerror is not None:
            raise OSError(f"cannot write {path}: {error.strerror}") from error
        if str(part) not in str(error):
            raise
        # What writes the part may itself write beside it, and knows of no other name.
        raise OSError(str(error).replace(str(part), str(path))) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def failures_named(path: str | Path) -> Iterator[None]:
    """Around what writes a file or folder: where the disk fails in it and no file is named, `path` is.

    Raises:
        OSError: of the disk, also for a file of weights, whose writer has an error of its own.
    """
    try:
        yield
    except Exception as error:
        reason = _disk_failure(error)
        if reason is None:
            raise
        raise OSError(f"cannot write {path}: {reason}") from error


def _disk_failure(error: Exception) -> str | None:
    """What failed at the disk, if it did and the error names no file."""
    if isinstance(error, OSError):
        return error.strerror if error.filename is None else None
    from safetensors import SafetensorError

    return str(error) if isinstance(error, SafetensorError) else None


def check_replaceable(path: str | Path) -> Path:
    """The file that writing to `path` replaces: itself, or where a symbolic link leads.

    Raises:
        OSError: something that is no file is there, or a file that is read-only, or a link that leads back to itself.
    """
    target = Path(path)
    if target.is_symlink():
        target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(f"{path} is a link that leads back to itself")
    if not target.exists():
        return target
    if not target.is_file():
        raise OSError(f"{path} exists and is not a file")
    # The bits are asked as well: an administrator may write to everything.
    if not (target.stat().st_mode & WRITE_BITS and os.access(target, os.W_OK)):
        raise PermissionError(f"{path} is read-only: make it writable or name another file")
    return target


def write_text(path: str | Path, text: str) -> None:
    """Write a text in UTF-8.

    Raises:
        OSError: as `replacing`.
    """
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep a folder for this process, so that no other one that asks for it works there meanwhile.

    The system holds the claim and gives it up with the process, however that ends; an empty hidden file stays.

    Raises:
        OSError: another process has it, or the file cannot be written.
    """
    import filelock

    try:
        with filelock.FileLock(folder / LOCK, blocking=False):
            yield
    except filelock.Timeout as error:
        raise OSError(
            f"another process works in {folder}: wait until it has ended, or name another folder"
        ) from error


def numbered(path: Path) -> Iterator[Path]:
    """A path, then the same with -2, -3, ... behind its stem, without end."""
    return chain([path], (path.with_name(f"{path.stem}-{take}{path.suffix}") for take in count(2)))


@contextmanager
def claimed(paths: Iterable[Path]) -> Iterator[Path]:
    """The first of the paths at which nothing is, held by an empty file until it is written; given up if that fails.

    Raises:
        OSError: no file can be created there.
    """
    for path in paths:
        try:
            path.open("xb").close()
        except FileExistsError:
            continue
        try:
            yield path
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return
