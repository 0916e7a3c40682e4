"""The measuring scripts run, at the size of the fixtures and of a toy model."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toys import save_pipeline

ROOT = Path(__file__).parents[2]


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, f"benchmarks/{script}.py", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


@pytest.mark.slow
def test_memory_of_every_conversion_and_time_of_a_generation(tmp_path: Path) -> None:
    manifests = ROOT / "tests" / "fixtures" / "official"
    out = run("memory", "--manifests", manifests, "--work", tmp_path, "--seconds", 0.5)
    for name in ("Woosh-AE", "TextConditionerA", "Woosh-Flow", "Woosh-DFlow"):
        assert re.search(rf"converting {name}: \d+ MB above the imports", out), out
    assert re.search(r"loading Woosh-Flow: \d+ MB", out)
    assert "second call: 24000 samples" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_times_of_the_command_line(tmp_path: Path) -> None:
    model = save_pipeline(tmp_path / "toy")
    out = run("cli_times", "--model", model, "--seconds", 0.1, "--runs", 1)
    assert re.search(r"woosh --help: first \d", out)
    assert re.search(r"woosh generate, 0.1 s: first \d", out)
