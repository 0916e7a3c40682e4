"""Wall-clock time of the command line in fresh processes.

    python benchmarks/cli_times.py [--model NAME|DIR] [--runs N]

`woosh --help` should answer within 1 s, and a generation of 5 s, all imports and the loading of the model included, should
take at most 3.5 s of processor time (with `OMP_NUM_THREADS=1`). The first run is printed too: the files of the libraries
may not be in memory yet. Figures: docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from woosh.catalogue import DEFAULT_MODEL, find_model


def measure(arguments: Sequence[str], runs: int, folder: Path) -> list[tuple[float, float]]:
    """Run `woosh` with arguments in fresh processes: wall-clock and processor seconds of each.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    times = []
    for _ in range(runs):
        wall, before = time.perf_counter(), os.times()
        command = [sys.executable, "-m", "woosh", *arguments]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        wall, after = time.perf_counter() - wall, os.times()
        used = after.children_user + after.children_system
        times.append((wall, used - before.children_user - before.children_system))
    return times


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|DIR")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args(argv)
    model = str(find_model(arguments.model).resolve())
    sound = ["generate", "a dog barking", "--model", model, "--device", "cpu", "-o", "dog.wav"]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start")
    with tempfile.TemporaryDirectory() as folder:
        measure([*sound, "--seconds", "5"], 1, Path(folder))
        measure(["index", "."], 1, Path(folder))
        for name, command in (
            ("woosh --help", ["--help"]),
            ("woosh models", ["models"]),
            ("woosh tag", ["tag", "dog.wav"]),
            ("woosh search", ["search", "a dog", "--index", "."]),
            (
                f"woosh generate, {arguments.seconds:g} s",
                [*sound, "--seconds", str(arguments.seconds)],
            ),
        ):
            times = measure(command, arguments.runs, Path(folder))
            best = min(times)
            print(
                f"{name}: first {times[0][0]:.2f} s, best of {arguments.runs} {best[0]:.2f} s "
                f"({best[1]:.2f} s of processor time)"
            )


if __name__ == "__main__":
    main()
