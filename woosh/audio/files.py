"""Audio files and levels: reading, writing with metadata, resampling, loudness, file names.

Arrays here are NumPy float32 of shape (C, S): channels, samples; full scale is [-1, 1]. Nothing in
this file needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from woosh.audio.headers import decoded, lacks_length, missing_bytes
from woosh.audio.metadata import encode_metadata
from woosh.whole_files import replacing

# Extensions of files that are taken for sounds when a folder is searched.
SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".caf", ".w64"})


SAMPLE_RATES = (1_000, 768_000)  # Hz, of files that are read


SUBTYPES = {"wav": "PCM_24", "flac": "PCM_24", "ogg": "VORBIS"}


# Vorbis may overshoot the samples it was given by several percent.
CEILINGS = {"wav": 1.0, "flac": 1.0, "ogg": 0.8}

MOST_NUMBERS = 2**26  # samples times channels that are read whole: 23 minutes of mono at 48 kHz
SYSTEM_ERROR = 2  # of libsndfile: not the file's content is at fault, but reading it

WRITE_FRAMES = 65_536  # libsndfile's Vorbis encoder overflows its stack on very long writes


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
        count, rate = file.frames, file.samplerate
        if longest_seconds is not None:
            count = min(count, math.ceil(longest_seconds * rate))
        most = MOST_NUMBERS * rate // (file.channels * max(rate, sample_rate))
        if count > most:
            raise ValueError(
                f"{path} is {count / rate:.0f} s long with {file.channels} channels: no more than "
                f"{most / rate:.0f} s of such a file are read at once, so cut it into parts"
            )
        frames = _read_frames(file, count, path)  # (S, C)
    audio = frames.mean(axis=1, keepdims=True).T if mono else frames.T
    return resample(audio, rate, sample_rate)


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
    if missing := missing_bytes(path):
        raise ValueError(f"{path} is truncated: {missing} bytes of its samples are missing")
    file_format = lacks_length(path)
    with ExitStack() as stack:
        source: Any = path
        if file_format is not None:
            source = stack.enter_context(decoded(path, file_format, longest_seconds))
        try:
            file = stack.enter_context(soundfile.SoundFile(source))
            low, high = SAMPLE_RATES
            if not low <= file.samplerate <= high:
                raise ValueError(
                    f"{path} has a sample rate of {file.samplerate} Hz: from {low} to {high} Hz are read"
                )
            if file.frames == 0:
                raise ValueError(f"{path} holds no samples")
            yield file
        except soundfile.LibsndfileError as error:
            kind = OSError if error.code == SYSTEM_ERROR else ValueError
            raise kind(f"cannot read {path} as audio: {error.error_string}") from error


def _read_frames(file: soundfile.SoundFile, count: int, path: str | Path) -> np.ndarray:
    """The next `count` frames (S, C) of an open file, all of them and all finite."""
    frames = file.read(count, dtype="float32", always_2d=True)
    if len(frames) < count:
        raise ValueError(f"{path} is truncated: {len(frames)} of {count} frames are there")
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
            yield resample(
                frames.mean(axis=1, keepdims=True).T if mono else frames.T, rate, sample_rate
            )


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


def write_audio(
    path: str | Path,
    audio: np.ndarray,
    sample_rate: int = 48_000,
    metadata: Mapping[str, str | int | float] | None = None,
) -> None:
    """Write (C, S) audio as 24-bit WAV or FLAC or as Ogg Vorbis, chosen by the file's extension.

    The file appears under its name only once it is complete. The metadata is stored as JSON in the
    `comment` tag, its `prompt` also as the `title`: see `read_metadata`.

    Raises:
        ValueError: unknown extension; audio of another shape, empty, not finite or past [-1, 1]
            (it would be clipped: see `peak_guard`); metadata too long.
        OSError: the file cannot be written there.
    """
    path = Path(path)
    file_format = format_of(path)
    _check_writable_audio(audio)
    comment = encode_metadata(metadata or {})
    try:
        with replacing(path) as part, part.open("w+b") as file:
            storage = _Storage(file)
            try:
                _encode(storage, file_format, audio, sample_rate, comment, metadata or {})
            finally:
                if storage.failure is not None:
                    raise storage.failure
    except soundfile.LibsndfileError as error:
        raise OSError(f"cannot write {path}: {error.error_string}") from error


def _check_writable_audio(audio: np.ndarray) -> None:
    if audio.ndim != 2 or audio.size == 0:
        raise ValueError(f"audio must be (channels, samples) and not empty, got {audio.shape}")
    if not np.isfinite(audio).all():
        raise ValueError("audio holds values that are not finite (NaN or infinity)")
    peak = float(np.abs(audio).max())
    if peak > 1:
        raise ValueError(f"audio peaks at {peak:.3f} and would be clipped: scale it to 1 first")


class _Storage:
    """A file that libsndfile writes to; of a failure it would only tell that there was one."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell
        self._write = file.write
        self.failure: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._write(data)
        except OSError as error:
            self.failure = self.failure or error
            return 0


def _encode(
    storage: Any,  # soundfile takes what reads, writes, seeks and tells, and declares less
    file_format: str,
    audio: np.ndarray,
    sample_rate: int,
    comment: str,
    metadata: Mapping[str, str | int | float],
) -> None:
    with soundfile.SoundFile(
        storage,
        "w",
        samplerate=sample_rate,
        channels=len(audio),
        subtype=SUBTYPES[file_format],
        format=file_format.upper(),
    ) as file:
        # Before the samples: Ogg and FLAC store their tags in front of them.
        file.comment = comment
        if metadata.get("prompt"):  # libsndfile refuses an empty title
            file.title = str(metadata["prompt"])[:200]
        if "version" in metadata:
            file.software = f"woosh {metadata['version']}"
        frames = audio.T
        for start in range(0, len(frames), WRITE_FRAMES):
            file.write(frames[start : start + WRITE_FRAMES])


def format_of(path: Path) -> str:
    """Return the format that a file's extension names: wav, flac or ogg.

    Raises:
        ValueError: another extension or none.
    """
    extension = path.suffix.lower().removeprefix(".")
    if extension not in SUBTYPES:
        known = ", ".join(f".{name}" for name in SUBTYPES)
        raise ValueError(f"cannot write {path.name!r}: its extension must be one of {known}")
    return extension
