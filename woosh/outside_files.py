"""Files that others wrote - text, JSON, CSV, YAML - read within stated bounds and checked against a stated shape.

Text is UTF-8, with or without a byte-order mark, and its lines end with a line feed, a carriage return or both: other
separators, such as U+2028 and NEL, belong to the text. Whatever is wrong is one `ValueError` with the file's name.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import json
import math
import os
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

MOST_BYTES = 16 * 2**20  # of settings, lists of labels and captions
MOST_MANIFEST_BYTES = 256 * 2**20  # of a manifest: about a million rows
MOST_YAML_BYTES = 2**20
MOST_VALUES = 100_000  # in a YAML file
SAMPLE_RATES = (1_000, 768_000)  # Hz, of sounds, and of networks that make them
SHOWN = 80  # characters of a value in a message

Shape = TypeVar("Shape")


def expanded(path: str | Path) -> Path:
    """A path with `~` and `~user` replaced; that of an unknown user stays as it is, and names nothing."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises RuntimeError


def check_name(path: str | Path) -> None:
    """Raise a ValueError if a name holds bytes that are no text in UTF-8: libraries in C cannot be told of it."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{printable(str(path))} has a name that is not text in UTF-8: rename it"
        ) from error


def is_folder(path: Path) -> bool:
    """Whether a folder is there; a name that no file system takes names none."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where a name is too long


def is_file(path: Path) -> bool:
    """Whether a file is there; a name that no file system takes names none."""
    return os.path.isfile(path)  # noqa: PTH113 - as above


def read_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """The text of a file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is larger than `most_bytes`, or not UTF-8.
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing, or is no file")
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"{path} has more than {most_bytes / 2**20:g} MiB, too much for its kind")
    return decoded(data, str(path))


def decoded(data: bytes, place: str) -> str:
    """Bytes as text, without a byte-order mark; `place` is named in the error.

    Raises:
        ValueError: they are not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{place} is not text in UTF-8: save it so ({error.reason} at byte {error.start})"
        ) from error


def lines_of(text: str) -> list[str]:
    """The lines of a text without their ends; one more end behind the last line makes no other line."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def parse_json(text: str | bytes, place: str) -> Any:
    """What a JSON text holds, numbers that are not finite refused; `place` is named in errors.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    text = decoded(text, place) if isinstance(text, bytes) else text

    try:
        values = json.loads(text, parse_constant=_finite, parse_float=_finite)
        if "\\u" in text:  # half of a surrogate pair is no text: nothing could print or write it
            json.dumps(values, ensure_ascii=False).encode()
        return values
    except RecursionError as error:
        raise ValueError(f"{place}: not JSON (nested too deeply)") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not JSON ({error.msg}, line {error.lineno})") from error
    except ValueError as error:
        raise ValueError(f"{place}: not JSON ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """What a reader said, but for whole numbers that Python converts no more, of which it tells how to convert them."""
    said = str(error)
    if not said.startswith("Exceeds the limit"):
        return said
    return f"a whole number of more than {sys.get_int_max_str_digits()} digits"


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):
        raise ValueError(f"{shown(number)} is not finite")
    return value


def parse_object(text: str | bytes, place: str) -> dict[str, Any]:
    """The object that a JSON text holds; `place` is named in errors.

    Raises:
        ValueError: it is not JSON, or holds something else.
    """
    values = parse_json(text, place)
    if not isinstance(values, dict):
        raise ValueError(f"{place} must hold a JSON object, not {shown(values)}")
    return values


def read_object(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no text, not JSON, or holds something else.
    """
    return parse_object(read_text(path), str(path))


def shaped(cls: type[Shape], values: Mapping[str, Any], place: str) -> Shape:
    """A dataclass from an object's values by name, in the types of its fields; other names are passed over.

    Raises:
        ValueError: a value is missing or has another type, or the dataclass refuses it.
    """
    kinds, fields = _kinds(cls), {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.name in values:
            fields[field.name] = fitted(
                values[field.name], kinds[field.name], f"{place}: {field.name}"
            )
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{place} lacks {field.name}")
    try:
        return cls(**fields)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


@functools.cache
def _kinds(cls: type) -> dict[str, Any]:
    """Types of a dataclass's fields by name: headers of weights have thousands of entries of one class."""
    return typing.get_type_hints(cls)


def fitted(value: Any, kind: Any, place: str) -> Any:
    """A value of JSON or YAML in the type of an annotation: lists become tuples, whole numbers serve as floats.

    Raises:
        ValueError: it has another type, or is a number that is not finite or needs more than 64 bits.
    """
    outer, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if outer in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        others = [option for option in inner if option is not type(None)]
        fitting = [option for option in others if type(value) is option]
        return fitted(value, (fitting or others)[0], place)
    if outer in (tuple, list, Sequence) and isinstance(value, list | tuple):
        return tuple(fitted(item, inner[0], place) for item in value)
    if outer in (dict, Mapping) and isinstance(value, dict):
        return {name: fitted(item, inner[1], place) for name, item in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return shaped(typing.cast(type, kind), value, place)
    if kind is float and type(value) in (int, float):
        if abs(value) < 2.0**63:  # which what is not finite is not
            return float(value)
    elif type(value) is kind and (kind is not int or abs(value) < 2**63):
        return value
    raise ValueError(f"{place} is {shown(value)}; it must be {_in_words(kind)}")


def _in_words(kind: Any) -> str:
    words = {str: "a text", float: "a finite number", int: "a whole number", bool: "true or false"}
    if kind in words:
        return words[kind]
    return "a list" if typing.get_origin(kind) in (tuple, list, Sequence) else "an object"


def shown(value: Any) -> str:
    """A value for a message: printable, and no longer than `SHOWN` characters."""
    try:
        text = printable(repr(value))
    except ValueError as error:
        text = _reason(error)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def printable(text: str) -> str:
    """A text as a terminal may show it: what is not printable, such as an escape, is written as its code."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file whose first line names its columns, each with the text of the columns asked for.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no text or no CSV, or lacks a column or a value; with the number of the row.
    """
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""))
    found = []
    try:
        for number, row in enumerate(rows, start=1):
            values = {name: row.get(name) for name in columns}
            missing = [name for name, value in values.items() if value is None]
            if missing:
                raise ValueError(f"row {number} has no {missing[0]}")
            found.append({name: str(value) for name, value in values.items()})
    except (csv.Error, ValueError) as error:
        raise ValueError(
            f"{path} is no CSV with the columns {', '.join(columns)}: {error}"
        ) from error
    return found


def parse_yaml(text: str, place: str) -> Any:
    """What a YAML text holds; `place` is named in errors.

    Raises:
        ValueError: it is not YAML, nested too deeply, or holds more than `MOST_VALUES` values once aliases are replaced.
    """
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _values_in(node, {}) > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES} values, or an alias of what it lies in")
        return loader.construct_document(node)
    except RecursionError as error:
        raise ValueError(f"{place} is not valid YAML: nested too deeply") from error
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = "" if mark is None else f", line {mark.line + 1}"
        raise ValueError(f"{place} is not valid YAML{line}: {problem or error}") from error
    except (ValueError, AttributeError) as error:  # PyYAML's own, of a date or a tagged number
        raise ValueError(f"{place} is not valid YAML: {_reason(error)}") from error


def _values_in(node: Any, counts: dict[int, int]) -> int:
    """Values in a node of YAML with aliases replaced: a few hundred bytes of them can stand for gigabytes."""
    if id(node) not in counts:
        counts[id(node)] = MOST_VALUES + 1  # for an alias of a node within itself
        children = node.value if not isinstance(node.value, str) else ()
        flat = [
            part for child in children for part in (child if isinstance(child, tuple) else (child,))
        ]
        counts[id(node)] = 1 + sum(_values_in(child, counts) for child in flat)
    return counts[id(node)]


def read_yaml(path: Path) -> dict[str, Any]:
    """The values by name that a YAML file holds.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no text, not YAML, or holds something else.
    """
    values = parse_yaml(read_text(path, MOST_YAML_BYTES), str(path))
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ValueError(f"{path} must hold names with values, not {shown(values)}")
    return values
