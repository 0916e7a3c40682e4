"""Recorded and procedural sounds with captions, and batches by their numbers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from woosh.audio import read_audio, resample
from woosh.data.manifests import Row
from woosh.procedural import generate
from woosh.procedural.synthesis import RATE as PROCEDURAL_RATE

logger = logging.getLogger(__name__)

SHORTEST = 0.05  # seconds; anything below is a click without content
SILENCE = 1e-4  # peak under which a clip or a crop counts as silent


@dataclass(frozen=True)
class Clip:
    """A sound in memory: `audio` float32 in [-1, 1], mono (S,) or stereo (2, S), and what it is called."""

    audio: np.ndarray
    captions: tuple[str, ...]
    name: str
    label: str = ""
    group: str = ""
    category: str = ""
    device: str = ""


def load_clips(
    rows: Sequence[Row],
    folder: str | Path,
    sample_rate: int = 48_000,
    strict: bool = False,
    channels: int = 1,
) -> list[Clip]:
    """Decode, mix to mono (or stereo) and resample every row's file into memory (11 MiB per minute at 48 kHz).

    A file that is missing, cut, empty, silent, shorter than 0.05 s or holds NaN is skipped;
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
        return Clip(audio, row.captions, row.file, row.label, row.group, row.catid, row.device)

    with ThreadPoolExecutor(max_workers=4) as pool:
        loaded = list(pool.map(load, rows))
    bad = [item for item in loaded if isinstance(item, str)]
    if bad and strict:
        raise ValueError(f"bad audio file: {bad[0]}")
    if bad:
        logger.warning("skipped %d of %d files: %s", len(bad), len(rows), "; ".join(bad))
    clips = [item for item in loaded if isinstance(item, Clip)]
    if not clips:
        first = f": {bad[0]}" if bad else ""
        raise ValueError(
            f"no usable audio among {len(rows)} rows under {folder}; `file` in a manifest is relative to the "
            f"manifest's folder{first}"
        )
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
