"""Teach a small network where recordings break, from labels of windows alone.

    python training/train_breaks.py configs/breaks_tiny.yaml [name=value ...]

Windows are parts of recordings; every second one holds a join with another recording, or another one sets in. Output
folder: config.json and weights, which `woosh tag --breaks` reads; log.jsonl, config.yaml.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from woosh.data.clips import load_clips
from woosh.data.manifests import read_manifest
from woosh.data.splices import broken_windows
from woosh.taggers.splices import BreakFinder
from woosh.training import Log
from woosh.training.command import run_recipe
from woosh.training.outputs import check_output
from woosh.training.taggers.breaks import learn_breaks


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/breaks_tiny.yaml`."""

    output: str
    manifest: str  # JSONL beside its sounds
    split: str
    most_clips: int  # that are read
    width: int
    window_seconds: float
    steps: int
    batch_size: int
    learning_rate: float
    seed: int
    log_every: int


def main(config: Config) -> None:
    """Read, train, save."""
    output = Path(config.output)
    check_output(output, config)
    torch.manual_seed(config.seed)
    generator = np.random.default_rng(config.seed)

    # 1. Sounds
    model = BreakFinder(config.width)
    rate = model.log_mel.sample_rate
    samples = round(config.window_seconds * rate)
    everything = read_manifest(config.manifest, config.split)
    rows = [row for row in everything if row.seconds >= config.window_seconds][: config.most_clips]
    if len(rows) < 2:
        raise ValueError(
            f"{config.manifest} has {len(rows)} sounds of {config.window_seconds} s or more in the split "
            f"{config.split}: two are needed"
        )
    loaded = load_clips(rows, Path(config.manifest).parent, rate)
    # A file may be shorter than its row says.
    clips = [clip.audio for clip in loaded if len(clip.audio) >= samples]

    # 2. Training
    def draw() -> tuple[torch.Tensor, torch.Tensor]:
        drawn = broken_windows(clips, config.batch_size, samples, rate, generator)
        return torch.from_numpy(drawn.audio), torch.from_numpy(drawn.broken)

    output.mkdir(parents=True, exist_ok=True)
    log = Log(output, config)
    for step, loss in learn_breaks(model, draw, config.steps, config.learning_rate):
        if step % config.log_every == 0:
            log.write(step, {"loss": loss}, config.batch_size, "windows")

    # 3. Save
    model.save_pretrained(output)


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
