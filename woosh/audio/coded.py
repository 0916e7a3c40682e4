"""A checksum of the coded samples of a file, whatever its tags say: what tells whether a sound was changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

from woosh.audio.chunks import find_chunks, is_wave
from woosh.audio.headers import behind_id3

READ_BYTES = 2**20


def coded_checksum(file: BinaryIO) -> str | None:
    """sha256 of a file's coded samples; None for formats other than WAV, FLAC, Ogg and MP3.

    Tags are no part of it, so a file can be named, tagged and signed without changing it.
    """
    start = behind_id3(file)
    file.seek(start)
    head = file.read(4)
    if is_wave(file):
        parts = _of_wave(file)
    elif head == b"fLaC":
        parts = _of_flac(file, start)
    elif head == b"OggS":
        parts = _of_ogg(file)
    elif head[:1] == b"\xff" and head[1:2] >= b"\xe0":
        parts = _of_mp3(file, start)
    else:
        return None
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _between(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    file.seek(start)
    while start < end and (block := file.read(min(READ_BYTES, end - start))):
        start += len(block)
        yield block


def _of_wave(file: BinaryIO) -> Iterator[bytes]:
    for chunk in find_chunks(file):
        if chunk.name == b"data":
            yield from _between(file, chunk.start, chunk.start + chunk.size)


def _of_flac(file: BinaryIO, start: int) -> Iterator[bytes]:
    """What lies behind the blocks of metadata (RFC 9639, section 8)."""
    place, last = start + 4, False
    while not last:
        file.seek(place)
        head = file.read(4)
        if len(head) < 4:
            return
        last = bool(head[0] & 0x80)
        place += 4 + int.from_bytes(head[1:], "big")
    yield from _between(file, place, file.seek(0, 2))


def _of_ogg(file: BinaryIO) -> Iterator[bytes]:
    """The content of all pages but those of the headers, whose position is 0 (RFC 3533, section 6)."""
    file.seek(0)
    while len(head := file.read(27)) == 27 and head[:4] == b"OggS":
        sizes = file.read(head[26])
        content = file.read(sum(sizes))
        if head[6:14] != bytes(8):
            yield content


def _of_mp3(file: BinaryIO, start: int) -> Iterator[bytes]:
    """What lies in front of a tag ID3v1 of 128 bytes."""
    end = file.seek(0, 2)
    if end >= 128:
        file.seek(end - 128)
        end -= 128 if file.read(3) == b"TAG" else 0
    yield from _between(file, start, end)
