"""`woosh batch`: sheets become folders with the built-in model, and a run that is killed goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.toys import save_pipeline
from woosh import audio, cli

SHEET = """\
name,prompt,seconds,count,loudness,format,category
doors/creak,a door creaks,0.3,2,-30,wav,DOORWood
rain,"rain, heavy",0.4,,,ogg,
"""


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("models") / "toy", max_frames=100)


def batch(*arguments: object, model: object = "woosh-tiny-fast") -> int:
    words = ["batch", *arguments, "-o", "assets", "--model", model, "--device", "cpu"]
    return cli.main([str(word) for word in words])


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_sheet_is_told_made_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run leaves nothing; the manifest tells of each file what `woosh generate` would have written there."""
    Path("s.csv").write_text(SHEET)
    assert batch("s.csv", "--dry-run") == 0
    out = capsys.readouterr().out
    assert out.count("new ") == 3
    assert "3 new, 0 changed, 0 unchanged, 0 orphaned" in out
    assert not Path("assets").exists()
    assert batch("s.csv") == 0
    assert "3 made, 0 unchanged: assets/manifest.json" in capsys.readouterr().out
    entries = json.loads(Path("assets/manifest.json").read_text())["assets"]
    creak = entries[0]
    assert creak["loudness"] == pytest.approx(-30, abs=0.1)
    options = ["--seconds", "0.3", "--loudness", "-30", "--model", "woosh-tiny-fast", "--quiet"]
    words = ["generate", "a door creaks", "--seed", creak["seed"], *options, "-o", "alone.wav"]
    assert cli.main([str(word) for word in words]) == 0
    made = Path("assets", creak["path"])
    assert np.array_equal(audio.read_audio("alone.wav"), audio.read_audio(made))
    assert audio.read_metadata("alone.wav") | {"catid": "DOORWood"} == audio.read_metadata(made)
    capsys.readouterr()
    assert batch("s.csv") == 0
    assert "0 made, 3 unchanged" in capsys.readouterr().out


def test_a_row_may_ask_for_a_loop_and_for_two_channels() -> None:
    """A loop has its exact length and says where it repeats; two channels fold down to the mono sound."""
    Path("s.csv").write_text(
        "name,prompt,seconds,loop,stereo\nwind,wind,0.6,yes,\nwide,rain,0.6,,yes\n"
    )
    assert batch("s.csv") == 0
    loop, wide = (
        {
            one["name"]: one
            for one in json.loads(Path("assets/manifest.json").read_text())["assets"]
        }[name]
        for name in ("wind", "wide")
    )
    assert (loop["seconds"], loop["loop_start"], loop["loop_end"]) == (0.6, 0, 28_799)
    assert audio.read_metadata("assets/wind.wav")["operations"] == "loop"
    assert (wide["channels"], wide["loop_start"]) == (2, None)
    left, right = audio.read_audio("assets/wide.wav", mono=False)
    assert np.abs(left - right).max() > 0.01


def test_parts_are_joined_by_a_run_without_shard(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("s.csv").write_text(SHEET)
    for shard in ("1/2", "2/2"):
        assert batch("s.csv", "--shard", shard, model=model) == 0
    assert Path("assets/manifest-1of2.json").exists()
    capsys.readouterr()
    assert batch("s.csv", model=model) == 0
    assert "0 made, 3 unchanged" in capsys.readouterr().out
    assert {name for name in contents(Path("assets")) if "manifest" in name} == {
        "manifest.csv",
        "manifest.json",
    }


def test_sounds_that_fail_are_reported_at_the_end(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("s.csv").write_text(SHEET)
    Path("assets").mkdir()
    Path("assets/doors").write_text("no folder")
    assert batch("s.csv", model=model) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("woosh: assets/doors/creak-01.wav: ")
    assert lines[-1] == "woosh: error: 2 of 3 sounds could not be made; the others are in assets"
    assert audio.read_metadata("assets/rain.ogg")["prompt"] == "rain, heavy"


def test_orphans_are_named_and_stay(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.csv").write_text(SHEET)
    assert batch("s.csv", model=model) == 0
    Path("s.csv").write_text("\n".join(SHEET.splitlines()[:2]))
    assert batch("s.csv", "--dry-run", model=model) == 0
    assert "orphaned  assets/rain.ogg" in capsys.readouterr().out
    assert batch("s.csv", model=model) == 0
    assert "assets/rain.ogg is in no row of the sheet" in capsys.readouterr().err
    assert Path("assets/rain.ogg").exists()


REFUSALS = {
    "unknown column": ("name,promt\na,b\n", (), "s.csv: row 1: unknown column 'promt'"),
    "a wrong row": (SHEET + "bell,a bell,x,,,,\n", (), "row 4 ('bell'): column seconds is 'x'"),
    "negative prompt": (
        "name,prompt,negative\na,b,music\n",
        (),
        "s.csv: row 'a': few-step models, such as woosh-tiny-fast, take no negative prompt",
    ),
    "told length": (
        "name,prompt,sound_seconds\na,b,1\n",
        (),
        "s.csv: row 'a': this model is not told",
    ),
    "too short": (
        "name,prompt,seconds\na,b,1e-9\n",
        (),
        "s.csv: row 'a': 1e-09 seconds are shorter",
    ),
    "outside": ("name,prompt\n../a,b\n", (), "name '../a'"),
    "no part": (SHEET, ("--shard", "5/4"), "part 5 of 4 is not"),
    "no fraction": (SHEET, ("--shard", "half"), "must be such as 1/4, not 'half'"),
    "unknown model": (SHEET, ("--model", "woosh-huge"), "unknown model 'woosh-huge'"),
    "file as folder": (SHEET, ("-o", "s.csv"), "s.csv exists and is not a folder"),
    "missing parent": (SHEET, ("-o", "gone/deep"), "cannot write to gone: there is no such"),
    "user's file": (SHEET, ("-o", "taken"), "taken/rain.ogg is not what `woosh batch` wrote"),
    "folder in the way": (SHEET, ("-o", "filled"), "filled/rain.ogg exists and is not a file"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_input_is_refused_before_anything_is_made(
    case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text, options, message = REFUSALS[case]
    Path("s.csv").write_text(text)
    for folder in ("taken", "filled/rain.ogg"):
        Path(folder).mkdir(parents=True)
    Path("taken/rain.ogg").write_text("a user's own")
    before = contents(tmp_path)
    words = ["batch", "s.csv", "-o", "assets", "--model", "woosh-tiny-fast", *options]
    assert cli.main(words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert contents(tmp_path) == before


def test_the_manifest_never_replaces_the_sheet(capsys: pytest.CaptureFixture[str]) -> None:
    Path("assets").mkdir()
    Path("assets/manifest.csv").write_text(SHEET)
    assert batch("assets/manifest.csv") == 2
    assert "has the name of the manifest that is written there" in capsys.readouterr().err
    assert Path("assets/manifest.csv").read_text() == SHEET


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After SIGKILL nothing half made has a sound's name, and what was made is neither lost nor made twice."""
    Path("s.csv").write_text("name,prompt,seconds,count\nrain,rain,0.5,24\n")
    words = ["batch", "s.csv", "-o", "assets", "--model", str(model), "--device", "cpu"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.Popen([sys.executable, "-m", "woosh", *words], env=environment)
    deadline = time.monotonic() + 300
    while len(list(tmp_path.glob("assets/rain-*.wav"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("assets/rain-*.wav")}
    assert 3 <= len(kept) < 24
    assert not Path("assets/manifest.json").exists()
    assert cli.main(words) == 0
    assert f"{24 - len(kept)} made, {len(kept)} unchanged" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    words[3] = "whole"
    assert cli.main(words) == 0
    made = {name: data for name, data in contents(Path("assets")).items() if name[0] != "."}
    assert made == contents(Path("whole"))
