"""Damage what the commands read, in many ways, and count how each ended.

    python -m benchmarks.fuzz [--cases N] [--seed S] [--doors NAME ...] [--keep DIR] [--seconds S]

A door is a command and the files that it reads. Each case takes one door, damages one of its files (bytes, or values of
JSON, YAML and safetensors headers; lines of texts), and runs the command in a process of its own. Case i follows from the
seed and i alone. It must end with exit code 0, with 2 and one line that names the file, or with 1 and the line that a model
makes silence or that a sound was changed; within a minute, 1.5 GB of memory and 256 MB of written files. Anything else is a
fault: its number is printed, and with --keep its folder stays.

Printed are the counts by door. The exit code is 1 if there was a fault. POSIX systems only.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.fuzz.cases import check_whole, run_case
from benchmarks.fuzz.doors import DOORS


def main() -> int:
    """Run the cases and print how they ended."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--cases", type=int, default=2000)
    add("--seed", type=int, default=0)
    add("--only", type=int, nargs="+", metavar="NUMBER", help="these cases alone")
    add("--doors", nargs="+", choices=tuple(DOORS), default=tuple(DOORS))
    add("--keep", type=Path, help="folder for the folders of faults")
    add("--seconds", type=float, default=60.0, help="that a case may take")
    options = parser.parse_args()
    torch.set_num_threads(1)
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.doors:
            check_whole(name, Path(scratch), options.seconds)
        numbers = options.only or range(options.cases)
        for number in tqdm(numbers, leave=False):
            what, ending = run_case(
                number, options.seed, options.doors, Path(scratch), options.seconds
            )
            door = what.split(",")[0]
            counts[door, "fault" if ending.is_fault else ending.verdict] += 1
            if ending.is_fault:
                tqdm.write(f"{number}: {what}: {ending.verdict}: {ending.said}")
                if options.keep is not None:
                    shutil.copytree(
                        Path(scratch) / "case", options.keep / str(number), dirs_exist_ok=True
                    )
    print("| door | accepted | refused | faults |\n|---|---|---|---|")
    for door in options.doors:
        cells = [str(counts[door, verdict]) for verdict in ("accepted", "refused", "fault")]
        print(f"| {door} | {' | '.join(cells)} |")
    faults = sum(count for (_, verdict), count in counts.items() if verdict == "fault")
    print(f"{sum(counts.values())} cases, seed {options.seed}: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
