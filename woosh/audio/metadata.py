"""What an audio file says of itself: prompt, seed, model and version as JSON in its comment tag."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import soundfile

from woosh.outside_files import parse_object

# libsndfile reads a WAV text chunk into 2,048 bytes and drops a longer one without a word.
METADATA_BYTES = 2000


def encode_metadata(metadata: Mapping[str, str | int | float]) -> str:
    """Write metadata as the JSON text that a file's comment tag carries.

    Raises:
        ValueError: the text is longer than a WAV file's tag can be read back (2,000 bytes).
    """
    text = json.dumps(dict(metadata), ensure_ascii=False)
    size = len(text.encode("utf-8", errors="replace"))
    if size > METADATA_BYTES:
        raise ValueError(
            f"the prompt and the other metadata take {size} bytes and an audio file's tag holds "
            f"{METADATA_BYTES}: use a shorter prompt"
        )
    return text


def read_metadata(path: str | Path) -> dict[str, str | int | float]:
    """Return the metadata that `write_audio` stored in a file.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: the file is not audio or carries no such metadata.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no audio file at {path}")
    try:
        with soundfile.SoundFile(path) as file:
            comment = file.comment
    except soundfile.LibsndfileError as error:
        raise ValueError(f"cannot read {path} as audio: {error.error_string}") from error
    try:
        return parse_object(comment, str(path))
    except ValueError as error:
        raise ValueError(f"{path} carries no metadata of a generated sound") from error
