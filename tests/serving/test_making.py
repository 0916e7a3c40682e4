"""What a worker makes of videos, indices and recordings: the files and records of the commands."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.videos import steady_times, write_video
from woosh import audio, cli
from woosh.catalogue import find_model
from woosh.serving.making import Maker, Task
from woosh.serving.settings import WorkerSettings
from woosh.serving.shapes import Dub, Loop, Search
from woosh.studio.workshop import Stopped
from woosh.video import open_video


def maker(folder: Path, model: str, index: Path | None = None) -> Maker:
    """A maker with one model."""
    models = {model: str(find_model(model))}
    settings = WorkerSettings(
        name="worker",
        database="",
        files=str(folder),
        models=models,
        device="cpu",
        dtype="auto",
        index=None if index is None else str(index),
    )
    return Maker(settings)


def make(own: Maker, kind: str, work: Any, model: str, folder: Path, upload: Path | None) -> Any:
    return own.make(kind, Task(work, model, 5, upload, folder, lambda _: None))


def test_a_video_gets_its_sound(tmp_path: Path) -> None:
    """In its own container or as a sound alone; whoever wants no more of it ends it in the middle."""
    clip, model = tmp_path / "clip.mp4", "woosh-small-video"
    write_video(clip, steady_times(Fraction(24), 0.5))
    own = maker(tmp_path, model)
    (film,) = make(own, "dub", Dub(prompt="rain"), model, tmp_path, clip)["sounds"]
    assert (film["name"], film["media_type"], film["seed"]) == ("clip-5.mp4", "video/mp4", 5)
    assert film["record"]["video"] == "clip.mp4"
    assert open_video(tmp_path / film["name"]).seconds == pytest.approx(0.5)
    (sound,) = make(own, "dub", Dub(format="flac"), model, tmp_path, clip)["sounds"]
    assert sound["media_type"] == "audio/flac"
    assert audio.read_audio(tmp_path / sound["name"]).shape == (1, 24_000)
    with pytest.raises(ValueError, match="leave out mix"):
        make(own, "dub", Dub(format="wav", mix=-6), model, tmp_path, clip)

    def no_more(_: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        own.make("dub", Task(Dub(), model, 5, clip, tmp_path, no_more))


def test_sounds_are_found_and_looped(tmp_path: Path) -> None:
    """Matches are named below the folder of the index, never by a path of this machine."""
    sounds, model = tmp_path / "sounds", "woosh-tiny-fast"
    (sounds / "below").mkdir(parents=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 96_000)).astype(np.float32)
    audio.write_audio(sounds / "below" / "noise.wav", noise, 48_000)
    assert cli.main(["index", str(sounds)]) == 0
    own = maker(tmp_path, model, sounds)
    example = sounds / "below" / "noise.wav"
    for work, upload in ((Search(text="rain"), None), (Search(k=3), example)):
        (match,) = make(own, "search", work, model, tmp_path, upload)["found"]["matches"]
        assert match["name"] == "below/noise.wav" and match["seconds"] == 2.0
    assert match["score"] == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(ValueError, match="either text or an upload"):
        make(own, "search", Search(), model, tmp_path, None)
    (loop,) = make(own, "loop", Loop(seconds=1.0), model, tmp_path, example)["sounds"]
    assert loop["seconds"] == 1.0 and loop["record"]["looped"] == "noise.wav"
    assert audio.read_metadata(tmp_path / loop["name"])["operations"] == "loop"
