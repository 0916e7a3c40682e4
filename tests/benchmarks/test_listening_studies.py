"""The studies of listening run at toy size, in this process."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks import evaluate_breaks, evaluate_robustness, evaluate_snp
from tests.sounds import write_sounds
from tests.toys import randomise
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.splices import BreakFinder


def manifest(folder: Path, count: int, seconds: float) -> Path:
    """Sounds of two labels, half of them for validation."""
    write_sounds(folder, range(count), seconds)
    rows = [
        {
            "file": f"clip-{number}.wav",
            "captions": ["a sound"],
            "seconds": seconds,
            "label": f"kind {number % 2}",
            "split": "train" if number < count // 2 else "validation",
        }
        for number in range(count)
    ]
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_attacks_on_an_ear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file(randomise(MobileNet(0.1, classes=4), 3).state_dict(), tmp_path / "ear.safetensors")
    options = [
        *("--manifest", manifest(tmp_path, 8, 0.3), "--ear", f"tagger:{tmp_path / 'ear.safetensors'}"),
        *("--clips", 2, "--trials", 1, "--plot", tmp_path / "plot.png"),
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["evaluate_robustness", *map(str, options)])
    evaluate_robustness.main()
    out = capsys.readouterr().out
    assert "60 dB below: noise " in out and "stress " in out and "influence " in out
    assert (tmp_path / "plot.png").is_file()


def test_joins_by_network_and_by_novelty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    BreakFinder(4).save_pretrained(tmp_path / "finder")
    options = [
        *("--manifest", manifest(tmp_path, 16, 3.0), "--model", tmp_path / "finder"),
        *("--recordings", 1, "--trials", 2, "--plot", tmp_path / "plot.png"),
    ]
    monkeypatch.setattr(sys, "argv", ["evaluate_breaks", *map(str, options)])
    evaluate_breaks.main()
    out = capsys.readouterr().out
    assert "network, 100 ms: F1 " in out and "novelty, 250 ms: F1 " in out
    assert (tmp_path / "plot.png").is_file()


def test_places_of_breaks_by_every_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--margin", 50, "--steps", 1, "--batch", 2, "--windows", 8, "--also", 60)
    kept = ["--results", str(tmp_path / "rows.jsonl"), "--plot", str(tmp_path / "plot.png")]
    monkeypatch.setattr(sys, "argv", ["evaluate_snp", *map(str, options), *kept])
    evaluate_snp.main()
    out = capsys.readouterr().out
    evaluate_snp.main()
    assert capsys.readouterr().out == out  # nothing is trained twice
    assert "margin 50  area below the ROC curve: first set " in out
    assert all(f"margin 50  {name}: " in out for name in evaluate_snp.READINGS)
    assert "margin 50, heard 60  area below the ROC curve: first set " in out
    assert (tmp_path / "plot.png").is_file()


def test_what_is_found_is_scored_once() -> None:
    """Each place counts for one join; the threshold is where F1 is best."""
    truth, found = [[1.0, 2.0]], [[(1.05, 0.9), (1.5, 0.2), (2.02, 0.6)]]
    assert evaluate_breaks.scores(truth, found, 0.5, 0.1) == (1.0, 1.0, 1.0)
    assert evaluate_breaks.scores(truth, found, 0.0, 0.1) == (2 / 3, 1.0, 0.8)
    assert 0.2 < evaluate_breaks.best_threshold(truth, found) <= 0.6


def test_two_sides_are_told_apart_where_they_meet() -> None:
    said = torch.full((1, 20), 0.1)
    said[0, 13:] = 0.8
    said[0, 4] = 0.99  # a single step does not mislead it
    places = (torch.arange(20) + 0.5) / 20
    assert evaluate_snp.sides(said, places).item() == pytest.approx(13 / 20)
