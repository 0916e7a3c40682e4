"""What is known of the sounds in a folder of assets: its manifests, and the journal of a run that has not ended.

`manifest.json` and `manifest.csv` hold the whole sheet. A part of it (`Shard`) has `manifest-1of4.json`. While a run works, it
appends a line for each sound to a journal (`.jsonl`) before the sound takes its name, so that a run that was killed leaves
nothing unknown.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from woosh.audio import FORMATS
from woosh.outside_files import MOST_MANIFEST_BYTES, parse_object, read_text, shaped
from woosh.studio.sheets import check_name
from woosh.whole_files import write_text

PARTS = re.compile(r"manifest(-\d{1,4}of\d{1,4})?\.jsonl?")
MOST_SHARDS = 1_000


@dataclass(frozen=True)
class Shard:
    """One of the parts that a sheet is divided into, by the names of its sounds alone.

    Raises:
        ValueError: there is no such part.
    """

    index: int  # from 1
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count <= MOST_SHARDS:
            raise ValueError(
                f"part {self.index} of {self.count} is not from 1 of 1 to {MOST_SHARDS} of {MOST_SHARDS}"
            )

    def holds(self, path: str) -> bool:
        """Whether a sound with this path inside the folder belongs to the part."""
        return int(sha256(path.encode()).hexdigest(), 16) % self.count == self.index - 1

    @property
    def stem(self) -> str:
        """Of its manifest's name."""
        return "manifest" if self.count == 1 else f"manifest-{self.index}of{self.count}"


WHOLE = Shard(1, 1)


@dataclass(frozen=True)
class Entry:
    """What the manifest tells of one sound.

    Attributes:
        path: inside the folder, with forward slashes.
        name: of the row.
        take: number of the take, if the row has a count.
        prompt: what was to be heard.
        negative: what was not to be heard.
        seed: of the noise.
        steps: of the solver, if the row names them.
        guidance: if the row names it.
        model: its name.
        weights: checksum of the model's files (`woosh.catalogue.model_checksum`).
        licence: of the weights.
        version: of Woosh.
        format: of the file.
        sample_rate: in Hz.
        channels: of the file.
        seconds: length.
        loudness: integrated, in LUFS; None where it is silent.
        loop_start: first sample of the loop.
        loop_end: last sample of the loop.
        category: CatID of the Universal Category System.
        sha256: of the file.
        key: checksum of all that the sound follows from.
    """

    path: str
    name: str
    take: int | None
    prompt: str
    negative: str | None
    seed: int
    steps: int | None
    guidance: float | None
    model: str
    weights: str
    licence: str
    version: str
    format: str
    sample_rate: int
    channels: int
    seconds: float
    loudness: float | None
    loop_start: int | None
    loop_end: int | None
    category: str | None
    sha256: str
    key: str

    def __post_init__(self) -> None:
        stem, dot, extension = self.path.rpartition(".")
        if not dot or extension not in FORMATS:
            raise ValueError(f"path {self.path!r} is not that of a sound")
        check_name(stem)


@dataclass(frozen=True)
class _Manifest:
    """A manifest file."""

    assets: Sequence[Entry]
    leftover: Sequence[Entry]


def read_entries(folder: Path) -> list[Entry]:
    """What is known of the sounds in a folder, from all manifests and journals in it; none are known without a folder.

    Raises:
        ValueError: a manifest is damaged.
    """
    return [entry for path in _known_files(folder) for entry in _read(path)]


def read_manifest(folder: Path) -> Sequence[Entry]:
    """The sounds that the whole sheet of a folder asks for, and that are there.

    Raises:
        FileNotFoundError: no run on the whole sheet has ended in it.
        ValueError: the manifest is damaged.
    """
    path = folder / "manifest.json"
    text = read_text(path, MOST_MANIFEST_BYTES)
    return shaped(_Manifest, parse_object(text, str(path)), str(path)).assets


def _known_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if PARTS.fullmatch(path.name))


def _read(path: Path) -> Iterator[Entry]:
    text = read_text(path, MOST_MANIFEST_BYTES)
    if path.suffix == ".json":
        manifest = shaped(_Manifest, parse_object(text, str(path)), str(path))
        yield from (*manifest.assets, *manifest.leftover)
        return
    # What stands behind the last line's end was being written when the run was killed.
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        place = f"{path}, line {number}"
        yield shaped(Entry, parse_object(line, place), place)


class Journal:
    """The journal of a run, which begins where the former run ended."""

    def __init__(self, folder: Path, shard: Shard) -> None:
        self._path = folder / f"{shard.stem}.jsonl"
        if self._path.is_file():
            text = read_text(self._path, MOST_MANIFEST_BYTES)
            whole = text[: text.rfind("\n") + 1]
            if whole != text:
                write_text(self._path, whole)

    def add(self, entry: Entry) -> None:
        """Append an entry.

        Raises:
            OSError: it cannot be written.
        """
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(dataclasses.asdict(entry), ensure_ascii=False) + "\n")


def write_manifest(
    folder: Path, shard: Shard, assets: Iterable[Entry], leftover: Iterable[Entry]
) -> None:
    """Write a part's manifest as JSON and CSV, sorted by path, in the place of its journal; the whole replaces those of all parts.

    Args:
        folder: of the assets.
        shard: the part.
        assets: the sounds that the sheet asks for.
        leftover: others that earlier sheets asked for and that are still there; in the JSON file alone.

    Raises:
        OSError: they cannot be written.
    """
    rows = [dataclasses.asdict(entry) for entry in sorted(assets, key=_path_of)]
    others = [dataclasses.asdict(entry) for entry in sorted(leftover, key=_path_of)]
    values = {"assets": rows, "leftover": others}
    text = json.dumps(values, ensure_ascii=False, indent=1) + "\n"
    table = io.StringIO(newline="")
    names = [field.name for field in dataclasses.fields(Entry)]
    writer = csv.DictWriter(table, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    superseded = _known_files(folder)
    write_text(folder / f"{shard.stem}.csv", table.getvalue())
    write_text(folder / f"{shard.stem}.json", text)
    for path in superseded:
        own = path.name == f"{shard.stem}.jsonl"
        if own or (shard == WHOLE and path.name != "manifest.json"):
            path.unlink(missing_ok=True)
            if path.suffix == ".json":
                path.with_suffix(".csv").unlink(missing_ok=True)


def _path_of(entry: Any) -> str:
    return entry.path
