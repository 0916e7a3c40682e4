"""Published data sets in the layouts that they come in: which files there are, and what is known of each."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from woosh.outside_files import expanded, lines_of, read_csv, read_text

MOOD_TAG = "mood/theme---"
MOOD_COLUMNS = 5  # track, artist, album, path, duration; tags follow
RELEVANT = 0.5  # share of the listeners from which an instrument counts as there


@dataclass(frozen=True)
class LabelledFile:
    """A sound file of a data set.

    Attributes:
        path: of the file.
        labels: that it has.
        absent: labels that it is known not to have, where it was not asked for all; None where all others are absent.
        device: that recorded it, where that is told.
    """

    path: Path
    labels: tuple[str, ...]
    absent: tuple[str, ...] | None = None
    device: str = ""


def read_mood(folder: Path, split: str) -> list[LabelledFile]:
    """MTG-Jamendo's moods and themes (56 labels): `data/splits/split-0/autotagging_moodtheme-SPLIT.tsv` and `audio/`.

    The files are named as in the table, or `NAME.low.mp3` where the smaller ones were downloaded.

    Args:
        folder: of the data set.
        split: "train", "validation" or "test".

    Raises:
        FileNotFoundError: no such table or file.
        ValueError: a row without a path or a tag, by its number.
    """
    table = folder / "data" / "splits" / "split-0" / f"autotagging_moodtheme-{split}.tsv"
    found = []
    for number, line in enumerate(lines_of(read_text(table))[1:], start=2):
        cells = line.split("\t")
        tags = [tag.removeprefix(MOOD_TAG) for tag in cells[MOOD_COLUMNS:] if tag]
        if not tags:
            raise ValueError(f"{table}, line {number} has no tag behind five columns")
        path = folder / "audio" / cells[3]
        low = path.with_suffix(f".low{path.suffix}")
        found.append(LabelledFile(low if low.is_file() else path, tuple(tags)))
    return found


def read_openmic(folder: Path, split: str) -> list[LabelledFile]:
    """OpenMIC-2018 (20 instruments, of which each clip was asked for some): `openmic-2018-aggregated-labels.csv`,
    `partitions/split01_SPLIT.csv` and `audio/`.

    Args:
        folder: of the data set.
        split: "train" or "test".

    Raises:
        FileNotFoundError: no such table or file.
        ValueError: a table of another form.
    """
    table = folder / "openmic-2018-aggregated-labels.csv"
    there: dict[str, list[str]] = {}
    missing: dict[str, list[str]] = {}
    for number, row in enumerate(read_csv(table, ("sample_key", "instrument", "relevance")), 1):
        try:
            relevant = float(row["relevance"]) >= RELEVANT
        except ValueError as error:
            raise ValueError(f"{table}, row {number}: {error}") from error
        (there if relevant else missing).setdefault(row["sample_key"], []).append(row["instrument"])
    keys = lines_of(read_text(folder / "partitions" / f"split01_{split}.csv"))
    return [
        LabelledFile(
            folder / "audio" / key[:3] / f"{key}.ogg",
            tuple(there.get(key, ())),
            tuple(missing.get(key, ())),
        )
        for key in map(str.strip, keys)
        if key
    ]


def read_scenes(folder: Path, split: str) -> list[LabelledFile]:
    """TAU Urban Acoustic Scenes mobile (10 scenes): `meta.csv` and `evaluation_setup/fold1_SPLIT.csv`, tab-separated.

    Args:
        folder: of the data set.
        split: "train" or "evaluate".

    Raises:
        FileNotFoundError: no such table or file.
        ValueError: a table of another form, or a file that meta.csv does not know.
    """
    columns = ("filename", "scene_label", "source_label")
    rows = read_tabs(folder / "meta.csv", columns)
    known = {name: (label, device) for name, label, device in rows}
    setup, found = folder / "evaluation_setup" / f"fold1_{split}.csv", []
    for (name,) in read_tabs(setup, ("filename",)):
        if name not in known:
            raise ValueError(f"{setup} names {name}, which {folder / 'meta.csv'} does not")
        label, device = known[name]
        found.append(LabelledFile(folder / name, (label,), None, device))
    return found


def read_tabs(path: Path, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """The named columns of every row of a tab-separated table whose first line names them.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a column or a value is missing.
    """
    rows = list(csv.reader(lines_of(read_text(path)), delimiter="\t"))
    names = rows[0] if rows else []
    if not set(columns) <= set(names):
        raise ValueError(f"{path} has no columns {', '.join(columns)}, separated by tabs")
    places = [names.index(column) for column in columns]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) <= max(places):
            raise ValueError(f"{path}, line {number} has {len(row)} of {len(names)} columns")
    return [tuple(row[place] for place in places) for row in rows[1:]]


LAYOUTS: dict[str, Callable[[Path, str], list[LabelledFile]]] = {
    "mtg-jamendo-mood:": read_mood,
    "openmic:": read_openmic,
    "tau-scenes:": read_scenes,
}


def is_layout(source: str) -> bool:
    """Whether a source is a published data set in its layout, such as "openmic:FOLDER"."""
    return source.startswith(tuple(LAYOUTS))


def read_layout(source: str, split: str) -> list[LabelledFile]:
    """The files of one split of a data set in its published layout.

    Args:
        source: one of `LAYOUTS` and the folder.
        split: as the data set names it.

    Raises:
        FileNotFoundError: no such folder, table or file.
        ValueError: a table of another form, or a split without files.
    """
    prefix = next(prefix for prefix in LAYOUTS if source.startswith(prefix))
    folder = expanded(source.removeprefix(prefix))
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder} for {source}")
    files = LAYOUTS[prefix](folder, split)
    if not files:
        raise ValueError(f"{source} has no file in its split {split!r}")
    for file in files:
        if not file.path.is_file():
            raise FileNotFoundError(f"{source} names {file.path}, which is not there")
    return files
