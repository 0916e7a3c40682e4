"""Encode clips with their pictures once, so that the video flow's training runs neither autoencoder nor watcher.

    accelerate launch training/encode_video.py configs/scenes_small.yaml [name=value ...]

Clips are rendered scenes, videos (a folder of them, or a JSONL manifest beside them with `file`, `captions`, and `split`
if there is one), or both. Processes share the shards; a run that was ended goes on where it was. Output folder: latents-NNNNNN.tar,
common.safetensors, common.json, config.yaml, log.jsonl.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from woosh.autoencoder import Autoencoder, load_autoencoder
from woosh.data.manifests import check_captions, read_objects
from woosh.data.recordings import list_recordings
from woosh.scenes import COURSE_FAMILIES, generate_scene
from woosh.training import Log
from woosh.training.command import run_recipe
from woosh.training.config import check_choice
from woosh.training.flow.encoding import encode_clip
from woosh.training.flow.latents import (
    DTYPES,
    LatentClip,
    read_common,
    write_common,
    write_own_shards,
)
from woosh.training.outputs import check_output
from woosh.video import VIDEO_SUFFIXES, open_video
from woosh.video.muxing import RATE, own_sound
from woosh.video.watching import Watcher, load_watcher, watch_video


@dataclass(frozen=True)
class Config:
    """Settings of one encoding; see `configs/scenes_small.yaml`."""

    output: str
    scenes: int  # rendered clips
    seconds: float  # of a scene
    data: str | None  # folder of videos, or a manifest of them
    split: str  # of the manifest's rows that name one
    visual: str  # folder of the network that watches, or Synchformer's published file
    autoencoder: str  # folder
    common: str  # folder of the latents of training/encode_latents.py, whose silence and weights serve these too
    clips_per_shard: int
    storage: str  # "float16" or "float32"
    seed: int


def scene_clip(seed: int, config: Config, autoencoder: Autoencoder, watcher: Watcher) -> LatentClip:
    """A rendered scene, heard and seen."""
    clip = generate_scene(seed, None, config.seconds, watcher.frame_size)
    frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2)
    return LatentClip(
        encode_clip(autoencoder, clip.audio),
        clip.captions,
        f"scene-{seed}",
        clip.family,
        clip.family,
        clip.family in COURSE_FAMILIES,
        video=watcher.watch([frames]),
    )


def video_rows(data: Path, split: str) -> tuple[Path, list[dict]]:
    """The videos of a manifest or a folder, and the folder that their `file` is relative to.

    The captions of a folder's `dog.mp4` are the lines of `dog.txt`, or the words of its name.

    Raises:
        FileNotFoundError: there is neither.
        ValueError: a faulty row, or no video of this split.
    """
    if data.is_dir():
        folder, found, _ = list_recordings(data, VIDEO_SUFFIXES).warned()
        return folder, [{"file": row.file, "captions": row.captions} for row in found]
    rows = []
    for place, row in read_objects(data):
        if (row.get("split") or split) == split:
            if not isinstance(row.get("file"), str):
                raise ValueError(f"{place}: `file` must be a path, not {row.get('file')!r}")
            check_captions(row.get("captions"), place)
            rows.append(row)
    if not rows:
        raise ValueError(f"{data} has no video in its split {split!r}: name another split")
    return data.parent, rows


def video_clip(row: dict, folder: Path, autoencoder: Autoencoder, watcher: Watcher) -> LatentClip:
    """A video file, heard and seen.

    Raises:
        ValueError: a file without sound, or one that cannot be read.
    """
    video = open_video(folder / row["file"])
    sound = np.concatenate(list(own_sound(video, round(video.seconds * RATE))), axis=1)
    return LatentClip(
        encode_clip(autoencoder, sound.mean(axis=0)),
        tuple(row["captions"]),
        row["file"],
        row.get("label") or "",
        row.get("group") or row["file"],
        True,
        video=watch_video(watcher, video),
    )


def clips_of(
    config: Config, autoencoder: Autoencoder, watcher: Watcher
) -> list[Callable[[], LatentClip]]:
    """All clips, each made when it is called."""
    clips: list[Callable[[], LatentClip]] = [
        partial(scene_clip, config.seed * 10_000_000 + number, config, autoencoder, watcher)
        for number in range(config.scenes)
    ]
    if config.data is not None:
        folder, rows = video_rows(Path(config.data), config.split)
        clips += [partial(video_clip, row, folder, autoencoder, watcher) for row in rows]
    if not clips:
        raise ValueError("there is nothing to encode: give scenes or data")
    return clips


def main(config: Config) -> None:
    """Encode this process's shards, then what belongs to all."""
    check_choice("storage", config.storage, tuple(DTYPES))
    accelerator = Accelerator()
    output = Path(config.output)
    check_output(output, config)
    common = read_common(Path(config.common))

    # 1. Networks
    autoencoder = load_autoencoder(config.autoencoder).to(accelerator.device).eval()
    if autoencoder.config.sample_rate != RATE:
        raise ValueError(
            f"the autoencoder works at {autoencoder.config.sample_rate} Hz, not {RATE}"
        )
    watcher = load_watcher(config.visual, accelerator.device)

    # 2. Clips
    clips = clips_of(config, autoencoder, watcher)
    parts = [
        clips[k : k + config.clips_per_shard] for k in range(0, len(clips), config.clips_per_shard)
    ]

    def made(part: list[Callable[[], LatentClip]]) -> Iterator[LatentClip]:
        for clip in part:
            yield clip()

    # 3. Shards
    log = Log(output, config) if accelerator.is_main_process else None
    shards = [partial(made, part) for part in parts]
    write_own_shards(accelerator, output, shards, DTYPES[config.storage])

    # 4. What belongs to all
    if log is not None:
        write_common(output, common)
        log.write(len(parts), {}, len(parts), "shards")


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
