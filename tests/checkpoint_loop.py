"""Saves checkpoints of a growing step, until it is killed: python tests/checkpoint_loop.py FOLDER."""

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from woosh.training import StepCount, list_checkpoints, resume_checkpoint, save_checkpoint

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    accelerator, step_count = Accelerator(cpu=True), StepCount()

    def tell() -> None:
        sys.stdout.write(f"step {step_count.step}\n")
        sys.stdout.flush()

    model = accelerator.prepare(nn.Linear(300, 300))
    accelerator.register_for_checkpointing(step_count)
    if list_checkpoints(folder):
        resume_checkpoint(accelerator, folder)
        assert (model.weight == step_count.step).all(), "weights and step are of one checkpoint"
    tell()
    while True:
        step_count.step += 1
        with torch.no_grad():
            model.weight.fill_(step_count.step)
        save_checkpoint(accelerator, folder, step_count.step, kept=2)
        tell()
