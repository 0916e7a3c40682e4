"""Sound as arrays and files: reading, writing with metadata, levels, names. No network, no torch."""

from woosh.audio.files import (
    CEILINGS,
    SUBTYPES,
    Levelled,
    encode_metadata,
    file_stem,
    format_of,
    loudness,
    normalise_loudness,
    peak_guard,
    read_audio,
    read_metadata,
    resample,
    write_audio,
)

__all__ = [
    "CEILINGS",
    "Levelled",
    "SUBTYPES",
    "encode_metadata",
    "file_stem",
    "format_of",
    "loudness",
    "normalise_loudness",
    "peak_guard",
    "read_audio",
    "read_metadata",
    "resample",
    "write_audio",
]
