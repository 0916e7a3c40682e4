"""Sheets of what to make: a CSV or YAML file with a row for each asset, read strictly and checked as a whole.

In CSV the first row names the columns. In YAML one name, such as `assets`, holds a list of rows. An empty cell is as good as
none. Whatever is wrong is one `ValueError` that names the file, the row and the column. Rows are counted as a spreadsheet
does: in CSV the row of names is row 1; in YAML the first row is row 1.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import types
import typing
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from woosh.audio import FORMATS
from woosh.audio.names import RESERVED_STEMS
from woosh.catalogue import LONGEST_SECONDS
from woosh.generation.request import LARGEST_GUIDANCE, clean_text
from woosh.outside_files import fitted, is_file, lines_of, read_text, read_yaml, shown

SUFFIXES = (".csv", ".yaml", ".yml")
MOST_ROWS = 100_000
MOST_TAKES = 10_000  # of one row
MOST_STEPS = 1_000
LARGEST_SEED = 2**53 - 1 - MOST_TAKES  # programs that read manifests have numbers of 53 bits
SHOWN_FAULTS = 4  # of a sheet, in one message
LONGEST_PART = 100  # bytes of a part of a name; file systems take 255 with what is put behind it
LONGEST_NAME = 200  # bytes of a name
NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?")
WHOLE_NUMBER = re.compile(r"[+-]?\d{1,30}")
CATEGORY = re.compile(r"[A-Z]{2,}[A-Za-z0-9]{1,14}")  # such as DOORWood
YES_AND_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}

Row = TypeVar("Row")


@dataclass(frozen=True)
class AssetRow:
    """A row of a sheet of assets: one sound, or several takes of it.

    Attributes:
        name: of the file, without extension; parts between slashes are folders. See `check_name`.
        prompt: what to hear.
        negative: what not to hear.
        seconds: length, above 0 and up to 600.
        sound_seconds: length of the sound itself, for models that are told.
        count: how many takes, numbered from 1; None is one without a number.
        seed: of the first take, the others follow; None takes seeds from the row's name and prompt.
        steps: of the solver, up to 1,000; None is the model's default.
        guidance: from 0 to 1,000; None is the model's default.
        loudness: in LUFS, from -70 to 0; None is -23, as in `woosh generate`.
        format: of the file.
        category: CatID of the Universal Category System, such as "DOORWood".
        loop: whether its end leads into its beginning.
        stereo: whether it has two channels.

    Raises:
        ValueError: a value out of its range.
    """

    name: str
    prompt: str
    negative: str | None = None
    seconds: float = 5.0
    sound_seconds: float | None = None
    count: int | None = None
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    loudness: float | None = None
    format: str = "wav"
    category: str | None = None
    loop: bool = False
    stereo: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        check_words("prompt", self.prompt)
        check_request(self)
        check_range("count", self.count, 1, MOST_TAKES)
        if self.format not in FORMATS:
            raise ValueError(f"format {shown(self.format)} is none of {', '.join(FORMATS)}")
        if self.category is not None and not CATEGORY.fullmatch(self.category):
            raise ValueError(
                f"category {shown(self.category)} is no CatID of UCS, such as DOORWood"
            )

    def numbers(self) -> Sequence[int | None]:
        """The numbers of its takes, from 1; of a single take without a number, None."""
        return [None] if self.count is None else range(1, self.count + 1)


def check_request(row: Any) -> None:
    """Check the columns that every row with a prompt has: negative, seconds, sound_seconds, steps, guidance, seed, loudness.

    Raises:
        ValueError: a value out of its range.
    """
    if row.negative is not None:
        check_words("negative", row.negative)
    for name in ("seconds", "sound_seconds"):
        value = getattr(row, name)
        if value is not None and not 0 < value <= LONGEST_SECONDS:
            raise ValueError(f"{name} must be above 0 and up to {LONGEST_SECONDS:g}, not {value:g}")
    check_range("steps", row.steps, 1, MOST_STEPS)
    check_range("guidance", row.guidance, 0, LARGEST_GUIDANCE)
    check_range("seed", row.seed, 0, LARGEST_SEED)
    check_range("loudness", row.loudness, -70, 0)


def check_range(name: str, value: float | None, low: float, high: float) -> None:
    """Raise ValueError unless a value is None or in [low, high]."""
    if value is not None and not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, not {value}")


def check_words(name: str, text: str) -> None:
    """Raise ValueError unless a text says something and holds no control characters."""
    if any(unicodedata.category(sign) == "Cc" for sign in clean_text(text, name)):
        raise ValueError(f"{name} {shown(text)} holds a control character")


def check_name(name: str) -> None:
    """Check the name of an asset, so that it is a file inside its folder on every system.

    Its parts between slashes consist of letters and digits of any script, spaces, hyphens and underscores, begin with a letter, a
    digit or an underscore, end without a space, and are none of the device names of Windows.

    Raises:
        ValueError: another name, or one that is too long.
    """
    for part in name.split("/"):
        if not part or not all(
            sign in " -_" or unicodedata.category(sign)[0] in "LNM" for sign in part
        ):
            raise ValueError(
                f"name {shown(name)} may hold letters, digits, spaces, - and _, and / between folders"
            )
        if part[0] in " -" or part[-1] == " ":
            raise ValueError(
                f"name {shown(name)}: {shown(part)} begins or ends with a space, or begins with -"
            )
        if folded(part) in RESERVED_STEMS:
            raise ValueError(f"name {shown(name)}: {shown(part)} is a device on Windows")
        if len(part.encode()) > LONGEST_PART:
            raise ValueError(
                f"name {shown(name)} is too long: up to {LONGEST_PART} bytes between slashes"
            )
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"name {shown(name)} is too long: up to {LONGEST_NAME} bytes")


def folded(name: str) -> str:
    """A name as file systems compare it that do not tell upper from lower case, or spellings of one character."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


@contextmanager
def naming(place: object) -> Iterator[None]:
    """What is wrong within is told with its place, such as the sheet, in front.

    Raises:
        ValueError: as within.
        FileNotFoundError: as within.
    """
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        kind = ValueError if isinstance(error, ValueError) else FileNotFoundError
        raise kind(f"{place}: {error}") from error


def is_sheet(name: str) -> bool:
    """Whether a name ends like that of a sheet."""
    return name.lower().endswith(SUFFIXES)


def read_assets(path: Path) -> list[AssetRow]:
    """The rows of a sheet of assets; in YAML they stand under `assets`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a row is wrong, or two rows have one name; with file, row and column.
    """
    rows = read_rows(path, AssetRow, "assets")
    named = Counter(folded(row.name) for row in rows)
    twice = [row.name for row in rows if named[folded(row.name)] > 1]
    if twice:
        raise ValueError(
            f"{path}: {len(twice)} rows share names (upper and lower case are one): {shown(twice[0])}, "
            f"{shown(twice[1])}: give each row its own, or one row a count"
        )
    return rows


def read_rows(path: Path, kind: type[Row], title: str) -> list[Row]:
    """The rows of a sheet as dataclasses, whose fields are the columns.

    Args:
        path: a file that ends in .csv, .yaml or .yml.
        kind: the dataclass.
        title: the name under which the rows stand in YAML.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, no rows or too many, an unknown column, or a wrong value; with file, row and column.
    """
    if not is_file(path):
        raise FileNotFoundError(f"no sheet at {path}")
    if not is_sheet(path.name):
        raise ValueError(f"{path} is no sheet: its name must end in {', '.join(SUFFIXES)}")
    hints = typing.get_type_hints(kind)
    from_csv = path.suffix.lower() == ".csv"
    rows: list[Row] = []
    faults: list[str] = []
    found = _csv_rows(path, hints) if from_csv else _yaml_rows(path, hints, title)
    listed = list(islice(found, MOST_ROWS + 1))
    if len(listed) > MOST_ROWS:
        raise ValueError(f"{path} has more than {MOST_ROWS} rows: divide it")
    for number, values in listed:
        try:
            rows.append(_row(kind, hints, values, from_csv))
        except ValueError as error:
            called = values.get("name")
            label = f" ({shown(called)})" if isinstance(called, str) and called else ""
            faults.append(f"row {number}{label}: {error}")
    if faults:
        more = len(faults) - SHOWN_FAULTS
        rest = f"; and {more} more" if more > 0 else ""
        raise ValueError(f"{path}: {'; '.join(faults[:SHOWN_FAULTS])}{rest}")
    if not rows:
        raise ValueError(f"{path} holds no rows")
    return rows


def _row(kind: type[Row], hints: Mapping[str, Any], values: Mapping[str, Any], text: bool) -> Row:
    """One row; `text` tells that its values are cells of CSV."""
    given = {}
    for name, value in values.items():
        if isinstance(value, str):
            value = value.strip()
        if value is None or value == "":
            continue
        place = f"column {name}"
        given[name] = fitted(_from_cell(value, hints[name]) if text else value, hints[name], place)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.default is dataclasses.MISSING and field.name not in given:
            raise ValueError(f"column {field.name} is empty")
    return kind(**given)


def _from_cell(cell: str, hint: Any) -> str | int | float | bool:
    """A cell of CSV in the type of its column, if it reads like it."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if bool in kinds:
        return YES_AND_NO.get(cell.lower(), cell)
    if int in kinds and WHOLE_NUMBER.fullmatch(cell):
        return int(cell)
    if float in kinds and NUMBER.fullmatch(cell):
        return float(cell)
    return cell


def _csv_rows(path: Path, hints: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and cells by column of each row that is not empty."""
    # One kind of line ends: the csv module takes a lone carriage return for a fault.
    text = "\n".join(lines_of(read_text(path)))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    number = 0
    try:
        names: list[str] = []
        for number, cells in enumerate(reader, start=1):
            if number == 1:
                names = [cell.strip() for cell in cells]
                _check_columns(names, hints, f"{path}: row 1")
                continue
            if not any(cell.strip() for cell in cells):
                continue
            if any(cell.strip() for cell in cells[len(names) :]):
                raise ValueError(
                    f"{path}: row {number} has {len(cells)} cells and there are {len(names)} columns: put "
                    "quotation marks around a text that holds commas"
                )
            yield number, dict(zip(names, cells, strict=False))
    except csv.Error as error:
        raise ValueError(f"{path}: row {number + 1} is not CSV: {error}") from error


def _yaml_rows(
    path: Path, hints: Mapping[str, Any], title: str
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and values by column of each row."""
    values = read_yaml(path)
    rows = values.get(title)
    if set(values) != {title} or not isinstance(rows, list):
        raise ValueError(f"{path} must hold one name, {title}, with a list of rows")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise ValueError(
                f"{path}: row {number} must hold columns with values, not {shown(row)}"
            )
        _check_columns(list(row), hints, f"{path}: row {number}")
        yield number, row


def _check_columns(names: Sequence[Any], hints: Mapping[str, Any], place: str) -> None:
    for name, times in Counter(names).items():
        if name not in hints:
            remedy = f"the columns are {', '.join(hints)}"
            if isinstance(name, str) and (";" in name or "\t" in name):
                remedy = "save the sheet with commas between the columns"
            raise ValueError(f"{place}: unknown column {shown(name)}: {remedy}")
        if times > 1:
            raise ValueError(f"{place}: column {name} stands there {times} times")
