"""One flat YAML file per recipe, read into the recipe's frozen dataclass."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

Config = TypeVar("Config")


def load_config(cls: type[Config], path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Build a recipe's configuration from a YAML file and command-line overrides.

    Args:
        cls: a dataclass whose fields are the recipe's settings.
        path: flat YAML file, one `name: value` per field.
        overrides: `name=value` texts, read as YAML, that win over the file.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: a key that is no field, a missing field, or a value of another type than its
            field's annotation (YAML reads `1e-4` as text: write `1.0e-4`).
    """
    import yaml

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no configuration file at {path}")
    values = yaml.safe_load(path.read_text()) or {}
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold `name: value` lines, not a {type(values).__name__}")
    for override in overrides:
        name, separator, text = override.partition("=")
        if not separator:
            raise ValueError(f"override {override!r} is not of the form name=value")
        values[name] = yaml.safe_load(text)
    annotations = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(f"{path}: unknown keys {unknown}; {cls.__name__} knows {sorted(fields)}")
    required = {
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    missing = sorted(required - set(values))
    if missing:
        raise ValueError(f"{path}: missing keys {missing}")
    return cls(
        **{name: _checked(path, name, value, annotations[name]) for name, value in values.items()}
    )


def _checked(path: Path, name: str, value: Any, annotation: Any) -> Any:
    """Return the value in its field's type: whole numbers serve as floats, lists as tuples."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        options = typing.get_args(annotation)
        if value is None and type(None) in options:
            return None
        annotation = next(option for option in options if option is not type(None))
    if typing.get_origin(annotation) is tuple:
        if isinstance(value, list):
            inner = typing.get_args(annotation)[0]
            return tuple(_checked(path, name, item, inner) for item in value)
    elif annotation is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif type(value) is annotation:
        return value
    raise ValueError(
        f"{path}: {name} is {value!r}, a {type(value).__name__}; expected {annotation}"
    )
