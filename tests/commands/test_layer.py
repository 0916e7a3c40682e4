"""`woosh layer`: scenes from events and sheets, with their stems and the list of what was mixed."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.sounds import sound
from tests.toys import save_pipeline, with_threshold_between
from woosh import __version__, audio, cli


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("models") / "toy", max_frames=100)


def layer(words: str, *options: object, model: object = "woosh-tiny-fast") -> int:
    rest = ["-o", "scene.wav", "--model", model, "--device", "cpu", *options]
    return cli.main(["layer", words, *map(str, rest)])


def read(path: str | Path) -> np.ndarray:
    return audio.read_audio(path, mono=False)


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_events_become_a_scene(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each event sounds from its start; the same text gives the same bytes again, in the place of the former ones."""
    words = "0.25 s a door creaks; 0.5 - 1.1 s steps on wood"
    assert layer(words, "--seconds", 0.5) == 0
    assert capsys.readouterr().out.splitlines() == [
        "scene-stems/01-a-door-creaks.wav  from 0.25 s, 0.50 s",
        "scene-stems/02-steps-on-wood.wav  from 0.5 s, 0.60 s",
        "scene.wav  1.10 s",
    ]
    listing = json.loads(Path("scene.json").read_text())
    stems = [read(one["stem"]) for one in listing["layers"]]
    mixed = read("scene.wav")
    assert mixed.shape == (2, 52_800) == stems[0].shape == stems[1].shape
    assert np.abs(sum(stems) - mixed).max() < 3 * 2**-23
    for one, stem in zip(listing["layers"], stems, strict=True):
        assert not stem[:, : one["offset"]].any()
        assert stem[:, one["offset"] : one["offset"] + one["samples"]].any()
        assert audio.read_metadata(one["stem"])["seed"] == one["seed"]
    creak = listing["layers"][0]
    assert (creak["prompt"], creak["licence"]) == ("a door creaks", "cc-by-4.0")
    options = [
        "--model",
        "woosh-tiny-fast",
        "--seconds",
        "0.5",
        "--keep-length",
        "--quiet",
        "-o",
        "alone.wav",
    ]
    assert cli.main(["generate", "a door creaks", "--seed", str(creak["seed"]), *options]) == 0
    alone = np.array(creak["gains"])[:, None] * read("alone.wav")
    assert stems[0][:, 12_000:36_000] == pytest.approx(alone, abs=3 * 2**-23)
    before = contents(tmp_path)
    assert layer(words, "--seconds", 0.5) == 0
    assert contents(tmp_path) == before
    assert audio.read_metadata("scene.wav") == {
        "layers": 2,
        "model": "woosh-tiny-fast",
        "version": __version__,
    }


def test_own_sounds_are_mixed_as_the_sheet_says() -> None:
    """Files lie beside the sheet; one at another rate, one cut to its length; no model is loaded for them."""
    Path("in").mkdir()
    tone, noise = 0.5 * sound(1, 1.0), 0.1 * np.concatenate([sound(2), sound(3)])
    audio.write_audio("in/tone.wav", tone)
    audio.write_audio("in/noise.flac", noise, metadata={"prompt": "wind", "model": "other"})
    audio.write_audio("in/low.wav", tone[:, ::2], 24_000)
    rows = "file,start,level,pan,seconds,fade_out\ntone.wav,0.1,-6,-1,0.5,\nnoise.flac,,,,,0.2\nlow.wav,1,,1,,\n"
    Path("in/mix.csv").write_text(rows)
    assert layer("in/mix.csv", model="no model") == 0
    mixed, listing = read("scene.wav"), json.loads(Path("scene.json").read_text())
    assert mixed.shape == (2, 96_000)
    stem = read("scene-stems/01-tone.wav")
    assert stem[0, 4_800:28_800] == pytest.approx(10 ** (-6 / 20) * tone[0, :24_000], abs=1e-6)
    assert not stem[:, 28_800:].any()
    second = read("scene-stems/02-noise.wav")
    assert second[:, :14_000] == pytest.approx(noise[:, :14_000], abs=1e-6)
    assert np.abs(second[:, 23_900:24_000]).max() < 1e-3
    assert sum(read(one["stem"]) for one in listing["layers"]) == pytest.approx(mixed, abs=1e-6)
    record = {"prompt": "wind", "model": "other", "source": "noise.flac", "version": __version__}
    assert audio.read_metadata("scene-stems/02-noise.wav") == record
    assert audio.read_metadata("scene.wav")["model"] == "other"
    assert listing["layers"][0]["gains"] == pytest.approx([10 ** (-6 / 20), 0])


def test_loudness_seed_and_yaml(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.yaml").write_text(
        "layers:\n- {prompt: rain, seconds: 1.0, steps: 2}\n- {prompt: wind, pan: 0.5, seed: 3}\n"
    )
    options = ("--seconds", 0.6, "--loudness", -30, "--seed", 9)
    assert layer("s.yaml", *options, model=model) == 0
    assert audio.loudness(read("scene.wav")) == pytest.approx(-30, abs=0.1)
    listing = json.loads(Path("scene.json").read_text())
    assert [one["seed"] for one in listing["layers"]] == [9, 3]
    assert listing["loudness"] == pytest.approx(-30, abs=0.1)
    assert layer("s.yaml", "--loudness", 0, model=model) == 0
    assert (
        "note: 0 LUFS would pass the peak's limit of -1.0 dB; the mix has -"
        in capsys.readouterr().err
    )


REFUSALS = {
    "no time": ("a door creaks", "event 1, 'a door creaks', does not begin with its time"),
    "no sheet": ("gone.csv", "no sheet at gone.csv"),
    "unknown column": ("columns.csv", "columns.csv: row 1: unknown column 'volume'"),
    "wrong row": ("pan.csv", "pan.csv: row 2: pan must be from -1 to 1, not 2.0"),
    "no file": ("gone-file.csv", "gone-file.csv: layer 'gone': no audio file at gone.wav"),
    "no sound": ("text.csv", "text.csv: layer 'columns': cannot read columns.csv as audio"),
    "long fade": ("fade.csv", "fade.csv: layer 'tone': fade_out is longer than its 0.5 s"),
    "past the end": ("599 s rain", "layer 'rain' ends at 604 s: a mix has up to 600 s"),
    "much": ("; ".join(["0-500 s rain"] * 8), "the layers have 4000 s in all, more than 3600"),
    "long prompt": ("0 s " + "rain " * 500, "use a shorter prompt"),
    "negative": ("negative.csv", "layer 'rain': few-step models"),
}


def refuse(words: str, *options: str) -> int:
    return cli.main(["layer", words, "--model", "woosh-tiny-fast", "-o", "scene.wav", *options])


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_input_is_refused_before_anything_is_made(
    case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words, message = REFUSALS[case]
    audio.write_audio("tone.wav", sound(1))
    Path("columns.csv").write_text("file,volume\na.wav,1\n")
    Path("pan.csv").write_text("file,pan\ntone.wav,2\n")
    Path("gone-file.csv").write_text("file\ngone.wav\n")
    Path("text.csv").write_text("file\ncolumns.csv\n")
    Path("fade.csv").write_text("file,fade_out\ntone.wav,0.6\n")
    Path("negative.csv").write_text("prompt,negative\nrain,music\n")
    before = contents(tmp_path)
    assert refuse(words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert contents(tmp_path) == before


def test_no_mix_is_written_over_what_is_not_its_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Path("scene-stems").mkdir()
    Path("scene-stems/03-mine.wav").write_text("mine")
    Path("taken-stems").write_text("mine")
    Path("full.json").mkdir()
    before = contents(tmp_path)
    for output, message in {
        "scene.wav": "scene-stems holds '03-mine.wav', which is no stem of this mix",
        "taken.wav": "taken-stems exists and is not a folder",
        "full.wav": "full.json exists and is not a file",
        "scene.mp9": "its extension must be one of",
        "gone/scene.wav": "cannot write to gone",
    }.items():
        assert refuse("0 s rain", "-o", output) == 2
        assert message in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_silent_layer_is_drawn_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With the next of its seeds, which the note, the stem and the list name, beside what the model chose."""
    with_threshold_between([1], [2, 10_001]).save_pretrained(tmp_path / "faint")
    words = "0 s rain; 0.2 s rain"
    assert layer(words, "--seconds", 0.5, "--seed", 1, model=tmp_path / "faint") == 0
    note = "note: layer 'rain': silence from seed 1, drawn again with seed 10001"
    assert note in capsys.readouterr().err
    layers = json.loads(Path("scene.json").read_text())["layers"]
    assert [one["seed"] for one in layers] == [10_001, 2]
    record = audio.read_metadata(layers[0]["stem"])
    assert (record["seed"], record["steps"], record["seconds"]) == (10_001, 3, 0.5)
