"""Writing sounds: the samples by libsndfile, then what the file says of itself around them.

Arrays here are NumPy float32 of shape (C, S): channels, samples; full scale is [-1, 1].
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from woosh.audio import chunks
from woosh.audio.broadcast import aswg_fields, bext_chunk, coding_history, ixml_chunk
from woosh.audio.chunks import Point
from woosh.audio.coded import coded_checksum
from woosh.audio.encoding import Encoding, dithered, format_of
from woosh.audio.files import resample
from woosh.audio.levels import peak_guard
from woosh.audio.measures import measure
from woosh.audio.metadata import CHECKSUM, Record, encode_metadata
from woosh.audio.ogg import settle_serial
from woosh.audio.tags import write_tags
from woosh.whole_files import replacing

WRITE_FRAMES = 65_536  # libsndfile's Vorbis encoder overflows its stack on very long writes
HEADER_ROOM = 2**21  # bytes of a WAV file beside its samples, at most
TRIES = 10  # of a lossy format, until what is read back stays within full scale
LOWERINGS = (
    0.7,
    0.95,
)  # from one try to the next: Opus overshoots full scale by far more than what is a little lower
TITLE = 200  # characters of a prompt in a title


@dataclass(frozen=True)
class Marks:
    """Places in a sound, in samples of it.

    Attributes:
        loop: first sample of the part that repeats, and the one behind its last; None if nothing does.
        points: moments with names, such as events.

    Raises:
        ValueError: a loop without a sample, or a place before the beginning.
    """

    loop: tuple[int, int] | None = None
    points: tuple[Point, ...] = ()

    def __post_init__(self) -> None:
        if self.loop is not None and not 0 <= self.loop[0] < self.loop[1]:
            raise ValueError(f"a loop must begin before it ends, not {self.loop}")
        if any(point.sample < 0 for point in self.points):
            raise ValueError("a moment must not lie before the beginning of its sound")

    def moved(self, ratio: float, samples: int) -> Marks:
        """The same places where a sound has `ratio` times the sample rate, and so many samples."""
        points = tuple(
            Point(min(round(sample * ratio), samples - 1), label) for sample, label in self.points
        )
        if self.loop is None:
            return Marks(None, points)
        first = min(round(self.loop[0] * ratio), samples - 1)
        return Marks((first, min(max(round(self.loop[1] * ratio), first + 1), samples)), points)

    def check(self, samples: int) -> None:
        """Check that a sound of so many samples has all places.

        Raises:
            ValueError: it does not.
        """
        last = max([0, *(point.sample + 1 for point in self.points), *(self.loop or ())])
        if last > samples:
            raise ValueError(f"a mark lies at sample {last}, behind the sound's {samples}")


NO_MARKS = Marks()


def write_audio(
    path: str | Path,
    audio: np.ndarray,
    sample_rate: int = 48_000,
    metadata: Record | None = None,
    encoding: Encoding | None = None,
    marks: Marks = NO_MARKS,
) -> None:
    """Write (C, S) audio, resampled and coded as asked for, with what it says of itself.

    The file appears under its name only once it is complete. The metadata is stored as JSON in the `comment` tag, its `prompt`
    also as the title: see `read_metadata`. Where there are metadata or marks, WAV files get the chunks `bext` (with the loudness
    of what is written), `iXML`, `smpl` and `cue `, other formats tags of the same names as the fields of iXML. What is read
    back from a lossy format stays within full scale: a sound that would not is written lower.

    Args:
        path: the file; its extension must be that of the encoding.
        audio: within [-1, 1].
        sample_rate: of the audio, in Hz.
        metadata: the record of the sound.
        encoding: None is the format that the extension names, as usual.
        marks: places in the audio.

    Raises:
        ValueError: unknown extension, or another one than that of the encoding; audio of another shape, empty, not finite or
            past [-1, 1] (it would be clipped: see `peak_guard`); marks behind its end; metadata too long.
        OSError: the file cannot be written there.
    """
    path = Path(path)
    named = format_of(path)
    encoding = encoding or Encoding(named)
    if encoding.format != named:
        raise ValueError(f"{path.name} asks for {named} and its encoding for {encoding.format}")
    _check_writable_audio(audio)
    marks.check(audio.shape[1])
    record = metadata or {}
    encode_metadata(record)
    rate = encoding.rate_of(sample_rate)
    if rate != sample_rate:
        audio = peak_guard(resample(audio, sample_rate, rate))
        marks = marks.moved(rate / sample_rate, audio.shape[1])
    try:
        with replacing(path) as part, part.open("w+b") as file:
            if named == "wav":
                _write_wave(file, audio, rate, encoding, record, marks)
            else:
                _encode_within_scale(file, audio, rate, encoding)
                texts = _tags(record, _stored(record, file), marks)
                write_tags(file, named, texts)
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


def _stored(record: Record, file: BinaryIO) -> str:
    """The comment of a file: the record, and the checksum of the samples that are in the file already."""
    return json.dumps({**record, CHECKSUM: coded_checksum(file)}, ensure_ascii=False)


def _write_wave(
    file: BinaryIO,
    audio: np.ndarray,
    sample_rate: int,
    encoding: Encoding,
    record: Record,
    marks: Marks,
) -> None:
    """Write the samples to a file of their own, then these and the chunks to `file`."""
    with tempfile.TemporaryFile(dir=Path(file.name).parent) as plain:
        _encode(plain, audio, sample_rate, encoding)
        added = [(b"PEAK", b"")]  # libsndfile writes the time of day into it
        told = record or marks != NO_MARKS
        if told:
            depth = encoding.depth or 24
            measures = measure(audio, sample_rate)
            history = coding_history(sample_rate, depth, len(audio))
            fields = aswg_fields(record, measures, len(audio), marks.loop is not None)
            added += [bext_chunk(record, measures, history), ixml_chunk(fields)]
        added.append(chunks.info_chunk(_info(record, _stored(record, plain))))
        added.append(chunks.loop_chunk(marks.loop, sample_rate))
        added += chunks.point_chunks(marks.points)
        chunks.rewrite(plain, file, added)


def _info(record: Record, comment: str) -> Mapping[str, str]:
    """Texts of the list INFO, by its names."""
    return {
        "INAM": _title(record),
        "ICMT": comment,
        "ISFT": _software(record),
        "IART": str(record.get("creator_id", "")),
        "IGNR": str(record.get("category", "")),
        "IPRD": str(record.get("source_id", "")),
        "ISRC": f"generated by the model {record['model']}" if "model" in record else "",
    }


def _tags(record: Record, comment: str, marks: Marks) -> dict[str, str]:
    """Texts of a file's tags, by names of Vorbis comments."""
    texts = {
        "TITLE": _title(record),
        "COMMENT": comment,
        "ENCODER": _software(record),
        "SOFTWARE": _software(record),
        "ARTIST": str(record.get("creator_id", "")),
        "ALBUM": str(record.get("source_id", "")),
        "GENRE": str(record.get("category", "")),
        "CATID": str(record.get("catid", "")),
        "CATEGORY": str(record.get("category", "")),
        "SUBCATEGORY": str(record.get("subcategory", "")),
        "FXNAME": str(record.get("fx_name", "")),
        "CREATORID": str(record.get("creator_id", "")),
        "SOURCEID": str(record.get("source_id", "")),
        "ISGENERATED": "true" if "model" in record else "",
    }
    if marks.loop is not None:  # the names that game engines read
        first, end = marks.loop
        texts |= {"ISLOOP": "true", "LOOPSTART": str(first), "LOOPLENGTH": str(end - first)}
    return {name: text for name, text in texts.items() if text}


def _title(record: Record) -> str:
    return str(record.get("prompt", ""))[:TITLE]


def _software(record: Record) -> str:
    return f"woosh {record['version']}" if "version" in record else ""


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


def _encode_within_scale(
    file: BinaryIO, audio: np.ndarray, sample_rate: int, encoding: Encoding
) -> None:
    """Encode; while what is read back from a lossy format passes full scale, encode again, lower by about as much."""
    for _ in range(TRIES):
        _encode(file, audio, sample_rate, encoding)
        if not encoding.lossy or (peak := _peak_of(file)) < 1:
            return
        audio = audio * np.float32(np.clip(0.98 / peak, *LOWERINGS))


def _peak_of(file: BinaryIO) -> float:
    file.seek(0)
    with soundfile.SoundFile(file) as sound:
        return max(
            float(np.abs(block).max()) for block in sound.blocks(WRITE_FRAMES, dtype="float32")
        )


def _encode(file: BinaryIO, audio: np.ndarray, sample_rate: int, encoding: Encoding) -> None:
    """Write the samples alone, from the file's beginning."""
    file.seek(0)
    file.truncate()
    container = encoding.container
    if container == "WAV" and 4 * audio.size + HEADER_ROOM > chunks.RIFF_LIMIT:
        container = "RF64"
    frames = (dithered(audio) if encoding.depth == 16 else audio).T
    storage: Any = _Storage(
        file
    )  # soundfile takes what reads, writes, seeks and tells, and declares less
    try:
        with soundfile.SoundFile(
            storage, "w", sample_rate, len(audio), encoding.subtype, format=container
        ) as sound:
            for start in range(0, len(frames), WRITE_FRAMES):
                sound.write(frames[start : start + WRITE_FRAMES])
    finally:
        if storage.failure is not None:
            raise storage.failure
    if container == "OGG":
        settle_serial(file)
