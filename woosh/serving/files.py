"""The files of jobs: what came with them and what was made, in a folder, or in a store of objects that many machines reach.

    uploads/JOB/NAME
    results/JOB/WORKER/NAME

A file counts once the table of jobs names it. Each worker has a place of its own for a job: it may have lost it to another one
and not know that yet.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Protocol

from woosh.command_line import missing_extra
from woosh.serving import uploads
from woosh.serving.settings import RESULTS, UPLOADS

PIECE = 2**20  # bytes
OBJECTS = ("s3", "gs", "az")  # kinds of stores of objects


class FilesError(OSError):
    """The store of the files cannot be reached."""


@dataclass(frozen=True)
class Stream:
    """A file that comes in pieces.

    Attributes:
        size: in bytes.
        pieces: of it.
    """

    size: int
    pieces: Iterator[bytes]


class Files(Protocol):
    """Where the files of jobs are kept."""

    def keep_upload(self, job: str, name: str, source: BinaryIO) -> str:
        """Keep what came with a job; its sha256.

        Raises:
            ValueError: it is too large.
            OSError: it cannot be written.
        """
        ...

    def upload(self, job: str, name: str) -> AbstractContextManager[Path]:
        """What came with a job, as a file that may be read meanwhile."""
        ...

    def making(self, job: str, worker: str) -> AbstractContextManager[Path]:
        """A folder for what a worker makes of a job, which is empty."""
        ...

    def deliver(self, job: str, worker: str, folder: Path) -> int:
        """Keep what a worker made in its folder; its size in bytes."""
        ...

    def tidy(self, job: str, worker: str, kept: bool) -> None:
        """Remove what nobody will fetch: what this worker made in vain, or what workers before it began."""
        ...

    def find(self, job: str, worker: str, name: str) -> Path | Stream | None:
        """A file that a worker made; None where there is none."""
        ...

    def jobs(self, kind: str) -> list[str]:
        """Names of the jobs that have files of a kind, uploads or results."""
        ...

    def age(self, job: str) -> float:
        """Seconds since the upload of a job came."""
        ...

    def remove(self, kind: str, job: str) -> None:
        """Remove the files of a job, of which there may be none."""
        ...


def open_files(address: str) -> Files:
    """The files at an address: a folder, or a URL such as s3://BUCKET/PREFIX.

    Raises:
        ValueError: nobody knows that kind of URL.
        ImportError: what reaches it is not installed.
    """
    if address.startswith("file://"):
        return Folder(Path(address.removeprefix("file://")))
    return Objects.at(address) if "://" in address else Folder(Path(address))


@dataclass(frozen=True)
class Folder:
    """Files in a folder, which other machines may share."""

    root: Path

    def keep_upload(self, job: str, name: str, source: BinaryIO) -> str:
        """See `Files`."""
        return uploads.keep(source, self.root / UPLOADS / job / name)

    @contextlib.contextmanager
    def upload(self, job: str, name: str) -> Iterator[Path]:
        """See `Files`."""
        yield self.root / UPLOADS / job / name

    @contextlib.contextmanager
    def making(self, job: str, worker: str) -> Iterator[Path]:
        """See `Files`."""
        folder = self.root / RESULTS / job / worker
        folder.mkdir(parents=True)
        yield folder

    def deliver(self, job: str, worker: str, folder: Path) -> int:
        """See `Files`; it lies where it belongs."""
        del job, worker
        return sum(path.stat().st_size for path in folder.iterdir())

    def tidy(self, job: str, worker: str, kept: bool) -> None:
        """See `Files`."""
        own = self.root / RESULTS / job / worker
        others = [path for path in own.parent.glob("*") if path != own]
        for path in others if kept else [own]:
            shutil.rmtree(path, ignore_errors=True)
        if not kept:
            with contextlib.suppress(OSError):  # another worker is at it
                own.parent.rmdir()

    def find(self, job: str, worker: str, name: str) -> Path | None:
        """See `Files`."""
        path = self.root / RESULTS / job / worker / name
        return path if path.is_file() else None

    def jobs(self, kind: str) -> list[str]:
        """See `Files`."""
        place = self.root / kind
        return [path.name for path in place.iterdir() if path.is_dir()] if place.is_dir() else []

    def age(self, job: str) -> float:
        """See `Files`."""
        try:
            return time.time() - (self.root / UPLOADS / job).stat().st_mtime
        except FileNotFoundError:  # it was removed meanwhile
            return 0.0

    def remove(self, kind: str, job: str) -> None:
        """See `Files`."""
        shutil.rmtree(self.root / kind / job, ignore_errors=True)


@dataclass(frozen=True)
class Objects:
    """Files in a store of objects. What is made or read lies in a temporary folder meanwhile.

    Attributes:
        system: that reaches them, of fsspec.
        root: their common address in it.
    """

    system: Any
    root: str

    @classmethod
    def at(cls, address: str) -> Objects:
        """The files at a URL.

        Raises:
            ValueError: nobody knows that kind of URL.
            ImportError: what reaches it is not installed.
        """
        try:
            import fsspec
            from obstore.fsspec import register
        except ImportError as error:
            raise missing_extra("stores of objects need fsspec and obstore", "cluster") from error
        kind = address.partition("://")[0]
        if kind not in OBJECTS:
            raise ValueError(
                f"{address} is no store that is known here: name a folder or s3://BUCKET/PREFIX"
            )
        register(kind)
        system, root = fsspec.core.url_to_fs(address)
        return cls(system, root.rstrip("/"))

    def keep_upload(self, job: str, name: str, source: BinaryIO) -> str:
        """See `Files`."""
        with TemporaryDirectory(prefix="woosh-") as place:
            path = Path(place) / job / name
            checksum = uploads.keep(source, path)
            self._put(path, UPLOADS, job, name)
        return checksum

    @contextlib.contextmanager
    def upload(self, job: str, name: str) -> Iterator[Path]:
        """See `Files`."""
        with TemporaryDirectory(prefix="woosh-") as place:
            path = Path(place) / name
            with _reaching():
                self.system.get_file(self._address(UPLOADS, job, name), str(path))
            yield path

    @contextlib.contextmanager
    def making(self, job: str, worker: str) -> Iterator[Path]:
        """See `Files`."""
        del job, worker
        with TemporaryDirectory(prefix="woosh-") as place:
            yield Path(place)

    def deliver(self, job: str, worker: str, folder: Path) -> int:
        """See `Files`."""
        size = 0
        for path in folder.iterdir():
            self._put(path, RESULTS, job, worker, path.name)
            size += path.stat().st_size
        return size

    def tidy(self, job: str, worker: str, kept: bool) -> None:
        """See `Files`."""
        own = self._address(RESULTS, job, worker)
        with _reaching():
            paths = self.system.find(self._address(RESULTS, job))
            self._remove([path for path in paths if path.startswith(f"{own}/") != kept])

    def find(self, job: str, worker: str, name: str) -> Stream | None:
        """See `Files`."""
        address = self._address(RESULTS, job, worker, name)
        try:
            with _reaching():
                return Stream(self.system.info(address)["size"], self._pieces(address))
        except FileNotFoundError:
            return None

    def jobs(self, kind: str) -> list[str]:
        """See `Files`."""
        place = self._address(kind)
        with _reaching():
            paths = self.system.find(place)
        return sorted({path.removeprefix(f"{place}/").partition("/")[0] for path in paths})

    def age(self, job: str) -> float:
        """See `Files`."""
        with _reaching():
            moments = [
                self.system.modified(path).timestamp()
                for path in self.system.find(self._address(UPLOADS, job))
            ]
        return time.time() - max(moments, default=time.time())

    def remove(self, kind: str, job: str) -> None:
        """See `Files`."""
        with _reaching():
            self._remove(self.system.find(self._address(kind, job)))

    def _remove(self, paths: list[str]) -> None:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):  # another server was quicker
                self.system.rm_file(path)

    def _put(self, path: Path, *names: str) -> None:
        try:
            with _reaching():
                self.system.put_file(str(path), self._address(*names))
        except FileNotFoundError as error:
            raise FilesError(f"there is no store of files at {self.root}") from error

    def _pieces(self, address: str) -> Iterator[bytes]:
        with _reaching(), self.system.open(address, "rb") as file:
            while piece := bytes(file.read(PIECE)):
                yield piece

    def _address(self, *names: str) -> str:
        return "/".join((self.root, *names))


@contextlib.contextmanager
def _reaching() -> Iterator[None]:
    """Errors of a store, whose kinds are many, as one kind; a file that is not there stays what it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise FilesError(f"the store of files cannot be reached: {reason[0]}") from error
