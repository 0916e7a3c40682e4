"""Where takes are kept for a while, for whoever asked for them: a page, a server."""

from __future__ import annotations

import secrets
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from woosh import audio


@dataclass(frozen=True)
class Kept:
    """A take on a shelf.

    Attributes:
        path: of its file, below the shelf's folder.
        told: what it is, in one line.
        record: what its file says of it.
        loop: whether its end goes on at its beginning.
    """

    path: Path
    told: str
    record: audio.Record
    loop: bool = False

    @property
    def prompt(self) -> str:
        """What was asked for; empty for a sound that somebody brought."""
        return str(self.record.get("prompt", ""))

    @property
    def seed(self) -> int | None:
        """Of the take, if it was made here."""
        seed = self.record.get("seed")
        return None if seed is None else int(seed)


@dataclass(frozen=True)
class Shelf:
    """A folder of takes, each in a folder of its own whose name nobody can guess.

    Attributes:
        folder: that nothing else writes to.
        keep_seconds: after which what is there is removed.
    """

    folder: Path
    keep_seconds: float

    def place(self) -> Path:
        """A new folder on the shelf; those of long ago are removed."""
        for old in self.folder.iterdir():
            if old.stat().st_mtime < time.time() - self.keep_seconds:
                for path in old.iterdir():
                    path.unlink(missing_ok=True)
                old.rmdir()
        place = self.folder / secrets.token_urlsafe(12)
        place.mkdir()
        return place

    def keep(
        self,
        sound: np.ndarray,
        sample_rate: int,
        record: audio.Record,
        told: str,
        loop: bool = False,
    ) -> Kept:
        """Write a sound (C, S) with its record; of a loop the file says that it is one."""
        words = str(record.get("prompt") or told)
        seed = "" if record.get("seed") is None else f"-{record['seed']}"
        path = self.place() / f"{audio.file_stem(words)}{seed}.wav"
        marks = audio.Marks(loop=(0, sound.shape[1])) if loop else audio.NO_MARKS
        audio.write_audio(path, sound, sample_rate, record, marks=marks)
        return Kept(path, told, record, loop)

    def together(self, takes: Sequence[Kept]) -> Path:
        """One zip of several takes, numbered in their order."""
        path = self.place() / "woosh-takes.zip"
        with zipfile.ZipFile(path, "w") as archive:  # sound hardly gets smaller
            for number, take in enumerate(takes, start=1):
                archive.write(take.path, f"{number:02d}-{take.path.name}")
        return path
