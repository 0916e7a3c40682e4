"""Ogg files whose bytes follow from the sound: libsndfile draws the number of the stream from the clock."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
SERIAL, CHECKSUM, SEGMENTS = 14, 22, 26  # where they stand in a page (RFC 3533, section 6)


def settle_serial(file: BinaryIO) -> None:
    """Give the stream of an Ogg file that was just written a number that follows from what it holds."""
    file.seek(0)
    data = bytearray(file.read())
    pages = list(_pages(data))
    bodies = b"".join(data[start + SEGMENTS : end] for start, end in pages)
    serial = zlib.crc32(bodies).to_bytes(4, "little")
    for start, end in pages:
        data[start + SERIAL : start + SERIAL + 4] = serial
        data[start + CHECKSUM : start + CHECKSUM + 4] = bytes(4)
        checksum = page_checksum(bytes(data[start:end]))
        data[start + CHECKSUM : start + CHECKSUM + 4] = checksum.to_bytes(4, "little")
    file.seek(0)
    file.write(data)


def _pages(data: bytearray) -> Iterator[tuple[int, int]]:
    """Where each page begins and ends."""
    start = 0
    while start < len(data):
        body = start + SEGMENTS + 1 + data[start + SEGMENTS]
        end = body + sum(data[start + SEGMENTS + 1 : body])
        yield start, end
        start = end


def page_checksum(page: bytes) -> int:
    """The checksum of a page whose own field is zero: CRC of the polynomial 0x04C11DB7, highest bit first, from 0.

    zlib's is the same with the lowest bit first and all bits turned over before and after.
    """
    mirrored = zlib.crc32(page.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
