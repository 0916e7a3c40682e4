"""What the tools for agents answer, in plain values: the shapes that their callers are told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SoundFile:
    """A file that was written, and what it is."""

    path: str
    seconds: float
    sample_rate: int
    channels: int
    loudness: float | None  # LUFS; none of silence
    seed: int | None  # that makes it again; none where nothing was drawn
    record: dict[str, str | int | float]  # that the file carries: prompt, model, licence ...
    notes: list[str]


@dataclass(frozen=True)
class Sounds:
    """The files of a call."""

    sounds: list[SoundFile]


@dataclass(frozen=True)
class FoundSound:
    """A sound of the library."""

    path: str
    score: float  # 1 is what was looked for
    seconds: float


@dataclass(frozen=True)
class Matches:
    """What a search found, the best first."""

    matches: list[FoundSound]


@dataclass(frozen=True)
class Label:
    """What is heard, with its probability."""

    label: str
    score: float


@dataclass(frozen=True)
class Heard:
    """What is heard in a file."""

    path: str
    seconds: float
    labels: list[Label]
    category: str | None  # CatID of the Universal Category System


@dataclass(frozen=True)
class KnownModel:
    """A built-in model, or the one that the server works with."""

    name: str
    makes: str
    used: bool
    parameters: int
    licence: str


@dataclass(frozen=True)
class Known:
    """What a server has, and what it lets an agent do."""

    models: list[KnownModel]
    output: str
    readable: list[str]
    library: str | None
    longest_seconds: float
    most_sounds: int
    formats: list[str]
