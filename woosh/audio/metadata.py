"""What an audio file says of itself: a record of how it was made, as JSON in its comment tag.

A record is flat. Its words: `prompt`, `negative_prompt`, `seed`, `model`, `version`, `steps`, `guidance`, `seconds`,
`weights_licence`; `catid`, `category`, `subcategory`, `fx_name`, `creator_id`, `source_id` of a sound that is named after UCS;
`operations`, what was done to it afterwards. Operations of Woosh carry a record on by `derived_record`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import soundfile

from woosh.audio.chunks import parse_info, read_chunk_of
from woosh.outside_files import parse_object

Record = Mapping[str, str | int | float]

ASKED_BYTES = 2_000  # of a record before its sound is made: the rest has room
METADATA_BYTES = 4_000  # of a whole record
CHECKSUM = "coded_sha256"  # beside the record: of the samples as stored, see `woosh.audio.coded`

# How one sound was made and what was measured of it, which says nothing of another one that was made from it.
OF_ONE_SOUND = frozenset(
    (
        "seconds",
        "sound_seconds",
        "steps",
        "guidance",
        "solver",
        "loop",
        "loudness",
        "loudness_measure",
        "true_peak",
    )
)


def encode_metadata(metadata: Record, most: int = METADATA_BYTES) -> str:
    """Write metadata as the JSON text that a file's comment tag carries.

    Args:
        metadata: the record.
        most: bytes of the text.

    Raises:
        ValueError: the text is longer.
    """
    text = json.dumps(dict(metadata), ensure_ascii=False)
    size = len(text.encode("utf-8", errors="replace"))
    if size > most:
        raise ValueError(
            f"the prompt and the other metadata take {size} bytes and an audio file's tag holds "
            f"{most}: use a shorter prompt"
        )
    return text


def read_metadata(path: str | Path) -> dict[str, str | int | float]:
    """Return the metadata that `write_audio` stored in a file.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: the file is not audio or carries no such metadata.
    """
    return _read_stored(Path(path))[0]


def kept_record(path: str | Path) -> dict[str, str | int | float]:
    """The metadata of a file for `derived_record`: empty for a sound that carries none.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: the file is not audio.
    """
    try:
        return read_metadata(path)
    except ValueError as error:
        if isinstance(error.__cause__, soundfile.LibsndfileError):
            raise
        return {}


def read_checksum(path: str | Path) -> str | None:
    """Return the checksum of the samples that `write_audio` stored beside the metadata; None if there is none.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: the file is not audio or carries no such metadata.
    """
    return _read_stored(Path(path))[1]


def _read_stored(path: Path) -> tuple[dict[str, str | int | float], str | None]:
    if not path.is_file():
        raise FileNotFoundError(f"no audio file at {path}")
    try:
        values = parse_object(_comment(path), str(path))
    except ValueError as error:
        if isinstance(error.__cause__, soundfile.LibsndfileError):
            raise
        raise ValueError(f"{path} carries no metadata of a generated sound") from error
    checksum = values.pop(CHECKSUM, None)
    return values, checksum if isinstance(checksum, str) else None


def _comment(path: Path) -> str:
    """The comment tag. Of WAV files libsndfile leaves out a text of more than 2,048 bytes, so these are read here."""
    try:
        with soundfile.SoundFile(path) as file:
            comment = file.comment
    except soundfile.LibsndfileError as error:
        raise ValueError(f"cannot read {path} as audio: {error.error_string}") from error
    content = read_chunk_of(path, b"LISTINFO")
    return comment if content is None else parse_info(content).get("ICMT", "")


def derived_record(
    record: Record, operation: str, **facts: str | int | float
) -> dict[str, str | int | float]:
    """The record of what was made from a recorded sound: what it was made from, and what was done to it since.

    What was true of the former sound alone (`OF_ONE_SOUND`) is left out.

    Args:
        record: of the sound before; empty if it has none.
        operation: what was done, in a word or two, such as "loop".
        facts: what else is new, such as the seed of a new part; they take the place of values of the same name.
    """
    before = record.get("operations")
    kept = {name: value for name, value in record.items() if name not in OF_ONE_SOUND}
    return {**kept, **facts, "operations": f"{before}; {operation}" if before else operation}
