"""What the header of a sound file says of its length, where libsndfile takes another length without a word."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from woosh.audio.chunks import ELSEWHERE, MOST_CHUNKS, find_chunks, is_wave

UNKNOWN_SIZE = 0x7FFFF000  # programs that write to a pipe put this size or a larger one
FRAME_COUNTS = (
    b"Xing",
    b"Info",
    b"VBRI",
)  # tags in the first frame of an MP3 file that count its frames
MOST_DECODED = (
    2**30
)  # samples times channels of a file of unknown length: 6 hours of mono at 48 kHz
LONGEST_PAGE = 27 + 255 + 255 * 255  # bytes, of an Ogg file
LAST_PAGE = 4  # in its flags
FLAC_COUNTED = 26  # bytes of a FLAC file, with which its number of samples ends
FIRST_FRAME = 4096  # bytes after the tags, within which it begins and ends


def missing_bytes(path: str | Path) -> int:
    """How many bytes a file lacks of those that its header tells: of a WAV file's samples, of a W64, AIFF or CAF file.

    0 for files of other kinds, and where their size is not known.

    Raises:
        ValueError: the file has too many chunks.
    """
    with Path(path).open("rb") as file:
        try:
            end = _told_end(file)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return 0 if end is None else max(0, end - file.seek(0, 2))


def _told_end(file: BinaryIO) -> int | None:
    """Where a file ends, as its header tells; None if it does not."""
    file.seek(0)
    start = file.read(24)
    if is_wave(file):
        return _end_of_wave(file, UNKNOWN_SIZE if start[:4] == b"RIFF" else ELSEWHERE)
    if start[:4] == b"riff":  # W64, whose names have 16 bytes
        return int.from_bytes(start[16:24], "little")
    if start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC"):
        size = int.from_bytes(start[4:8], "big")
        return 8 + size if size < UNKNOWN_SIZE else None
    return _end_of_caf(file) if start[:4] == b"caff" else None


def _end_of_wave(file: BinaryIO, unknown: int) -> int | None:
    """Where the samples of a WAV file end."""
    for chunk in find_chunks(file):
        if chunk.name == b"data" and (chunk.size < unknown or chunk.size > ELSEWHERE):
            return chunk.start + chunk.size
    return None


def _end_of_caf(file: BinaryIO) -> int | None:
    """Where the samples of a CAF file end."""
    place = 8
    for _ in range(MOST_CHUNKS):
        file.seek(place)
        head = file.read(12)
        size = int.from_bytes(head[4:], "big", signed=True)
        if len(head) < 12 or size < 0:  # -1 is unknown
            return None
        place += 12 + size
        if head[:4] == b"data":
            return place
    return None


def is_cut_ogg(path: str | Path) -> bool:
    """Whether an Ogg file ends before its last page, which every encoder marks (RFC 3533, section 6)."""
    with Path(path).open("rb") as file:
        if file.read(4) != b"OggS":
            return False
        size = file.seek(0, 2)
        file.seek(max(0, size - LONGEST_PAGE))
        end = file.read()
    start = end.rfind(b"OggS")
    head = end[start : start + 27]
    if start < 0 or len(head) < 27:
        return True
    last = start + 27 + head[26] + sum(end[start + 27 : start + 27 + head[26]])
    return not head[5] & LAST_PAGE or last > len(end)


def behind_id3(file: BinaryIO) -> int:
    """Where a file goes on behind a tag ID3v2, whose size has four times seven bits; 0 without one."""
    file.seek(0)
    head = file.read(10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = 0
    for byte in head[6:]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if head[5] & 0x10 else 0)


def lacks_length(path: str | Path) -> str | None:
    """The format, "mp3" or "flac", of a file whose header does not say how long it is; None for other files.

    Raises:
        ValueError: a FLAC file ends within its header.
    """
    with Path(path).open("rb") as file:
        begin = behind_id3(file)
        file.seek(begin)
        start = file.read(FLAC_COUNTED)
        if start[:4] == b"fLaC":  # signed files have a tag in front
            if len(start) < FLAC_COUNTED:
                raise ValueError(f"{path} is cut or damaged: it ends within its header")
            samples = (start[21] & 0x0F) << 32 | int.from_bytes(start[22:26], "big")
            return None if samples else "flac"
        if not begin and not (start[:1] == b"\xff" and len(start) > 1 and start[1] & 0xE6 == 0xE2):
            return None  # neither a tag nor a frame of layer III
        file.seek(begin)
        first = file.read(FIRST_FRAME)
    return None if any(name in first for name in FRAME_COUNTS) else "mp3"


@contextmanager
def decoded(
    path: str | Path, file_format: str, longest_seconds: float | None
) -> Iterator[BinaryIO]:
    """A temporary file with the sound of a file of unknown length, whose own header says how long it is.

    Args:
        path: the file.
        file_format: of `lacks_length`.
        longest_seconds: after which decoding ends; None decodes it all.

    Raises:
        ValueError: it cannot be decoded, or, for FLAC, not to its end; or it has more than `MOST_DECODED` numbers. What is cut from an MP3 file without a count of
            frames cannot be known.
    """
    import av

    with tempfile.TemporaryFile() as copy:
        try:
            _decode(path, file_format, longest_seconds, copy)
        except (av.error.FFmpegError, IndexError) as error:  # IndexError: no sound in it
            raise ValueError(f"{path} is cut or damaged: it cannot be decoded") from error
        copy.seek(0)
        yield copy


def _decode(
    path: str | Path, file_format: str, longest_seconds: float | None, copy: BinaryIO
) -> None:
    import av

    with Path(path).open("rb") as source, av.open(source, format=file_format) as container:
        stream = container.streams.audio[0]
        rate, channels = stream.rate, stream.channels
        if not (rate and channels):
            raise ValueError(f"{path} is cut or damaged: it says {channels} channels at {rate} Hz")
        resampler = av.AudioResampler(format="flt", layout=stream.layout, rate=rate)
        with soundfile.SoundFile(copy, "w", rate, channels, "FLOAT", format="W64") as target:
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    if file_format == "mp3":  # what is no frame, such as a tag behind them
                        continue
                    raise
                for frame in frames:
                    for plain in resampler.resample(frame):
                        samples = plain.to_ndarray().astype(np.float32, copy=False)
                        target.write(samples.reshape(-1, channels))
                if longest_seconds is not None and target.frames > longest_seconds * rate:
                    break
                if target.frames * channels > MOST_DECODED:
                    raise ValueError(
                        f"{path} does not say how long it is, and is longer than "
                        f"{target.frames / rate:.0f} s: save it anew in a file that says it"
                    )
