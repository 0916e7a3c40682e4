"""Pieces of the recipes' loops: the run, its average, updates, checkpoints and log."""

from woosh.training.average import MovingAverage
from woosh.training.checkpoints import list_checkpoints, resume_checkpoint, save_checkpoint
from woosh.training.log import Log
from woosh.training.objective import Objective, prepare_blocks
from woosh.training.run import Progress, Run, RunConfig
from woosh.training.updates import Updates, adamw, cosine_schedule, muon

__all__ = [
    "Log",
    "MovingAverage",
    "Objective",
    "Progress",
    "Run",
    "RunConfig",
    "Updates",
    "adamw",
    "cosine_schedule",
    "list_checkpoints",
    "muon",
    "prepare_blocks",
    "resume_checkpoint",
    "save_checkpoint",
]
