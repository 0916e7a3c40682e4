"""The example scripts run on a toy model and write what they say."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from tests.toys import save_pipeline
from woosh import audio

SCRIPTS = Path(__file__).parents[2] / "inference"


def test_generate_then_reconstruct(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_pipeline(tmp_path / "toy")
    sound, again = tmp_path / "dog.wav", tmp_path / "again.flac"
    generate = runpy.run_path(str(SCRIPTS / "generate.py"))["main"]
    generate([str(model), "a dog", str(sound), "--seconds", "0.2", "--seed", "3"])
    assert audio.read_audio(sound).shape == (1, 9600)
    assert audio.read_metadata(sound)["seed"] == 3
    reconstruct = runpy.run_path(str(SCRIPTS / "reconstruct.py"))["main"]
    reconstruct([str(model), str(sound), str(again)])
    assert audio.read_audio(again).shape == (1, 9600)
    assert np.abs(audio.read_audio(again)).max() > 0
    assert "error" in capsys.readouterr().out
