"""Recordings with captions, wherever they are: a manifest, shards, or a data set of Hugging Face's hub."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from woosh.audio import decode_audio, read_audio
from woosh.command_line import missing_extra
from woosh.data.clips import SHORTEST, SILENCE, Clip, load_clips, with_channels
from woosh.data.layouts import LabelledFile, is_layout, read_layout
from woosh.data.manifests import split_of
from woosh.data.recordings import list_recordings
from woosh.data.shards import ENDING, read_shards, shard_urls
from woosh.data.streaming import clip_of
from woosh.outside_files import expanded

logger = logging.getLogger(__name__)

HUB = "hf:"
CAPTION_COLUMNS = ("captions", "caption", "text")


def is_sharded(source: str) -> bool:
    """Whether a source is shards, rather than a manifest, a folder of sounds or a data set of the `datasets` library."""
    named = source.endswith((".jsonl", ".csv")) or source.startswith(HUB) or is_layout(source)
    return not named and not is_folder_of_sounds(source)


def is_folder_of_sounds(source: str) -> bool:
    """Whether a source is a folder without shards."""
    folder = Path(source)
    return folder.is_dir() and not any(folder.glob(f"*{ENDING}"))


def load_source(
    source: str, split: str, sample_rate: int = 48_000, channels: int = 1
) -> list[Clip]:
    """Read all clips of one split of a source into memory.

    Args:
        source: a JSONL manifest beside its audio; a folder of sounds (see `list_recordings`), all of "train" unless
            Clotho's tables in it say otherwise, or such a table; shards, by their folder, a pattern or an address (see
            `woosh.data.shards.shard_urls`); or `hf:NAME` or `hf:FOLDER` of a data set of the `datasets`
            library with a column `audio` and one of `captions`, `caption` and `text`; or a data set in its published layout,
            see `woosh.data.layouts`, whose labels are the captions.
        split: clips of another one are left out. Those of a shard belong to "train" unless they say.
        sample_rate: of the result, in Hz.
        channels: 1, or 2 for stereo.

    Raises:
        FileNotFoundError: there is no such source.
        ValueError: it is faulty, or has no clip of this split.
        ImportError: `hf:` without the `datasets` library.
    """
    if is_layout(source):
        return [_clip_of(file, sample_rate, channels) for file in read_layout(source, split)]
    if source.endswith((".jsonl", ".csv")) or is_folder_of_sounds(source):
        folder, rows, _ = list_recordings(Path(source)).warned()
        chosen = [row for row in rows if row.split == split]
        if not chosen:
            raise ValueError(_no_clip(source, split, {row.split for row in rows}))
        return load_clips(chosen, folder, sample_rate, channels=channels)
    if source.startswith(HUB):
        rows = _hub_clips(source.removeprefix(HUB), split, sample_rate, channels)
        clips = _heard(list(rows), sample_rate)
    else:
        clips = [
            clip
            for url in shard_urls(source)
            for clip in load_shard(url, split, sample_rate, channels)
        ]
    if not clips:
        raise ValueError(_no_clip(source, split))
    return clips


def _clip_of(file: LabelledFile, sample_rate: int, channels: int) -> Clip:
    """A file of a layout, its labels in words as captions."""
    audio = read_audio(file.path, sample_rate, mono=channels == 1)
    captions = tuple(label.replace("_", " ") for label in file.labels)
    label = file.labels[0] if len(file.labels) == 1 else ""
    return Clip(with_channels(audio, channels), captions, str(file.path), label, device=file.device)


def _no_clip(source: str, split: str, others: Collection[str] = ()) -> str:
    """What to say where a split has no clip."""
    found = f"; it has {', '.join(map(repr, sorted(others)))}" if others else ""
    return (
        f"{source} has no usable clip in its split {split!r}{found}: name another split, or give rows of a "
        f'manifest the field "split": "{split}"'
    )


def load_shard(url: str, split: str, sample_rate: int, channels: int = 1) -> list[Clip]:
    """Read the clips of one split of one shard, which may be none; see `load_source`."""
    samples = read_shards([url], sample_rate, mono=channels == 1)
    clips = [clip_of(sample, channels) for sample in samples if split_of(sample.facts) == split]
    return _heard(clips, sample_rate)


def _heard(clips: Sequence[Clip], sample_rate: int) -> list[Clip]:
    usable = [clip for clip in clips if _is_heard(clip, sample_rate)]
    if len(usable) < len(clips):
        logger.warning(
            "skipped %d of %d clips: silent or short", len(clips) - len(usable), len(clips)
        )
    return usable


def _is_heard(clip: Clip, sample_rate: int) -> bool:
    return clip.audio.shape[-1] >= SHORTEST * sample_rate and np.abs(clip.audio).max() >= SILENCE


def _hub_clips(name: str, split: str, sample_rate: int, channels: int) -> Iterator[Clip]:
    try:
        from datasets import Audio, load_dataset, load_from_disk
    except ImportError as error:
        raise missing_extra(f"{HUB}{name} needs datasets", "train") from error
    folder = expanded(name)
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
        audio = with_channels(audio, channels)
        yield Clip(audio, texts, f"{name}/{number}", str(row.get("label") or ""), "")


def _decoded(value: Mapping[str, Any] | None, place: str, sample_rate: int) -> np.ndarray:
    """Audio (C, S) of a row: the bytes that it holds, or the file that it names."""
    data, path = (value or {}).get("bytes"), (value or {}).get("path")
    try:
        if data:
            return decode_audio(data, "its audio", sample_rate, mono=False)
        if path:
            return read_audio(path, sample_rate, mono=False)
    except (ValueError, OSError) as error:
        raise ValueError(f"{place}: {error}") from error
    raise ValueError(f"{place} holds no audio")
