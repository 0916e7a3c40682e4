"""The studies of listening run at toy size, in this process."""

import json
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file

from benchmarks import evaluate_robustness
from tests.sounds import write_sounds
from tests.toys import randomise
from woosh.taggers.mobilenet import MobileNet


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
        *("--clips", 3, "--trials", 2, "--plot", tmp_path / "plot.png"),
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["evaluate_robustness", *map(str, options)])
    evaluate_robustness.main()
    out = capsys.readouterr().out
    assert "60 dB below: noise " in out and "stress " in out and "influence " in out
    assert (tmp_path / "plot.png").is_file()
