"""Manifests: one line of JSON for every recording of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from woosh.outside_files import MOST_MANIFEST_BYTES, lines_of, parse_json, read_text, shown

LONGEST_SECONDS = 1e9  # that a row may state; three decades
FIRST_SPLIT = "train"  # what belongs to no split by name belongs to it
TEXTS = ("split", "group", "label", "device", "catid", "licence", "author", "url", "source")
EXAMPLE = '{"file": "dog.wav", "captions": ["a dog barking"], "seconds": 2.5}'


@dataclass(frozen=True)
class RowSegment:
    """A stretch of a row's file, in seconds, with captions of its own."""

    start: float
    stop: float
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One line of a manifest: `file` is relative to the manifest's folder.

    `segments` count when `woosh data prepare` cuts the file; a recipe that reads it whole takes `captions`.
    """

    file: str
    captions: tuple[str, ...]
    seconds: float
    split: str = FIRST_SPLIT
    group: str = ""  # takes of one recording share it
    label: str = ""
    device: str = ""  # that recorded it
    catid: str = ""  # of the Universal Category System
    licence: str = ""
    author: str = ""
    url: str = ""
    source: str = ""
    segments: tuple[RowSegment, ...] = ()


def read_manifest(path: str | Path, split: str | None = None) -> list[Row]:
    """Read a JSONL manifest: `file`, `captions` and `seconds` in every row, licence fields beside.

    Fields that `Row` does not know are ignored: manifests carry more than training needs.

    Args:
        path: the manifest.
        split: keep only the rows of this split; None keeps all.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line that is no JSON object, lacks a field or holds a wrong type, by its number.
    """
    rows = [_row_of(values, place) for place, values in read_objects(path)]
    return [row for row in rows if split is None or row.split == split]


def read_objects(path: str | Path) -> list[tuple[str, dict[str, Any]]]:
    """Read the JSON objects of a JSONL file, whatever their fields, each with its place for messages.

    Raises:
        FileNotFoundError: no such file.
        ValueError: text that is not UTF-8 or more than `MOST_MANIFEST_BYTES`, or a line that is no JSON object, by its number.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no manifest at {path}: name a JSONL file")
    rows = []
    for number, line in enumerate(lines_of(read_text(path, MOST_MANIFEST_BYTES)), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        values = parse_json(line, place)
        if not isinstance(values, dict):
            raise ValueError(f"{place}: a row must be an object, such as {EXAMPLE}")
        rows.append((place, values))
    return rows


def _row_of(values: Mapping[str, Any], place: str) -> Row:
    file, captions, seconds = (values.get(name) for name in ("file", "captions", "seconds"))
    if not isinstance(file, str) or not file:
        raise ValueError(
            f"{place}: `file` must be a path, not {shown(file)}; a row is such as {EXAMPLE}"
        )
    if not _is_seconds(seconds):
        raise ValueError(
            f"{place}: `seconds` must be a length, not {shown(seconds)}; a row is such as {EXAMPLE}"
        )
    texts = {name: text_of(values, name, place) for name in TEXTS if values.get(name) is not None}
    texts["split"] = split_of(values)
    segments = values.get("segments", [])
    if not isinstance(segments, list):
        raise ValueError(f"{place}: `segments` must be a list, not {shown(segments)}")
    return Row(
        file=file,
        captions=check_captions(captions, place),
        seconds=float(seconds),
        segments=tuple(_read_segment(segment, place) for segment in segments),
        **texts,
    )


def split_of(values: Mapping[str, Any]) -> str:
    """The split that a row or a shard's sample belongs to: "train" unless it names another."""
    return str(values.get("split") or FIRST_SPLIT)


def text_of(values: Mapping[str, Any], name: str, place: str) -> str:
    """A field of text; numbers serve as such.

    Raises:
        ValueError: it is missing or of another type.
    """
    value = values.get(name)
    if not isinstance(value, str | int | float):
        raise ValueError(f"{place}: `{name}` must be a text, not {shown(value)}")
    return str(value)


def check_captions(captions: object, place: str) -> tuple[str, ...]:
    """The captions of a row.

    Raises:
        ValueError: they are no list of texts.
    """
    if (
        not isinstance(captions, list)
        or not captions
        or not all(isinstance(caption, str) and caption.strip() for caption in captions)
    ):
        raise ValueError(
            f"{place}: `captions` must be a list of texts, not {shown(captions)}; a row is such as {EXAMPLE}"
        )
    return tuple(captions)


def _read_segment(values: object, place: str) -> RowSegment:
    if not isinstance(values, dict):
        raise ValueError(f"{place}: a segment must be an object, not {shown(values)}")
    start, stop = values.get("start"), values.get("stop")
    if not (_is_seconds(start) and _is_seconds(stop) and start < stop):
        raise ValueError(
            f"{place}: a segment must have `start` before `stop`, in seconds: {shown(values)}"
        )
    return RowSegment(float(start), float(stop), check_captions(values.get("captions"), place))


def _is_seconds(value: object) -> TypeGuard[float]:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value < LONGEST_SECONDS
    )
