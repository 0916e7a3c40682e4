"""Audio files that are read, and resampling.

Arrays here are NumPy float32 of shape (C, S): channels, samples; full scale is [-1, 1]. Nothing in
this file needs torch.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from woosh.audio.headers import decoded, is_cut_ogg, lacks_length, missing_bytes
from woosh.outside_files import SAMPLE_RATES, check_name

# Extensions of files that are taken for sounds when a folder is searched.
SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".caf", ".w64"})


MOST_NUMBERS = 2**26  # samples times channels that are read whole: 23 minutes of mono at 48 kHz
NO_FRAME = 7  # of libsndfile, which says that the file does not exist
SYSTEM_ERROR = 2  # of libsndfile: not the file's content is at fault, but reading it


def resample(audio: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Change the sample rate of (C, S) audio with soxr at high quality, to (C, S') float32."""
    if from_rate == to_rate:
        return audio.astype(np.float32, copy=False)
    import soxr

    frames = np.ascontiguousarray(audio.T, dtype=np.float32)
    return np.ascontiguousarray(soxr.resample(frames, from_rate, to_rate).T)


def read_audio(
    path: str | Path,
    sample_rate: int = 48_000,
    mono: bool = True,
    longest_seconds: float | None = None,
) -> np.ndarray:
    """Read any file that libsndfile knows, resampled, as (C, S) float32.

    Args:
        path: the file.
        sample_rate: rate of the result in Hz.
        mono: average the channels into one.
        longest_seconds: of the file that are read, from its beginning; None reads it all.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: the file is not audio, is shorter than its header says, holds no samples, or
            holds values that are not finite; or it is longer than `MOST_NUMBERS` allows.
        OSError: the file cannot be read at present.
    """
    with open_audio(path, longest_seconds) as file:
        return _read_whole(file, path, sample_rate, mono, longest_seconds)


def decode_audio(
    data: bytes, place: str, sample_rate: int = 48_000, mono: bool = True
) -> np.ndarray:
    """The sound in the bytes of a file, as `read_audio` gives that of a file; `place` is named in errors.

    Raises:
        ValueError: as `read_audio`.
    """
    with _opened(io.BytesIO(data), place) as file:
        return _read_whole(file, place, sample_rate, mono, None)


def _read_whole(
    file: soundfile.SoundFile,
    place: str | Path,
    sample_rate: int,
    mono: bool,
    longest_seconds: float | None,
) -> np.ndarray:
    """All of an open file, or its beginning; see `read_audio`."""
    count, rate = file.frames, file.samplerate
    if longest_seconds is not None:
        count = min(count, math.ceil(longest_seconds * rate))
    most = MOST_NUMBERS * rate // (file.channels * max(rate, sample_rate))
    if count > most:
        raise ValueError(
            f"{place} is {count / rate:.0f} s long with {file.channels} channels: no more than "
            f"{most / rate:.0f} s of such a file are read at once, so cut it into parts"
        )
    frames = _read_frames(file, count, place)  # (S, C)
    return resample(_channels_of(frames, mono), rate, sample_rate)


@contextmanager
def open_audio(
    path: str | Path, longest_seconds: float | None = None
) -> Iterator[soundfile.SoundFile]:
    """Open a file that libsndfile knows, or MP3 or FLAC whose header does not say its length.

    Args:
        path: the file.
        longest_seconds: as far as it is going to be read; None for all of it.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: the file is not audio, is cut, holds no samples, or has a sample rate out of `SAMPLE_RATES`; also for
            what fails while it is open.
        OSError: the file cannot be read at present.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no audio file at {path}")
    check_name(path)
    if missing := missing_bytes(path):
        raise ValueError(f"{path} is cut: {missing} bytes of its samples are missing")
    if is_cut_ogg(path):
        raise ValueError(f"{path} is cut: its last page is missing")
    file_format = lacks_length(path)
    with ExitStack() as stack:
        source: Any = path
        if file_format is not None:
            source = stack.enter_context(decoded(path, file_format, longest_seconds))
        yield stack.enter_context(_opened(source, path))


@contextmanager
def _opened(source: Any, place: str | Path) -> Iterator[soundfile.SoundFile]:
    """Open what libsndfile reads, a path or a binary file, and check its header; `place` is named in errors."""
    try:
        with soundfile.SoundFile(source) as file:
            low, high = SAMPLE_RATES
            if not low <= file.samplerate <= high:
                raise ValueError(
                    f"{place} has a sample rate of {file.samplerate} Hz: from {low} to {high} Hz are read"
                )
            if file.frames == 0:
                raise ValueError(f"{place} holds no samples")
            yield file
    except soundfile.LibsndfileError as error:
        kind = OSError if error.code == SYSTEM_ERROR else ValueError
        reason = "it ends within its first frame" if error.code == NO_FRAME else error.error_string
        raise kind(f"cannot read {place} as audio: {reason}") from error


def _channels_of(frames: np.ndarray, mono: bool) -> np.ndarray:
    """Frames (S, C) as (C, S), or as the mean of the channels (1, S); of one channel no copy is made."""
    return frames.mean(axis=1, keepdims=True).T if mono and frames.shape[1] > 1 else frames.T


def _read_frames(file: soundfile.SoundFile, count: int, path: str | Path) -> np.ndarray:
    """The next `count` frames (S, C) of an open file, all of them and all finite."""
    try:
        frames = file.read(count, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        if error.code == SYSTEM_ERROR:
            raise
        raise ValueError(f"{path} is cut or damaged: {error.error_string}") from error
    if len(frames) < count:
        raise ValueError(f"{path} is cut: {len(frames)} of {count} frames are there")
    if not np.isfinite(frames).all():
        raise ValueError(f"{path} holds values that are not finite (NaN or infinity)")
    return frames


def audio_seconds(path: str | Path) -> float:
    """Length of a file, as its header says; a file whose header does not say it is decoded.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: the file is not audio, or holds no samples.
    """
    with open_audio(path) as file:
        return file.frames / file.samplerate


def read_blocks(
    path: str | Path, sample_rate: int, mono: bool, seconds: float
) -> Iterator[np.ndarray]:
    """A file as blocks (C, S) of so many seconds, one after the other; each is resampled by itself.

    Of files with more than two channels a block has as many numbers as one of two channels.

    Args:
        path: the file.
        sample_rate: rate of the result in Hz.
        mono: average the channels into one.
        seconds: of a block; the last one is as long as it is.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: as `read_audio`, once the faulty place is reached.
        OSError: the file cannot be read at present.
    """
    with open_audio(path) as file:
        rate = file.samplerate
        size = max(1, math.ceil(seconds * rate) // -(-file.channels // 2))
        for start in range(0, file.frames, size):
            frames = _read_frames(file, min(size, file.frames - start), path)  # (S, C)
            yield resample(_channels_of(frames, mono), rate, sample_rate)


def read_seconds(path: str | Path, sample_rate: int, margin: float) -> Iterator[np.ndarray]:
    """A window (S,) of mono audio for every second of a file, one after the other, however long the file is.

    A window holds its second and, as far as the file reaches, `margin` seconds before and after it. The file is read once,
    and no more than a window of it is held; each window is resampled by itself.

    Args:
        path: the file.
        sample_rate: rate of the windows in Hz.
        margin: in seconds.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: as `read_audio`, once the faulty place is reached.
    """
    with open_audio(path) as file:
        rate, start, held = file.samplerate, 0, np.zeros(0, np.float32)
        for second in range(math.ceil(file.frames / rate)):
            low = max(0, round((second - margin) * rate))
            high = min(file.frames, round((second + 1 + margin) * rate))
            new = _read_frames(file, high - start - len(held), path).mean(axis=1)  # (S,)
            held, start = np.concatenate([held[low - start :], new]), low
            yield resample(held[None], rate, sample_rate)[0]
