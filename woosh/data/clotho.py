"""Clotho's layout (arXiv 1910.09387), that of DCASE's captioning and language-based retrieval tasks, read as it is published.

`clotho_captions_SPLIT.csv` has the columns file_name and caption_1 to caption_5; `clotho_metadata_SPLIT.csv`, which may be
missing, has sound_link, manufacturer and license of the files among others. Sounds lie in the folder SPLIT, beside the
tables or in `clotho_audio_files` beside them.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from woosh.data.manifests import FIRST_SPLIT, Row
from woosh.outside_files import read_csv, shown

PREFIX = "clotho_captions_"
CAPTIONS = tuple(f"caption_{number}" for number in range(1, 6))
SPLITS = {"development": FIRST_SPLIT}  # others keep their names
MOST_METADATA_BYTES = 16 * 2**20


def caption_tables(source: Path) -> list[Path]:
    """The tables of captions of a folder, or the one that a file is; none if it is of another layout."""
    if source.is_dir():
        return sorted(source.glob(f"{PREFIX}*.csv"))
    return [source] if source.name.startswith(PREFIX) and source.suffix == ".csv" else []


def read_table(path: Path) -> list[Row]:
    """The rows of a table of captions, their files relative to its folder.

    Raises:
        FileNotFoundError: no folder of sounds beside it.
        ValueError: the table or the metadata are no such table, or a file is named that leads elsewhere or has no caption.
    """
    split = path.stem.removeprefix(PREFIX)
    sounds = folder_of(path.parent, split)
    known = metadata_of(path.with_name(f"clotho_metadata_{split}.csv"))
    rows = []
    for values in read_csv(path, ("file_name", *CAPTIONS)):
        name = values["file_name"].strip()
        captions = tuple(values[column].strip() for column in CAPTIONS if values[column].strip())
        if not name or Path(name).name != name or not captions:
            raise ValueError(f"{path}: {shown(name)} is no name of a file with captions")
        facts = known.get(name, {})
        rows.append(
            Row(
                *((sounds / name).relative_to(path.parent).as_posix(), captions, 0.0),
                split=SPLITS.get(split, split),
                group=Path(name).stem,
                licence=facts.get("license", "").strip(),
                author=facts.get("manufacturer", "").strip(),
                url=facts.get("sound_link", "").strip(),
                source="Clotho",
            )
        )
    if not rows:
        raise ValueError(f"{path} has no rows: it has a line for every recording")
    return rows


def folder_of(beside: Path, split: str) -> Path:
    """Where the sounds of a split lie.

    Raises:
        FileNotFoundError: in neither place.
    """
    for folder in (beside / split, beside / "clotho_audio_files" / split):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no folder {split} with its sounds in {beside}: unpack it there")


def metadata_of(path: Path) -> dict[str, dict[str, str]]:
    """What the metadata say of each file by its name; nothing if they are missing.

    The published tables mix encodings: what is not UTF-8 is read as Latin-1, in which every byte means a letter.

    Raises:
        ValueError: more than `MOST_METADATA_BYTES`, no CSV, or a table without file_name.
    """
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        data = file.read(MOST_METADATA_BYTES + 1)
    if len(data) > MOST_METADATA_BYTES:
        raise ValueError(f"{path} has more than {MOST_METADATA_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    table = csv.DictReader(io.StringIO(text, newline=""))
    if "file_name" not in (table.fieldnames or ()):
        raise ValueError(f"{path} has no column file_name: it is no metadata of Clotho")
    try:
        rows = [{key: value or "" for key, value in row.items() if key} for row in table]
    except csv.Error as error:
        raise ValueError(f"{path} is no CSV: {error}") from error
    return {row["file_name"].strip(): row for row in rows}
