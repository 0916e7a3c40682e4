"""Chunks of WAV files (RIFF, and RF64 beyond 4 GB): found within bounds, built, and written around samples that stay as they are.

Sources: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0" (1991), for RIFF, `LIST`, `cue ` and
`smpl`; EBU Tech 3306 for RF64.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

FORMS = (b"RIFF", b"RF64", b"BW64")  # the last is RF64 under another name (ITU-R BS.2088)
RIFF_LIMIT = 2**32  # bytes from which on a file is RF64
ELSEWHERE = 0xFFFFFFFF  # a size that stands in `ds64`
MOST_CHUNKS = 1_000
MOST_CHUNK_BYTES = 2**20  # of a chunk that is read whole; samples are not
MOST_POINTS = 10_000  # cue points of a file
FORWARD = 0  # kind of a loop in `smpl`


class Chunk(NamedTuple):
    """Where a chunk is."""

    name: bytes  # four characters; of a list, `LIST` and four more for its kind
    start: int  # of its content, in the file
    size: int  # of its content, as the file says: more than there is if the file is cut


class Point(NamedTuple):
    """A moment in a sound, by name."""

    sample: int  # counted from 0, of all channels together
    label: str


def is_wave(file: BinaryIO) -> bool:
    """Whether a file begins as a WAV file does."""
    file.seek(0)
    start = file.read(12)
    return start[:4] in FORMS and start[8:] == b"WAVE"


def find_chunks(file: BinaryIO) -> list[Chunk]:
    """The chunks of a WAV file in their order; nothing of their content is read but the kind of a list.

    Raises:
        ValueError: it is no WAV file, or has more than `MOST_CHUNKS`.
    """
    if not is_wave(file):
        raise ValueError("not a WAV file")
    end = file.seek(0, 2)
    found: list[Chunk] = []
    place, data_size = 12, None
    while place + 8 <= end:
        if len(found) == MOST_CHUNKS:
            raise ValueError(f"more than {MOST_CHUNKS} chunks")
        file.seek(place)
        name, size = struct.unpack("<4sI", file.read(8))
        if name == b"LIST":
            name += file.read(4)
        elif name == b"ds64" and not found:
            file.seek(8, 1)
            data_size = int.from_bytes(file.read(8), "little")
        elif name == b"data" and size == ELSEWHERE and data_size is not None:
            size = data_size
        found.append(Chunk(name, place + 8, size))
        place += 8 + size + size % 2
    return found


def read_chunk(file: BinaryIO, name: bytes) -> bytes | None:
    """The content of the first chunk of a name; None if there is none.

    Raises:
        ValueError: no WAV file, or the chunk has more than `MOST_CHUNK_BYTES` or is cut.
    """
    for chunk in find_chunks(file):
        if chunk.name == name:
            if chunk.size > MOST_CHUNK_BYTES:
                raise ValueError(f"chunk {_shown(name)} has more than {MOST_CHUNK_BYTES} bytes")
            file.seek(chunk.start)
            content = file.read(chunk.size)
            if len(content) < chunk.size:
                raise ValueError(f"chunk {_shown(name)} is cut")
            return content
    return None


def read_chunk_of(path: Path, name: bytes) -> bytes | None:
    """`read_chunk` of a file by its path; None also for files that are no WAV files.

    Raises:
        ValueError: as `read_chunk`, with the file's name.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if not is_wave(file):
            return None
        try:
            return read_chunk(file, name)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _shown(name: bytes) -> str:
    return ascii(name.decode("latin-1"))


def rewrite(source: BinaryIO, target: BinaryIO, chunks: Sequence[tuple[bytes, bytes]]) -> None:
    """Copy a WAV file with other chunks: those given stand in front of the samples, and take the place of any of their names.

    Samples are copied bit for bit. The result is RF64 where it has 4 GB or more.

    Args:
        source: the file.
        target: where the copy goes, from where it stands.
        chunks: names (as in `Chunk`) and contents; an empty content takes a chunk away.

    Raises:
        ValueError: `source` is no WAV file, lacks its format or its samples, or these are cut.
    """
    replaced = {name for name, _ in chunks} | {b"ds64", b"JUNK", b"PAD ", b"FLLR"}
    end = source.seek(0, 2)
    old = [chunk for chunk in find_chunks(source) if chunk.name not in replaced]
    by_name = {chunk.name: chunk for chunk in old}
    if b"fmt " not in by_name or b"data" not in by_name:
        raise ValueError("a WAV file needs a format and samples")
    if any(chunk.start + chunk.size > end for chunk in old):
        raise ValueError("the file is cut")
    first = by_name[b"fmt "]
    rest = [chunk for chunk in old if chunk is not first]
    data = by_name[b"data"]
    new = [(name, content) for name, content in chunks if content]
    size = 4 + sum(8 + len(content) + len(content) % 2 for _, content in new)
    size += sum(8 + chunk.size + chunk.size % 2 for chunk in old)
    large = size + 8 + 36 >= RIFF_LIMIT
    if large:
        source.seek(first.start)
        frame = max(1, struct.unpack("<HHIIH", source.read(14))[4])
        counts = struct.pack("<QQQI", size + 36, data.size, data.size // frame, 0)
        target.write(struct.pack("<4sI4s", b"RF64", ELSEWHERE, b"WAVE"))
        target.write(_header(b"ds64", len(counts)) + counts)
    else:
        target.write(struct.pack("<4sI4s", b"RIFF", size, b"WAVE"))
    _copy(source, target, first, first.size)
    for name, content in new:
        target.write(_header(name, len(content)) + content + b"\0" * (len(content) % 2))
    for chunk in rest:
        _copy(source, target, chunk, ELSEWHERE if large and chunk is data else chunk.size)


def _header(name: bytes, size: int) -> bytes:
    return struct.pack("<4sI", name[:4], size)


def _copy(source: BinaryIO, target: BinaryIO, chunk: Chunk, told: int) -> None:
    """Copy a chunk under a header that tells a size."""
    target.write(_header(chunk.name, told))
    source.seek(chunk.start)
    left = chunk.size
    while left:
        block = source.read(min(left, shutil.COPY_BUFSIZE))
        target.write(block)
        left -= len(block)
    target.write(b"\0" * (chunk.size % 2))


def info_chunk(texts: Mapping[str, str]) -> tuple[bytes, bytes]:
    """The list `INFO`: texts by names of four characters, such as `INAM`. Empty texts are left out."""
    parts = [b"INFO"]
    for name, text in texts.items():
        if text:
            content = text.encode("utf-8", errors="replace") + b"\0"
            parts.append(_header(name.encode("ascii"), len(content)) + content)
            parts.append(b"\0" * (len(content) % 2))
    return b"LISTINFO", b"".join(parts) if len(parts) > 1 else b""


def parse_info(content: bytes) -> dict[str, str]:
    """The texts of a list `INFO` by their names; of two with one name the first. What is no UTF-8 is read as Latin 1."""
    texts: dict[str, str] = {}
    for name, text in _parts(content[4:]):
        plain = text.split(b"\0")[0]
        try:
            decoded = plain.decode("utf-8")
        except UnicodeDecodeError:
            decoded = plain.decode("latin-1")
        texts.setdefault(name.decode("latin-1"), decoded)
    return texts


def _parts(content: bytes) -> list[tuple[bytes, bytes]]:
    """Names and contents of the chunks in a list; a last one that is cut is left out."""
    found, place = [], 0
    while place + 8 <= len(content) and len(found) < MOST_POINTS:
        name, size = struct.unpack_from("<4sI", content, place)
        if place + 8 + size > len(content):
            break
        found.append((name, content[place + 8 : place + 8 + size]))
        place += 8 + size + size % 2
    return found


def loop_chunk(loop: tuple[int, int] | None, sample_rate: int) -> tuple[bytes, bytes]:
    """The chunk `smpl`, which tells players to repeat a part of a sound for ever.

    Args:
        loop: the part's first sample and the one behind its last; None takes the chunk away.
        sample_rate: in Hz.
    """
    if loop is None:
        return b"smpl", b""
    period = round(1e9 / sample_rate)  # of a sample, in nanoseconds
    head = struct.pack("<9I", 0, 0, period, 60, 0, 0, 0, 1, 0)  # note 60, without any detuning
    return b"smpl", head + struct.pack("<6I", 0, FORWARD, loop[0], loop[1] - 1, 0, 0)


def parse_loop(content: bytes) -> tuple[int, int] | None:
    """The first loop of a chunk `smpl`: its first sample and the one behind its last; None if it has none.

    Raises:
        ValueError: the chunk is too short for what it says, or the loop ends before it begins.
    """
    if len(content) < 36:
        raise ValueError("chunk 'smpl' is too short")
    if struct.unpack_from("<I", content, 28)[0] == 0:
        return None
    if len(content) < 60:
        raise ValueError("chunk 'smpl' is too short")
    first, last = struct.unpack_from("<II", content, 44)
    if last < first:
        raise ValueError("chunk 'smpl' holds a loop that ends before it begins")
    return first, last + 1


def point_chunks(points: Sequence[Point]) -> list[tuple[bytes, bytes]]:
    """The chunks `cue ` and `LIST` `adtl`: moments and their names; without points, what takes both away.

    Raises:
        ValueError: more than `MOST_POINTS`.
    """
    if len(points) > MOST_POINTS:
        raise ValueError(f"{len(points)} moments are more than {MOST_POINTS}, which a file takes")
    if not points:
        return [(b"cue ", b""), (b"LISTadtl", b"")]
    cues = [struct.pack("<I", len(points))]
    labels = [b"adtl"]
    for number, point in enumerate(points, start=1):
        cues.append(struct.pack("<II4sIII", number, point.sample, b"data", 0, 0, point.sample))
        text = point.label.encode("utf-8", errors="replace") + b"\0"
        labels.append(_header(b"labl", 4 + len(text)) + struct.pack("<I", number) + text)
        labels.append(b"\0" * (len(text) % 2))
    return [(b"cue ", b"".join(cues)), (b"LISTadtl", b"".join(labels))]


def parse_points(cues: bytes, labels: bytes | None) -> list[Point]:
    """The moments of a chunk `cue `, with their names from a list `adtl`.

    Raises:
        ValueError: the chunk is too short for what it says, or holds more than `MOST_POINTS`.
    """
    count = int.from_bytes(cues[:4], "little")
    if count > MOST_POINTS or len(cues) < 4 + 24 * count:
        raise ValueError("chunk 'cue ' is too short for its points, or has too many")
    names = {}
    for name, content in _parts((labels or b"adtl")[4:]):
        if name == b"labl" and len(content) >= 4:
            text = content[4:].split(b"\0")[0].decode("utf-8", errors="replace")
            names[int.from_bytes(content[:4], "little")] = text
    found = [struct.unpack_from("<II4sIII", cues, 4 + 24 * place) for place in range(count)]
    return [Point(values[5], names.get(values[0], "")) for values in found]
