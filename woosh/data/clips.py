"""Recorded and procedural sounds with captions, and batches by their numbers."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeGuard, TypeVar

import numpy as np
from torch.utils.data import Dataset

from woosh.audio import read_audio, resample
from woosh.procedural import generate
from woosh.procedural.synthesis import RATE as PROCEDURAL_RATE

logger = logging.getLogger(__name__)
Batch = TypeVar("Batch", covariant=True)

SHORTEST = 0.05  # seconds; anything below is a click without content
SILENCE = 1e-4  # peak under which a clip or a crop counts as silent


@dataclass(frozen=True)
class RowSegment:
    """A stretch of a row's file, in seconds, with captions of its own."""

    start: float
    stop: float
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One line of a manifest: `file` is relative to the manifest's folder.

    `segments` count when `woosh data prepare` cuts the file; a recipe that reads it whole takes `captions`.
    """

    file: str
    captions: tuple[str, ...]
    seconds: float
    split: str = "train"
    group: str = ""  # takes of one recording share it
    label: str = ""
    licence: str = ""
    author: str = ""
    url: str = ""
    source: str = ""
    segments: tuple[RowSegment, ...] = ()


@dataclass(frozen=True)
class Clip:
    """A sound in memory: `audio` float32 in [-1, 1], mono (S,) or stereo (2, S), and what it is called."""

    audio: np.ndarray
    captions: tuple[str, ...]
    name: str
    label: str = ""
    group: str = ""


def read_manifest(path: str | Path, split: str | None = None) -> list[Row]:
    """Read a JSONL manifest: `file`, `captions` and `seconds` in every row, licence fields beside.

    Fields that `Row` does not know are ignored: manifests carry more than training needs.

    Args:
        path: the manifest.
        split: keep only the rows of this split; None keeps all.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line that is no JSON object, lacks a field or holds a wrong type, by its number.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no manifest at {path}")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            rows.append(_read_row(line, f"{path}, line {number}"))
    return [row for row in rows if split is None or row.split == split]


def _read_row(line: str, place: str) -> Row:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not JSON ({error.msg})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{place}: a row must be an object")
    file, captions, seconds = (values.get(name) for name in ("file", "captions", "seconds"))
    if not isinstance(file, str) or not file:
        raise ValueError(f"{place}: `file` must be a path, not {file!r}")
    if not _is_seconds(seconds):
        raise ValueError(f"{place}: `seconds` must be a length, not {seconds!r}")
    texts = {
        name: str(values[name])
        for name in ("split", "group", "label", "licence", "author", "url", "source")
        if values.get(name) is not None
    }
    segments = values.get("segments", [])
    if not isinstance(segments, list):
        raise ValueError(f"{place}: `segments` must be a list, not {segments!r}")
    return Row(
        file=file,
        captions=_read_captions(captions, place),
        seconds=float(seconds),
        segments=tuple(_read_segment(segment, place) for segment in segments),
        **texts,
    )


def _read_captions(captions: object, place: str) -> tuple[str, ...]:
    if (
        not isinstance(captions, list)
        or not captions
        or not all(isinstance(caption, str) and caption.strip() for caption in captions)
    ):
        raise ValueError(f"{place}: `captions` must be a list of texts, not {captions!r}")
    return tuple(captions)


def _read_segment(values: object, place: str) -> RowSegment:
    if not isinstance(values, dict):
        raise ValueError(f"{place}: a segment must be an object, not {values!r}")
    start, stop = values.get("start"), values.get("stop")
    if not (_is_seconds(start) and _is_seconds(stop) and start < stop):
        raise ValueError(
            f"{place}: a segment must have `start` before `stop`, in seconds: {values}"
        )
    return RowSegment(float(start), float(stop), _read_captions(values.get("captions"), place))


def _is_seconds(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def load_clips(
    rows: Sequence[Row],
    folder: str | Path,
    sample_rate: int = 48_000,
    strict: bool = False,
    channels: int = 1,
) -> list[Clip]:
    """Decode, mix to mono (or stereo) and resample every row's file into memory (11 MiB per minute at 48 kHz).

    A file that is missing, truncated, empty, silent, shorter than 0.05 s or holds NaN is skipped;
    one warning counts and names the skipped files.

    Args:
        rows: from `read_manifest`.
        folder: what their `file` is relative to.
        sample_rate: of the result, in Hz.
        strict: raise at the first bad file instead.
        channels: 1, or 2 for stereo.

    Raises:
        ValueError: a bad file with `strict`, or no usable file at all.
    """

    def load(row: Row) -> Clip | str:
        try:
            audio = read_audio(Path(folder) / row.file, sample_rate, mono=channels == 1)
            audio = with_channels(audio, channels)
        except (ValueError, OSError) as error:
            return f"{row.file} ({error})"
        if audio.shape[-1] < SHORTEST * sample_rate:
            return f"{row.file} (only {audio.shape[-1] / sample_rate:.3f} s)"
        if np.abs(audio).max() < SILENCE:
            return f"{row.file} (silent)"
        return Clip(audio, row.captions, row.file, row.label, row.group)

    with ThreadPoolExecutor(max_workers=4) as pool:
        loaded = list(pool.map(load, rows))
    bad = [item for item in loaded if isinstance(item, str)]
    if bad and strict:
        raise ValueError(f"bad audio file: {bad[0]}")
    if bad:
        logger.warning("skipped %d of %d files: %s", len(bad), len(rows), "; ".join(bad))
    clips = [item for item in loaded if isinstance(item, Clip)]
    if not clips:
        raise ValueError(f"no usable audio among {len(rows)} rows under {folder}")
    return clips


def with_channels(audio: np.ndarray, channels: int) -> np.ndarray:
    """Audio (C, S) as a clip holds it: one channel, the mean, as (S,), or two as (2, S), of mono twice the same.

    Raises:
        ValueError: more than two channels for stereo, or another number than 1 and 2 asked for.
    """
    if channels == 1:
        mono = audio.mean(axis=0) if len(audio) > 1 else audio[0]
        return np.ascontiguousarray(mono, dtype=np.float32)
    if channels != 2 or len(audio) > 2:
        raise ValueError(f"{len(audio)} channels cannot be made {channels}")
    return np.ascontiguousarray(np.broadcast_to(audio, (2, audio.shape[1])), dtype=np.float32)


def procedural_clips(
    count: int,
    seed: int,
    family: str | None = None,
    label: str | None = None,
    sample_rate: int = PROCEDURAL_RATE,
    channels: int = 1,
) -> list[Clip]:
    """Render `count` procedural sounds of the seeds seed, seed + 1, ...

    Args:
        count: how many.
        seed: of the first.
        family: of all; None draws one for each.
        label: of all; None takes each one's family.
        sample_rate: of the result, in Hz.
        channels: 1, or 2 for stereo with equal channels.
    """
    sounds = (generate(seed + index, family) for index in range(count))
    return [
        Clip(
            with_channels(
                np.atleast_2d(resample(sound.audio, PROCEDURAL_RATE, sample_rate)), channels
            ),
            sound.captions,
            f"procedural/{seed + index}",
            sound.family if label is None else label,
            str(seed + index),
        )
        for index, sound in enumerate(sounds)
    ]


class Numbered(Protocol[Batch]):
    """Whatever gives a batch by its number."""

    def batch(self, number: int) -> Batch: ...


class NumberedBatches(Dataset, Generic[Batch]):
    """The batches from `start` on as a map-style data set, for the loader to split by process."""

    def __init__(self, source: Numbered[Batch], start: int, count: int) -> None:
        self.source, self.start, self.count = source, start, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[int, Batch]:
        """The batch's number, and the batch."""
        return self.start + index, self.source.batch(self.start + index)
