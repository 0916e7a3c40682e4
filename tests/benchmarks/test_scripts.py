"""The measuring scripts run, at the size of the fixtures and of a toy model."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toys import make_clap, save_pipeline
from woosh.clap import save_clap

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


def test_time_and_recall_of_searching() -> None:
    out = run("search_speed", "--vectors", 5000, "--width", 16, "--queries", 20, "--threads", 1)
    assert re.search(r"built in \d+ s with 1 threads, -?\d+ MB more memory", out)
    graph, exact = (
        float(re.search(rf"{name}: .* ([\d.]+) in all", out).group(1))  # type: ignore[union-attr]
        for name in ("graph", "one by one")
    )
    assert graph >= 0.95 and exact >= 0.97  # both compare in half precision


@pytest.mark.slow
def test_steady_sounds_of_a_toy_model(tmp_path: Path) -> None:
    model = save_pipeline(tmp_path / "toy")
    out = run("steady_sounds", "--model", model, "--seconds", 0.2, "--seeds", 1)
    assert len(re.findall(r"0.2 s  .*  quietest +-?[\d.]+ dB  last", out)) == 10
    assert re.search(r"\d+ of 10 clips have a tenth more than 30 dB below", out)


@pytest.mark.slow
def test_a_toy_model_against_references(tmp_path: Path) -> None:
    model, aligner = save_pipeline(tmp_path / "toy"), tmp_path / "toy-clap"
    save_clap(make_clap(), aligner)
    out = run(
        "evaluate_against_references",
        *("--procedural", 6, "--model", model, "--embedding", aligner, "--embedding", "log-mel"),
    )
    assert "6 generated, 6 reference clips" in out
    assert re.search(r"clap score +-?[\d.]+", out)
    assert "halves of the references" in out and "shuffled captions" in out


@pytest.mark.slow
def test_tags_of_held_out_recordings(shared: Path) -> None:
    out = run("evaluate_tags", "--manifest", shared / "data" / "sfx" / "manifest.jsonl")
    first, among = map(float, re.findall(r"([\d.]+)%", out))
    assert re.match(r"\d+ clips, \d+ labels", out)
    assert 25 < first < among <= 100
