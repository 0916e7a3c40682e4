"""What the header of a sound file says of its length, where libsndfile takes another length without a word."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

UNKNOWN_SIZE = 0x7FFFF000  # programs that write to a pipe put this size or a larger one
FRAME_COUNTS = (
    b"Xing",
    b"Info",
    b"VBRI",
)  # tags in the first frame of an MP3 file that count its frames
FIRST_FRAME = 4096  # bytes after the tags, within which it begins and ends


def missing_bytes(path: str | Path) -> int:
    """How many bytes of samples a WAV file lacks; 0 for files of other kinds."""
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        start = file.read(12)
        if start[:4] != b"RIFF" or start[8:] != b"WAVE":
            return 0
        while len(head := file.read(8)) == 8:
            length = int.from_bytes(head[4:], "little")
            if head[:4] == b"data":
                return 0 if length >= UNKNOWN_SIZE else max(0, file.tell() + length - size)
            file.seek(length + length % 2, 1)
    return 0


def lacks_length(path: str | Path) -> str | None:
    """The format, "mp3" or "flac", of a file whose header does not say how long it is; None for other files."""
    with Path(path).open("rb") as file:
        start = file.read(26)
        if start[:4] == b"fLaC":
            samples = (start[21] & 0x0F) << 32 | int.from_bytes(start[22:26], "big")
            return None if samples else "flac"
        file.seek(0)
        if start[:3] == b"ID3":  # four times seven bits
            length = 0
            for byte in start[6:10]:
                length = length << 7 | byte & 0x7F
            file.seek(10 + length)
        elif not (start[:1] == b"\xff" and len(start) > 1 and start[1] & 0xE6 == 0xE2):
            return None  # neither a tag nor a frame of layer III
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
        ValueError: it cannot be decoded, or, for FLAC, not to its end. What is cut from an MP3 file without a count of
            frames cannot be known.
    """
    import av

    with tempfile.TemporaryFile() as copy:
        try:
            _decode(path, file_format, longest_seconds, copy)
        except (av.error.FFmpegError, IndexError) as error:  # IndexError: no sound in it
            raise ValueError(f"{path} is truncated or damaged: it cannot be decoded") from error
        copy.seek(0)
        yield copy


def _decode(
    path: str | Path, file_format: str, longest_seconds: float | None, copy: BinaryIO
) -> None:
    import av

    with Path(path).open("rb") as source, av.open(source, format=file_format) as container:
        stream = container.streams.audio[0]
        rate, channels = stream.rate, stream.channels
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
