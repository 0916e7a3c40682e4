"""The recipe of breaks writes a network that finds them with, and refuses what is too little."""

from pathlib import Path

import pytest

from tests.benchmarks.test_listening_studies import manifest
from tests.paths import ROOT
from training import train_breaks
from woosh.taggers.splices import load_break_finder
from woosh.training.config import load_config

SMALL = ("width=4", "window_seconds=0.5", "steps=2", "batch_size=4", "log_every=1")


def test_a_network_is_trained_and_saved(tmp_path: Path) -> None:
    rows, output = manifest(tmp_path, 8, 0.6), tmp_path / "run"
    settings = (f"manifest={rows}", f"output={output}", *SMALL)
    config = load_config(train_breaks.Config, ROOT / "configs" / "breaks_tiny.yaml", settings)
    train_breaks.main(config)
    assert load_break_finder(output).config["width"] == 4
    assert len((output / "log.jsonl").read_text().splitlines()) == 2


def test_sounds_that_are_too_short_are_told(tmp_path: Path) -> None:
    settings = (f"manifest={manifest(tmp_path, 4, 0.3)}", f"output={tmp_path / 'run'}", *SMALL)
    config = load_config(train_breaks.Config, ROOT / "configs" / "breaks_tiny.yaml", settings)
    with pytest.raises(ValueError, match=r"has 0 sounds of 0.5 s or more in the split train"):
        train_breaks.main(config)
