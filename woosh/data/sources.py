"""Recordings with captions, wherever they are: a manifest, shards, or a data set of Hugging Face's hub."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from woosh.audio import resample
from woosh.data.shards import read_shards, shard_urls
from woosh.datasets import SHORTEST, SILENCE, Clip, load_clips, read_manifest

logger = logging.getLogger(__name__)

HUB = "hf:"
CAPTION_COLUMNS = ("captions", "caption", "text")


def load_source(source: str, split: str, sample_rate: int = 48_000) -> list[Clip]:
    """Read all clips of one split of a source into memory, mono.

    Args:
        source: a JSONL manifest beside its audio; shards, by their folder, a pattern or an address (see
            `woosh.data.shards.shard_urls`); or `hf:NAME` or `hf:FOLDER` of a data set of the `datasets`
            library with a column `audio` and one of `captions`, `caption` and `text`.
        split: clips of another one are left out. Those of a shard belong to "train" unless they say.
        sample_rate: of the result, in Hz.

    Raises:
        FileNotFoundError: there is no such source.
        ValueError: it is faulty, or has no clip of this split.
        ImportError: `hf:` without the `datasets` library.
    """
    if source.endswith(".jsonl"):
        path = Path(source)
        return load_clips(read_manifest(path, split), path.parent, sample_rate)
    if source.startswith(HUB):
        clips = list(_hub_clips(source.removeprefix(HUB), split, sample_rate))
    else:
        clips = list(_shard_clips(source, split, sample_rate))
    usable = [clip for clip in clips if _is_heard(clip, sample_rate)]
    if len(usable) < len(clips):
        logger.warning(
            "skipped %d of %d clips: silent or short", len(clips) - len(usable), len(clips)
        )
    if not usable:
        raise ValueError(f"{source} has no usable clip in its split {split!r}")
    return usable


def _is_heard(clip: Clip, sample_rate: int) -> bool:
    return len(clip.audio) >= SHORTEST * sample_rate and np.abs(clip.audio).max() >= SILENCE


def _shard_clips(source: str, split: str, sample_rate: int) -> Iterator[Clip]:
    for sample in read_shards(shard_urls(source), sample_rate):
        facts = sample.facts
        if facts.get("split", "train") == split:
            yield Clip(
                np.ascontiguousarray(sample.audio[0]),
                tuple(facts["captions"]),
                sample.key,
                facts.get("label", ""),
                facts.get("group", ""),
            )


def _hub_clips(name: str, split: str, sample_rate: int) -> Iterator[Clip]:
    try:
        from datasets import Audio, load_dataset, load_from_disk
    except ImportError as error:
        raise ImportError(
            f"{HUB}{name} needs the library `datasets`: install it, or this package's extra `train`"
        ) from error
    folder = Path(name).expanduser()
    rows: Any
    try:
        if folder.is_dir():
            rows = load_from_disk(str(folder))
            rows = rows[split] if isinstance(rows, dict) else rows
        else:
            rows = load_dataset(name, split=split)
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"the data set {name!r} has no split {split!r}, or cannot be had: {error}"
        ) from error
    columns = [column for column in CAPTION_COLUMNS if column in rows.column_names]
    if "audio" not in rows.column_names or not columns:
        raise ValueError(
            f"{name} has the columns {rows.column_names}: it needs `audio` and one of "
            f"{', '.join(CAPTION_COLUMNS)}"
        )
    # Not decoded by the library, whose decoder is another one than that of all other sources.
    for number, row in enumerate(rows.cast_column("audio", Audio(decode=False))):
        captions = row[columns[0]]
        texts = (captions,) if isinstance(captions, str) else tuple(captions)
        audio = _decoded(row["audio"], f"{name}, row {number}", sample_rate)
        yield Clip(audio, texts, f"{name}/{number}", str(row.get("label") or ""), "")


def _decoded(value: Mapping[str, Any], place: str, sample_rate: int) -> np.ndarray:
    """Audio (S,) of a row: the bytes that it holds, or the file that it names."""
    source = io.BytesIO(value["bytes"]) if value.get("bytes") else value["path"]
    try:
        frames, rate = soundfile.read(source, dtype="float32", always_2d=True)
    except (TypeError, OSError, soundfile.LibsndfileError) as error:
        raise ValueError(f"{place}: cannot read its audio: {error}") from error
    return resample(frames.mean(axis=1, keepdims=True).T, rate, sample_rate)[0]
