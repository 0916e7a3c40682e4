"""Evaluation of videos with a new sound: whether it happens when something happens in the picture."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from woosh.checksums import hash_files
from woosh.embeddings.embedders import ExternalEmbeddings
from woosh.evaluation.desync import DeSync
from woosh.evaluation.generation import software
from woosh.metrics.synchrony import (
    alignment,
    chance_alignment,
    embedding_cosine,
    onsets_of,
)
from woosh.progress import Progress, no_progress
from woosh.video import VIDEO_SUFFIXES, Video, open_video
from woosh.video.muxing import RATE, own_sound


def evaluate_synchrony(
    generated: Path,
    reference: Path | None = None,
    desync: DeSync | None = None,
    embeddings: tuple[ExternalEmbeddings, ExternalEmbeddings] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Measure the sound of all videos of a folder.

    Args:
        generated: folder; video files anywhere below it are the clips.
        reference: the same videos with their true sound, by the same names; any extension.
        desync: Synchformer.
        embeddings: of the sounds and of the pictures, by the names of `generated`.
        progress: shows how far it is.

    Returns:
        The result, with `metrics` over all clips, `clips` one by one and `warnings`; what was not asked for is None.

    Raises:
        FileNotFoundError: a folder that is not there, or a video without its reference.
        ValueError: no video can be measured.
    """
    paths = _videos(generated)
    partners = None if reference is None else _partners(paths, generated, reference)
    measured: list[dict[str, Any]] = []
    left_out: list[str] = []
    for path in progress(paths, len(paths), "listening"):
        name = path.relative_to(generated).as_posix()
        try:
            wanted = None if partners is None else _onsets(partners[path])
            measured.append({"file": name, **_measure(path, wanted, desync)})
        except ValueError as problem:
            left_out.append(f"{name} ({problem})")
    if not measured:
        raise ValueError(f"none of the videos in {generated} can be measured: {left_out[0]}")
    return {
        "kind": "synchrony",
        "software": software(),
        "set": {
            "folder": str(generated),
            "files": len(paths),
            "clips": len(measured),
            "content": hash_files(paths),
        },
        "metrics": {
            "onsets": None if partners is None else _onset_scores(measured),
            "desync_seconds": None
            if desync is None
            else fmean(clip["desync_seconds"] for clip in measured),
            "embedding_cosine": None
            if embeddings is None
            else _cosine(embeddings, generated, [clip["file"] for clip in measured]),
        },
        "warnings": _warnings(left_out),
        "clips": measured,
    }


def _videos(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    paths = sorted(
        p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file()
    )
    if not paths:
        raise ValueError(f"{folder} holds no video ({', '.join(sorted(VIDEO_SUFFIXES))})")
    return paths


def _partners(paths: list[Path], generated: Path, reference: Path) -> dict[Path, Path]:
    there = {p.relative_to(reference).with_suffix("").as_posix(): p for p in _videos(reference)}
    names = {path: path.relative_to(generated).with_suffix("").as_posix() for path in paths}
    missing = [name for name in names.values() if name not in there]
    if missing:
        raise FileNotFoundError(
            f"{reference} has no video {missing[0]!r}, of which {generated} has another sound"
        )
    return {path: there[name] for path, name in names.items()}


def _sound(video: Video) -> np.ndarray:
    blocks = own_sound(video, round(video.seconds * RATE))
    return np.concatenate(list(blocks), axis=1).mean(axis=0)


def _onsets(path: Path) -> list[float]:
    return onsets_of(torch.from_numpy(_sound(open_video(path))), RATE)


def _measure(path: Path, wanted: list[float] | None, desync: DeSync | None) -> dict[str, Any]:
    video = open_video(path)
    sound = _sound(video)
    found = {"onsets": onsets_of(torch.from_numpy(sound), RATE), "wanted": wanted}
    if desync is not None:
        found["desync_seconds"] = desync.measure(video, sound, RATE)
    return {"seconds": round(video.seconds, 4), **found}


def _onset_scores(measured: list[dict[str, Any]]) -> list[dict[str, float | None]]:
    """One row for each tolerance; chance needs two clips."""
    pairs = [(clip["wanted"], clip["onsets"]) for clip in measured]
    scores = alignment(pairs)
    chance = chance_alignment(pairs) if len(pairs) > 1 else [None] * len(scores)
    rows = []
    for score, by_chance in zip(scores, chance, strict=True):
        row = asdict(score)
        row["tolerance_seconds"], row["offset_seconds"] = row.pop("tolerance"), row.pop("offset")
        rows.append({**row, "f1_by_chance": by_chance})
    return rows


def _cosine(
    embeddings: tuple[ExternalEmbeddings, ExternalEmbeddings], folder: Path, names: list[str]
) -> float:
    sounds, videos = (
        torch.stack([part.find(folder, name) for name in names]) for part in embeddings
    )
    return embedding_cosine(sounds, videos)


def _warnings(left_out: list[str]) -> list[dict[str, str]]:
    if not left_out:
        return []
    message = f"{len(left_out)} left out: {'; '.join(left_out[:10])}"
    return [{"name": "unmeasured", "message": message}]
