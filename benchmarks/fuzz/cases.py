"""Cases: a door of which one file is damaged, run in a process of its own, and how it ended."""

from __future__ import annotations

import io
import os
import random
import resource
import runpy
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz.damage import damaged_file
from benchmarks.fuzz.doors import DOORS, ROOT
from woosh import cli

MEMORY = 1_500_000_000  # bytes that a case may hold
WRITTEN = 256_000_000  # bytes of a file that a case may write
LONGEST_MESSAGE = 1_500  # characters
LARGE = 1_000_000  # bytes
CURSOR_UP = "\x1b[A"  # that bars below each other print
# What is said with exit code 1: damaged numbers may well make silence, and to tell a change is the command's work.
ANSWERS = (" gave silence with the seeds ", ": changed since it was written: ")


@dataclass(frozen=True)
class Ending:
    """How a case ended: "accepted", "refused", or the name of a fault."""

    verdict: str
    said: str = ""

    @property
    def is_fault(self) -> bool:
        return self.verdict not in ("accepted", "refused")


def run_command(command: Sequence[str]) -> int:
    """A command of `woosh`, or a recipe as it is started from a shell."""
    if not command[0].endswith(".py"):
        return cli.main(command)
    sys.argv = [str(ROOT / "training" / command[0]), *command[1:]]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ending:
        return int(ending.code or 0)
    return 0


def in_process_of_its_own(
    folder: Path, command: Sequence[str], seconds: float
) -> tuple[int, int, str]:
    """Run a command in a folder: exit status (-1 for too long), most memory in bytes, and what it said."""
    said = folder.parent / "said.txt"
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.chdir(folder)
            output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.stdout = io.TextIOWrapper(
                os.fdopen(1, "wb", 0), write_through=True, errors="backslashreplace"
            )
            sys.stderr = io.TextIOWrapper(
                os.fdopen(2, "wb", 0), write_through=True, errors="backslashreplace"
            )
            resource.setrlimit(resource.RLIMIT_FSIZE, (WRITTEN, WRITTEN))
            code = run_command(command)
        except BaseException:  # noqa: BLE001 - whatever ends a command is what is looked for
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    deadline = time.monotonic() + seconds
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            _, _, used = os.wait4(child, 0)
            status = -1
            break
        time.sleep(0.005)
    code = -1 if status == -1 else os.waitstatus_to_exitcode(status)
    return code, used.ru_maxrss * 1024, said.read_text(encoding="utf-8", errors="replace")


def judged(code: int, memory: int, said: str, names: Sequence[str], named: bool) -> Ending:
    """What an ending is, by the rules above."""
    errors = [line for line in said.splitlines() if ": error: " in line]
    if code == -1:
        return Ending("too long", said[-300:])
    if "Traceback" in said:
        return Ending("traceback", said[-1500:])
    if code == 1 and len(errors) == 1 and any(answer in errors[0] for answer in ANSWERS):
        return Ending("refused", errors[0])
    if code not in (0, 2):
        return Ending(f"exit code {code}", said[-300:])
    if memory > MEMORY:
        return Ending(f"{memory / 1e9:.1f} GB", said[-300:])
    if any(ord(sign) < 32 and sign not in "\n\r\t" for sign in said.replace(CURSOR_UP, "")):
        return Ending("control characters", repr(said[-300:]))
    if code == 0:
        return Ending("accepted")
    if len(errors) != 1 or len(errors[0]) > LONGEST_MESSAGE:
        return Ending("no single line", said[-600:])
    if named and not any(name in errors[0] for name in names):
        return Ending("unnamed", errors[0])
    return Ending("refused", errors[0])


def fresh_case(name: str, place: Path) -> Path:
    """A folder with a door's whole files, of which large ones are links."""
    whole, case = place / "whole" / name, place / "case"
    if not whole.exists():
        # Built where it is used: an index knows its place.
        shutil.rmtree(case, ignore_errors=True)
        case.mkdir()
        DOORS[name].build(case)
        whole.parent.mkdir(exist_ok=True)
        case.rename(whole)

    def copy(source: str, target: str) -> None:
        # No command writes into a file as large as this.
        (os.link if os.path.getsize(source) > LARGE else shutil.copyfile)(source, target)  # noqa: PTH202

    shutil.rmtree(case, ignore_errors=True)
    shutil.copytree(whole, case, copy_function=copy)
    return case


def files_of(name: str, case: Path) -> list[Path]:
    """The files of a door that are damaged, one at a time."""
    patterns = DOORS[name].damaged
    return sorted({path for pattern in patterns for path in case.glob(pattern) if path.is_file()})


def run_with(name: str, case: Path, chosen: Path, seconds: float) -> Ending:
    """Run a door's command, of which the chosen file is what a pattern in it stands for."""
    command = [chosen.name if "*" in word else word for word in DOORS[name].command]
    code, memory, said = in_process_of_its_own(case, command, seconds)
    names = [*chosen.relative_to(case).parts, chosen.stem]
    return judged(code, memory, said, names, DOORS[name].named)


def check_whole(name: str, place: Path, seconds: float) -> None:
    """Check that a door's command does its work with whole files: or all its refusals would mean nothing.

    Raises:
        ValueError: it does not.
    """
    case = fresh_case(name, place)
    for path in files_of(name, case) if "*" in " ".join(DOORS[name].command) else [case / "none"]:
        ending = run_with(name, case, path, seconds)
        if ending.verdict != ("accepted" if DOORS[name].complete else "refused"):
            raise ValueError(f"{name} with whole files: {ending.verdict}: {ending.said}")


def run_case(
    number: int, seed: int, doors: Sequence[str], place: Path, seconds: float
) -> tuple[str, Ending]:
    """Damage one file of one door and run its command in place/case."""
    name = doors[number % len(doors)]
    case, source = fresh_case(name, place), random.Random(f"{seed} {number}")
    chosen = source.choice(files_of(name, case))
    data = damaged_file(chosen, source)
    chosen.unlink()
    chosen.write_bytes(data)
    ending = run_with(name, case, chosen, seconds)
    return f"{name}, {chosen.relative_to(case)}", ending
