"""Sound as arrays and files: reading, writing with metadata, levels, names. No network, no torch."""

from woosh.audio.chunks import Point
from woosh.audio.encoding import CEILINGS, DEPTHS, FORMATS, RATES, Encoding, format_of
from woosh.audio.files import (
    SUFFIXES,
    audio_seconds,
    decode_audio,
    read_audio,
    read_blocks,
    read_seconds,
    resample,
)
from woosh.audio.finishing import Finished, FinishSettings, finish
from woosh.audio.folders import FoundFiles, find_files
from woosh.audio.levels import (
    Levelled,
    levelling_loudness,
    loudness,
    momentary_loudness,
    normalise_loudness,
    peak_guard,
)
from woosh.audio.metadata import (
    ASKED_BYTES,
    Record,
    derived_record,
    encode_metadata,
    kept_record,
    read_metadata,
)
from woosh.audio.names import file_stem
from woosh.audio.stereo import widen
from woosh.audio.trimming import SILENT_LEVEL, Trim, is_silent, loudest_level
from woosh.audio.true_peak import true_peak
from woosh.audio.writing import NO_MARKS, Marks, write_audio

__all__ = [
    "ASKED_BYTES",
    "CEILINGS",
    "DEPTHS",
    "Encoding",
    "FORMATS",
    "FinishSettings",
    "Finished",
    "FoundFiles",
    "Levelled",
    "Marks",
    "NO_MARKS",
    "Point",
    "RATES",
    "Record",
    "SILENT_LEVEL",
    "SUFFIXES",
    "Trim",
    "audio_seconds",
    "decode_audio",
    "derived_record",
    "encode_metadata",
    "file_stem",
    "find_files",
    "finish",
    "format_of",
    "is_silent",
    "kept_record",
    "levelling_loudness",
    "loudest_level",
    "loudness",
    "momentary_loudness",
    "normalise_loudness",
    "peak_guard",
    "read_audio",
    "read_blocks",
    "read_metadata",
    "read_seconds",
    "resample",
    "true_peak",
    "widen",
    "write_audio",
]
