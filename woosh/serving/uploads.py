"""What clients upload: looked at by its first bytes, not by its name, and kept under a name that is made here."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from woosh.audio import file_stem

MOST_BYTES = 200_000_000
HEAD = 64  # bytes
PIECE = 2**20

# First bytes -> suffix; a dot stands for any byte. Of a file that is none of these nothing is read.
SOUNDS = (
    (b"RIFF....WAVE", ".wav"),
    (b"RF64....WAVE", ".wav"),
    (b"riff", ".w64"),
    (b"fLaC", ".flac"),
    (b"OggS", ".ogg"),
    (b"FORM....AIFF", ".aiff"),
    (b"FORM....AIFC", ".aiff"),
    (b"caff", ".caf"),
    (b"ID3", ".mp3"),
)
VIDEOS = (
    (b"....ftypqt", ".mov"),
    (b"....ftyp", ".mp4"),
    (b"....moov", ".mov"),
    (b"\x1aE\xdf\xa3", ".mkv"),
    (b"RIFF....AVI ", ".avi"),
)


def suffix_of(head: bytes, video: bool) -> str:
    """The suffix of a sound, or of a video, by its first bytes.

    Raises:
        ValueError: it is none that is known.
    """
    for pattern, suffix in VIDEOS if video else SOUNDS:
        if len(head) >= len(pattern) and all(
            sign in (ord("."), byte) for sign, byte in zip(pattern, head, strict=False)
        ):
            return ".webm" if suffix == ".mkv" and b"webm" in head else suffix
    if not video and len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # MPEG's frame
        return ".mp3"
    known = "MP4, MOV, MKV, WebM or AVI" if video else "WAV, FLAC, Ogg, MP3, AIFF, CAF or W64"
    raise ValueError(
        f"the upload is no {'video' if video else 'sound'} that is known here: {known}"
    )


def name_of(told: str | None, suffix: str) -> str:
    """The name under which an upload is kept: letters and digits of the one that its client tells."""
    return file_stem(PurePosixPath((told or "").replace("\\", "/")).stem) + suffix


def keep(source: BinaryIO, path: Path) -> str:
    """Write an upload to a file in a new folder; its sha256.

    Raises:
        ValueError: it is larger than `MOST_BYTES`.
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True)
    size, checksum = 0, hashlib.sha256()
    with path.open("xb") as file:
        while piece := source.read(PIECE):
            size += len(piece)
            if size > MOST_BYTES:
                raise ValueError(f"the upload has more than {MOST_BYTES / 1e6:g} MB")
            checksum.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())  # before its job is accepted
    return checksum.hexdigest()
