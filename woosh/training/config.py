"""One flat YAML file per recipe, read into the recipe's frozen dataclass and those that are its fields."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from woosh.outside_files import MOST_YAML_BYTES, parse_yaml, read_text, shown

Config = TypeVar("Config")
LARGEST_FLOAT = sys.float_info.max
# What several recipes have under one name, and the least that it can be.
LEAST = {
    "batch_size": 1,
    "clips_per_shard": 1,
    "frames_per_batch": 1,
    "learning_rate": 0,
    "procedural_clips": 0,
    "rank": 0,
    "scenes": 0,
    "sounds_per_shard": 1,
    "twin_clips": 0,
    "warmup_steps": 0,
    "weighed_clips": 1,
    "weight_decay": 0,
    "workers": 0,
}


def load_config(cls: type[Config], path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Build a recipe's configuration from a YAML file and command-line overrides.

    Args:
        cls: a dataclass whose fields are the recipe's settings; the fields of a dataclass among them stand in the same
            file.
        path: flat YAML file, one `name: value` per field.
        overrides: `name=value` texts, read as YAML, that win over the file.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: text that is not YAML or beyond the bounds of `woosh.outside_files`, a key that is no field, a missing field, a value of another
            type than its field's annotation (YAML reads `1e-4` as text: write `1.0e-4`), a number that is not finite, or
            one below the `LEAST` of its name.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no configuration file at {path}: name one, such as those in configs/"
        )
    values = parse_yaml(read_text(path, MOST_YAML_BYTES), str(path)) or {}
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold `name: value` lines, not a {type(values).__name__}")
    for override in overrides:
        name, separator, text = override.partition("=")
        if not separator:
            raise ValueError(
                f"override {override!r} is not of the form name=value, without blanks around ="
            )
        values[name] = parse_yaml(text, f"the override {override!r}")
    names = _field_names(cls)
    unknown = sorted(str(name) for name in set(values) - names)
    if unknown:
        raise ValueError(f"{path}: unknown keys {unknown}; {cls.__name__} knows {sorted(names)}")
    missing = sorted(_required_names(cls) - set(values))
    if missing:
        raise ValueError(
            f"{path}: missing keys {missing}; write them into the file, or name=value after it"
        )
    return _build(cls, path, values)


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise unless a setting is one of its choices.

    Raises:
        ValueError: it is not.
    """
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(choices)}")


def replace_fields(config: Config, **changes: Any) -> Config:
    """A copy of a configuration with other values, also of fields of the dataclasses that are its fields.

    Raises:
        TypeError: a name that is no field.
    """
    own = {}
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if field.name in changes:
            own[field.name] = changes.pop(field.name)
        elif dataclasses.is_dataclass(value):
            inner = {name: changes.pop(name) for name in _field_names(type(value)) & set(changes)}
            own[field.name] = replace_fields(value, **inner)
    return dataclasses.replace(config, **own, **changes)  # type: ignore[type-var]


def plain_values(config: Any) -> dict[str, Any]:
    """A configuration's values by name as its YAML file holds them."""
    values = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            values.update(plain_values(value))
        else:
            values[field.name] = list(value) if isinstance(value, tuple) else value
    return values


def _field_names(cls: type) -> set[str]:
    """Names of a dataclass's fields; those of a dataclass among them stand for it."""
    names: set[str] = set()
    for name, annotation in typing.get_type_hints(cls).items():
        names |= _field_names(annotation) if _is_nested(annotation) else {name}
    return names


def _is_nested(annotation: Any) -> TypeGuard[type]:
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def _required_names(cls: type) -> set[str]:
    """Those of `_field_names` that have no default."""
    annotations, names = typing.get_type_hints(cls), set()
    for field in dataclasses.fields(cls):
        if _is_nested(annotations[field.name]):
            names |= _required_names(annotations[field.name])
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            names.add(field.name)
    return names


def _build(cls: type[Config], path: Path, values: Mapping[str, Any]) -> Config:
    fields = {}
    for name, annotation in typing.get_type_hints(cls).items():
        if _is_nested(annotation):
            fields[name] = _build(annotation, path, values)
        elif name in values:
            fields[name] = _checked(path, name, values[name], annotation)
            if name in LEAST and fields[name] < LEAST[name]:
                raise ValueError(
                    f"{path}: {name} is {fields[name]}; it must be {LEAST[name]} or more"
                )
    return cls(**fields)


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
        # A whole number of hundreds of digits is finite and yet no float.
        if abs(value) <= LARGEST_FLOAT:
            return float(value)
    elif isinstance(value, int) and type(value) is annotation is int:
        if abs(value) < 2**63:
            return value
    elif type(value) is annotation:
        return value
    raise ValueError(
        f"{path}: {name} is {shown(value)}; expected {_expected(name, value, annotation)}"
    )


def _expected(name: str, value: Any, annotation: Any) -> str:
    """What a field takes, in words, and how to write it where YAML takes it for something else."""
    if typing.get_origin(annotation) is tuple:
        return f"a list, such as [{value}]" if isinstance(value, int | float | str) else "a list"
    words = {
        str: "a text",
        float: "a number",
        int: "a whole number of up to 64 bits",
        bool: "true or false",
    }
    if annotation is str and isinstance(value, bool | int | float):
        return f"""a text: in quotes in a file, and as {name}='"..."' on the command line"""
    if annotation is float and isinstance(value, str):
        return "a number, such as 1.0e-4, which YAML needs a point for"
    if annotation is float and isinstance(value, int | float) and not isinstance(value, bool):
        return "a finite number"
    return words[annotation]
