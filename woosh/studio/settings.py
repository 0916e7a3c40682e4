"""Settings of the studio: who makes the sounds, and with what they are signed, from a file of the user's.

The file is `studio.toml` in the folder where the platform keeps settings (`~/.config/woosh` on Linux):

    [names]
    creator = "JDOE"
    source = "MYLIB"

    [credentials]
    certificate = "chain.pem"
    key = "key.pem"
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from woosh.outside_files import read_text, shaped, shown

MOST_BYTES = 2**20
FILE = "studio.toml"


@dataclass(frozen=True)
class NameSettings:
    """Parts of UCS names: who made the sounds, and for which library."""

    creator: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class CredentialSettings:
    """What files are signed with: the chain of certificates and the key, both PEM. Paths count from the settings' folder."""

    certificate: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: name both")


@dataclass(frozen=True)
class StudioSettings:
    """All of `studio.toml`."""

    names: NameSettings = NameSettings()
    credentials: CredentialSettings = CredentialSettings()


def settings_path() -> Path:
    """Where the settings of this user are, by the platform's rules."""
    import platformdirs

    return platformdirs.user_config_path("woosh", appauthor=False) / FILE


def read_settings(path: Path | None = None) -> StudioSettings:
    """The settings of a file, or of this user's; those of a user without a file are empty.

    Raises:
        ValueError: it is no TOML, has an unknown name, or a value of another kind.
        FileNotFoundError: there is no file at the path that was given.
        OSError: it cannot be read.
    """
    place = settings_path() if path is None else path
    if path is None and not place.is_file():
        return StudioSettings()
    import tomllib

    try:
        values = tomllib.loads(read_text(place, MOST_BYTES))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"{place} is not valid TOML: {error}") from error
    _check_names(StudioSettings, values, str(place))
    return shaped(StudioSettings, values, str(place))


def _check_names(cls: Any, values: dict[str, Any], place: str) -> None:
    """Check that a table has no other names than a dataclass has fields, and neither have the tables in it."""
    tables = {field.name: field.default for field in dataclasses.fields(cls)}
    for name, value in values.items():
        if name not in tables:
            known = ", ".join(tables)
            raise ValueError(f"{place} has an unknown name {shown(name)}: known are {known}")
        if dataclasses.is_dataclass(tables[name]) and isinstance(value, dict):
            _check_names(type(tables[name]), value, f"{place}: {name}")
