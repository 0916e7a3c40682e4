"""Whatever a file holds, a command ends with what was asked for or with one line: every reader meets damage here."""

import re
import subprocess
import sys

import pytest

from benchmarks.fuzz.cases import judged
from benchmarks.fuzz.doors import DOORS
from tests.paths import ROOT

CASES_OF_A_DOOR = 3


@pytest.mark.slow
def test_damaged_files_of_every_door() -> None:
    cases = str(CASES_OF_A_DOOR * len(DOORS))
    command = [sys.executable, "-m", "benchmarks.fuzz", "--cases", cases, "--seed", "22"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \| (\d+) \| 0 \|$", done.stdout, re.MULTILINE)
    assert {name for name, *_ in rows} == set(DOORS)
    assert all(int(accepted) + int(refused) == CASES_OF_A_DOOR for _, accepted, refused in rows)
    assert sum(int(refused) for *_, refused in rows) > int(cases) / 2


REFUSAL = "woosh: error: a.wav holds no samples"


@pytest.mark.parametrize(
    ("code", "memory", "said", "verdict"),
    [
        (0, 0, "", "accepted"),
        (2, 0, REFUSAL, "refused"),
        (2, 0, "woosh: error: holds no samples", "unnamed"),
        (2, 0, "", "no single line"),
        (2, 0, REFUSAL + "x" * 2000, "no single line"),
        (2, 0, f"{REFUSAL}\n{REFUSAL}", "no single line"),
        (1, 0, REFUSAL, "exit code 1"),
        (1, 0, "woosh: error: 'a' gave silence with the seeds 0, 1", "refused"),
        (1, 0, "woosh: error: changed since it was written: a.wav", "refused"),
        (-9, 0, "", "exit code -9"),
        (-1, 0, "", "too long"),
        (1, 0, "Traceback (most recent call last):", "traceback"),
        (0, 2_000_000_000, "", "2.0 GB"),
        (0, 0, "\x1b[31m", "control characters"),
    ],
)
def test_what_counts_as_a_fault(code: int, memory: int, said: str, verdict: str) -> None:
    """The judge must be able to say no, or the counts mean nothing."""
    ending = judged(code, memory, said, ["a.wav"], named=True)
    assert ending.verdict == verdict
    assert ending.is_fault == (verdict not in ("accepted", "refused"))
