"""What a game plays by a name: one sound, or several takes of which one is chosen each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from woosh.studio.manifest import Entry, read_manifest
from woosh.studio.sheets import check_name, folded, naming

MARK = "made by woosh engines"  # stands in every file, by which it is known as ours


@dataclass(frozen=True)
class Cue:
    """A sound or its takes.

    Attributes:
        name: parts between slashes are folders; see `woosh.studio.sheets.check_name`.
        takes: files, in their order.
    """

    name: str
    takes: tuple[Entry, ...]

    @property
    def folder(self) -> str:
        """The folders of the name, with slashes between them; empty at the top."""
        return self.name.rpartition("/")[0]

    @property
    def own_name(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]

    @property
    def loops(self) -> bool:
        """Whether its sounds are played around."""
        return self.takes[0].loop_end is not None


def read_cues(folder: Path, formats: Sequence[str], engine: str) -> list[Cue]:
    """The cues of a folder that `woosh batch` filled, sorted by name.

    Args:
        folder: of the assets.
        formats: that the engine reads.
        engine: its name, for the error.

    Raises:
        FileNotFoundError: there is no manifest of a whole sheet, or a sound is no longer there.
        ValueError: it is damaged or empty, or the engine does not read the format of a sound.
    """
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        raise FileNotFoundError(
            f"no manifest.json in {folder}: fill the folder with `woosh batch SHEET -o {folder}`, to the end"
        )
    takes: dict[str, list[Entry]] = {}
    for entry in read_manifest(folder):
        with naming(manifest):
            check_entry(entry)
            if entry.format not in formats:
                raise ValueError(
                    f"{engine} reads {', '.join(formats)}, and {entry.path} is {entry.format}: change the format in the sheet"
                )
        if not (folder / entry.path).is_file():
            raise FileNotFoundError(
                f"{folder / entry.path} is in the manifest and no longer there: run `woosh batch` again"
            )
        takes.setdefault(entry.name, []).append(entry)
    if not takes:
        raise ValueError(f"{manifest} tells of no sound")
    cues = [
        Cue(name, tuple(sorted(of, key=lambda e: e.path))) for name, of in sorted(takes.items())
    ]
    check_distinct([cue.name for cue in cues], manifest)
    for cue in cues:
        if len({take.loop_end is None for take in cue.takes}) > 1:
            raise ValueError(f"{manifest}: some takes of {cue.name} are loops, and some are not")
    return cues


def check_entry(entry: Entry) -> None:
    """Raise ValueError unless a file is named after its row, as `woosh batch` names it."""
    check_name(entry.name)
    behind = "" if entry.take is None else f"-{entry.take:02d}"
    if entry.path != f"{entry.name}{behind}.{entry.format}":
        raise ValueError(f"{entry.path!r} is not the file of take {entry.take} of {entry.name!r}")


def check_distinct(names: Sequence[str], place: Path) -> None:
    """Raise ValueError for names that an engine, or a file system, takes for one."""
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(folded(name), name)
        if other is not name:
            raise ValueError(f"{place}: {other!r} and {name!r} would be one name: rename a row")


def one_line(text: str) -> str:
    """A text of others as one line of printable characters."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


@dataclass(frozen=True)
class EngineFile:
    """A file for an engine.

    Attributes:
        path: inside the folder of assets, with forward slashes.
        text: of the file; `MARK` stands in it.
    """

    path: str
    text: str
