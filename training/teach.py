"""Let teachers hear sounds once, so that any number of taggers may learn from them.

    accelerate launch training/teach.py configs/teach_tiny.yaml [name=value ...]

Sounds are drawn from recordings and procedural sounds, varied and mixed; what the teachers' logits are on average is
written beside each. Processes share the shards; a run that was ended goes on where it was. Output folder:
taught-NNNNNN.tar, teaching.json (labels and teachers), config.yaml, log.jsonl.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from tqdm.auto import tqdm

from woosh.data.augmentation import load_responses
from woosh.data.clips import procedural_clips
from woosh.data.sources import load_source
from woosh.embeddings.tagging import load_tagger
from woosh.training import Log
from woosh.training.command import run_recipe
from woosh.training.outputs import check_output
from woosh.training.taggers.teaching import (
    SoundDrawer,
    SoundVariations,
    Teachers,
    write_summary,
    write_taught,
)

RATE = 32_000  # Hz, of all taggers


@dataclass(frozen=True)
class Config:
    """Settings of one teaching; see `configs/teach_tiny.yaml`."""

    output: str
    data: tuple[str, ...]  # manifests, folders, shards, or hf:NAME
    split: str
    procedural_clips: int
    procedural_share: float  # of the sounds
    teachers: tuple[str, ...]  # tagger:FILE or passt:...; the logits of several are averaged
    teacher_labels: str | None  # list of their labels; null takes those beside the weights
    sounds: int
    seconds: tuple[float, ...]  # lengths that a sound may have, ascending
    variations: SoundVariations
    responses: str | None  # folder of impulse responses
    sounds_per_shard: int
    seed: int


def sound_drawer(config: Config) -> SoundDrawer:
    """What draws the sounds of all sources together.

    Raises:
        ValueError: neither a source nor procedural sounds.
    """
    clips = [clip for source in config.data for clip in load_source(source, config.split, RATE)]
    recorded = len(clips)
    clips += procedural_clips(config.procedural_clips, config.seed, sample_rate=RATE)
    if not clips:
        raise ValueError("there is nothing to hear: name data, or a number of procedural_clips")
    share = config.procedural_share if config.procedural_clips else 0.0
    share = share if recorded else 1.0
    chances = np.full(len(clips), (1 - share) / max(1, recorded))
    chances[recorded:] = share / max(1, config.procedural_clips)
    responses = load_responses(Path(config.responses), RATE) if config.responses else []
    lengths = [round(seconds * RATE) for seconds in config.seconds]
    return SoundDrawer(clips, chances, lengths, config.variations, responses, config.seed)


def main(config: Config) -> None:
    """Write this process's shards, then what belongs to all."""
    accelerator = Accelerator()
    output = Path(config.output)
    check_output(output, config)

    # 1. Teachers
    labels = Path(config.teacher_labels) if config.teacher_labels else None
    names = config.teachers
    teachers = Teachers([load_tagger(name, labels, accelerator.device) for name in names])

    # 2. Sounds
    drawer = sound_drawer(config)
    output.mkdir(parents=True, exist_ok=True)
    log = Log(output, config) if accelerator.is_main_process else None

    # 3. Shards
    size = config.sounds_per_shard
    shards = list(range(0, config.sounds, size))
    own = shards[accelerator.process_index :: accelerator.num_processes]
    for first in tqdm(own, disable=not accelerator.is_main_process):
        path = output / f"taught-{first // size:06d}.tar"
        if path.is_file():
            continue
        sounds = (drawer.sound(n) for n in range(first, min(first + size, config.sounds)))
        write_taught(path, ((sound, teachers.logits(sound.audio, RATE)) for sound in sounds), RATE)
    accelerator.wait_for_everyone()
    if log is not None:
        write_summary(output, teachers)
        log.write(len(shards), {}, config.sounds, "sounds")


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
