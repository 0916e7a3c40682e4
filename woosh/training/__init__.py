"""Pieces of the recipes' loops: the run, its average, updates, checkpoints and log."""

from woosh.training.average import MovingAverage
from woosh.training.checkpoints import list_checkpoints, resume_checkpoint, save_checkpoint
from woosh.training.log import Log
from woosh.training.modules import TrainingStep, prepare_blocks
from woosh.training.run import Run, RunConfig, StepCount
from woosh.training.updates import Updates, WarmupAndDecay, adamw, cosine_schedule, muon

__all__ = [
    "Log",
    "MovingAverage",
    "TrainingStep",
    "StepCount",
    "Run",
    "RunConfig",
    "Updates",
    "WarmupAndDecay",
    "adamw",
    "cosine_schedule",
    "list_checkpoints",
    "muon",
    "prepare_blocks",
    "resume_checkpoint",
    "save_checkpoint",
]
