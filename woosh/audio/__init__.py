"""Sound as arrays and files: reading, writing with metadata, levels, names. No network, no torch."""

from woosh.audio.files import (
    CEILINGS,
    SUBTYPES,
    SUFFIXES,
    audio_seconds,
    format_of,
    read_audio,
    read_blocks,
    read_seconds,
    resample,
    write_audio,
)
from woosh.audio.folders import FoundFiles, find_files
from woosh.audio.levels import Levelled, loudness, normalise_loudness, peak_guard
from woosh.audio.metadata import encode_metadata, read_metadata
from woosh.audio.names import file_stem

__all__ = [
    "CEILINGS",
    "FoundFiles",
    "Levelled",
    "SUBTYPES",
    "SUFFIXES",
    "audio_seconds",
    "encode_metadata",
    "file_stem",
    "find_files",
    "format_of",
    "loudness",
    "normalise_loudness",
    "peak_guard",
    "read_audio",
    "read_blocks",
    "read_metadata",
    "read_seconds",
    "resample",
    "write_audio",
]
