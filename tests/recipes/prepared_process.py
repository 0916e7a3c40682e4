"""A process that has imported what recipes import, and forks one rank of a recipe for each line that it is given.

    python -m tests.recipes.prepared_process

A line on standard input is JSON: `script`, `arguments`, `environment` and `messages`, a file for what is printed. The
answers are two lines, the process id of the rank, and its exit status once it has ended.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

from tests.paths import ROOT

RECIPES = (
    *("distill_flow", "encode_latents", "encode_video", "finetune_lora", "train_autoencoder"),
    *("teach", "train_clap", "train_flow", "train_tagger", "train_text_encoder"),
    *("train_video_flow", "train_visual"),
)


def become_rank(request: dict[str, Any]) -> None:
    """Run the script as a process started by a launcher would, in a session of its own."""
    os.setsid()
    os.environ.update(request["environment"])
    with (
        Path(os.devnull).open("rb") as nothing,
        Path(request["messages"]).open("wb") as messages,
    ):
        for source, number in ((nothing, 0), (messages, 1), (messages, 2)):
            os.dup2(source.fileno(), number)
    script = str(ROOT / "training" / f"{request['script']}.py")
    sys.argv = [script, *request["arguments"]]
    runpy.run_path(script, run_name="__main__")


def answer(number: int) -> None:
    """One line."""
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def serve() -> None:
    """Fork a rank for each line; in the rank itself this returns when the script has ended."""
    for name in RECIPES:
        importlib.import_module(f"training.{name}")
    for line in sys.stdin:
        rank = os.fork()
        if rank == 0:
            become_rank(json.loads(line))
            return
        answer(rank)
        answer(os.waitstatus_to_exitcode(os.waitpid(rank, 0)[1]))


if __name__ == "__main__":
    serve()
