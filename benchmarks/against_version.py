"""Processor seconds of every command in this checkout and in another one, in turns: what has become slower?

    python benchmarks/against_version.py OTHER [--runs N] [--models NAME ...]

OTHER is a checkout of another version, such as `git worktree add ../woosh-0.7 COMMIT` makes. Each command runs in a fresh
process, everything included, once here and once there, `--runs` times; the least of each counts, so that other programs
on the machine matter less. A command that the other version does not know, or has no model for, is said so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parents[1]
MODELS = ("woosh-tiny", "woosh-tiny-fast")
PROMPTS = ("a dog barking", "rain on a tin roof", "a door creaks", "sea waves")


def spent(checkout: Path, arguments: Sequence[str], folder: Path) -> float | None:
    """Processor seconds of a command of a checkout, or None where it fails."""
    for made in (folder / "index.new", folder / "takes", folder / "shards"):
        if made.exists():
            shutil.rmtree(made)
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-m", "woosh", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    after = os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return None if done.returncode else used


def commands(models: Sequence[str], video: Path | None) -> dict[str, list[str]]:
    """What is compared, by what the table calls it."""
    made = ["generate", PROMPTS[0], "--device", "cpu", "--seed", "0", "-o", "made.wav"]
    rows = {}
    for model in models:
        for seconds in (5, 30):
            rows[f"generate {seconds} s, {model}"] = [
                *(*made, "--model", model, "--seconds", str(seconds)),
            ]
        rows[f"generate -n 4, 5 s, {model}"] = [
            *("generate", PROMPTS[0], "-n", "4", "--seconds", "5", "--device", "cpu"),
            *("--seed", "0", "--model", model, "-o", "takes"),
        ]
    rows["tag"] = ["tag", "sounds/0.wav", "--model", "woosh-tiny-clap"]
    rows["index, 4 sounds"] = ["index", "sounds", "-o", "index.new"]
    rows["search"] = ["search", "a dog", "--index", "index.old"]
    rows["reconstruct"] = ["reconstruct", "sounds/0.wav", "again.wav", "--model", "woosh-tiny"]
    rows["evaluate, 4 sounds"] = [
        *("evaluate", "generation", "--generated", "sounds", "--reference", "sounds"),
    ]
    rows["data prepare, 4 sounds"] = ["data", "prepare", "sounds", "shards"]
    rows["models"] = ["models"]
    rows["--help"] = ["--help"]
    rows["--version"] = ["--version"]
    if video is not None:
        rows["dub"] = ["dub", str(video.resolve()), "-o", "dubbed.wav"]
    return rows


def prepare(checkout: Path, folder: Path) -> None:
    """Sounds to tag, and an index of them that this checkout can search."""
    for number, prompt in enumerate(PROMPTS):
        sound = ["generate", prompt, "--model", MODELS[-1], "--seed", "0"]
        spent(checkout, [*sound, "-o", f"sounds/{number}.wav"], folder)
    spent(checkout, ["index", "sounds", "-o", "index.old"], folder)


def main() -> None:
    """Print a row for each command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("other", type=Path, metavar="OTHER")
    add("--runs", type=int, default=3)
    add("--models", nargs="+", default=list(MODELS), metavar="NAME")
    add("--video", type=Path, metavar="FILE", help="a video to dub")
    add("--only", default="", metavar="TEXT", help="rows whose names hold this text")
    options = parser.parse_args()
    checkouts = {"other": options.other.resolve(), "here": HERE}
    print("| command | other | here | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        rows = {
            name: arguments
            for name, arguments in commands(options.models, options.video).items()
            if options.only in name
        }
        for side, checkout in checkouts.items():
            (Path(scratch) / side / "sounds").mkdir(parents=True)
            if any("sounds" in part or "index" in part for row in rows.values() for part in row):
                prepare(checkout, Path(scratch) / side)
        for name, arguments in rows.items():
            times: dict[str, list[float | None]] = {side: [] for side in checkouts}
            for _ in range(options.runs):
                for side, checkout in checkouts.items():
                    times[side].append(spent(checkout, arguments, Path(scratch) / side))
            print(f"| `{name}` | {compared(times['other'], times['here'])} |", flush=True)


def compared(other: Sequence[float | None], here: Sequence[float | None]) -> str:
    """The least of both and their ratio, or which of them failed."""
    least = [
        min(run for run in runs if run is not None) if None not in runs else None
        for runs in (other, here)
    ]
    shown = ["fails" if value is None else f"{value:.2f} s" for value in least]
    there, now = least
    ratio = "" if there is None or now is None else f"{now / there:.2f}"
    return " | ".join([*shown, ratio])


if __name__ == "__main__":
    main()
