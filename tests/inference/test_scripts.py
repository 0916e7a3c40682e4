"""The example scripts run on a toy model and write what they say."""

import runpy
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.paths import ROOT
from tests.toys import save_pipeline, save_seeing_pipeline
from tests.videos import write_video
from woosh import audio
from woosh.video import open_video
from woosh.video.muxing import RATE, own_sound

SCRIPTS = ROOT / "inference"


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


def test_the_sound_of_a_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_seeing_pipeline(tmp_path / "toy")
    clip = write_video(tmp_path / "clip.mp4", [Fraction(k, 25) for k in range(13)])
    dub = runpy.run_path(str(SCRIPTS / "video_to_audio.py"))["main"]
    dub([str(model), str(clip), str(tmp_path / "out.mp4"), "--prompt", "a ball", "--seed", "3"])
    video = open_video(tmp_path / "out.mp4")
    sound = np.concatenate(list(own_sound(video, round(video.seconds * RATE))), axis=1)
    assert abs(video.seconds - 0.52) < 0.04 and np.abs(sound).max() > 0.01
    assert "0.52 s  seed 3" in capsys.readouterr().out
