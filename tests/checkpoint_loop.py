"""Saves checkpoints of a growing step, until it is killed: python tests/checkpoint_loop.py FOLDER."""

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from woosh.training import Progress, list_checkpoints, resume_checkpoint, save_checkpoint

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    accelerator, progress = Accelerator(cpu=True), Progress()

    def tell() -> None:
        sys.stdout.write(f"step {progress.step}\n")
        sys.stdout.flush()

    model = accelerator.prepare(nn.Linear(300, 300))
    accelerator.register_for_checkpointing(progress)
    if list_checkpoints(folder):
        resume_checkpoint(accelerator, folder)
        assert (model.weight == progress.step).all(), "weights and step are of one checkpoint"
    tell()
    while True:
        progress.step += 1
        with torch.no_grad():
            model.weight.fill_(progress.step)
        save_checkpoint(accelerator, folder, progress.step, kept=2)
        tell()
