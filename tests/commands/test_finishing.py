"""What `woosh generate` finishes, draws again, and says of it."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from tests.toys import save_pipeline, with_threshold_between
from woosh import audio, cli
from woosh.cli import build_parser
from woosh.commands.finishing import finishing_of


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("models") / "toy", max_frames=100)


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def generate(model: Path, *arguments: object) -> int:
    words = ("generate", *arguments, "--model", model, "--device", "cpu", "--quiet")
    return cli.main([str(word) for word in words])


def read(path: str) -> np.ndarray:
    return audio.read_audio(path, mono=False)


def test_a_sound_is_finished_unless_it_is_wanted_raw(model: Path) -> None:
    """Raw samples are the model's, and their loudness is told but not in the record, which says how it was made."""
    options = ("rain", "--seconds", 0.5, "--seed", 3)
    assert generate(model, *options, "-o", "a.wav") == 0
    assert generate(model, *options, "-o", "raw.wav", "--raw") == 0
    raw, finished = read("raw.wav"), read("a.wav")
    expected = audio.finish(raw)
    assert finished == pytest.approx(expected.audio, abs=1e-5)
    assert audio.momentary_loudness(finished) == pytest.approx(-23, abs=0.1)
    record = audio.read_metadata("a.wav")
    assert record["loudness_measure"] == "momentary" and record["loudness"] == -23
    assert record["true_peak"] == round(expected.true_peak, 1)
    assert "loudness" not in audio.read_metadata("raw.wav")


@pytest.mark.parametrize(
    ("options", "target"), [(("--loudness", -30), -30), (("--loudness", "off"), None)]
)
def test_loudness_is_chosen_or_left(
    model: Path, options: tuple[object, ...], target: float | None
) -> None:
    asked = ("rain", "--seconds", 0.5, "--seed", 3)
    assert generate(model, *asked, "-o", "a.wav", *options) == 0
    assert generate(model, *asked, "-o", "raw.wav", "--raw") == 0
    wanted = audio.momentary_loudness(read("raw.wav")) if target is None else target
    assert audio.momentary_loudness(read("a.wav")) == pytest.approx(wanted, abs=0.2)


def test_options_become_settings_and_0_is_a_value() -> None:
    options = ["--threshold", "-40", "--lead-in", "0", "--tail", "0", "--loudness", "0"]
    arguments = build_parser().parse_args(["generate", "rain", *options])
    finishing = finishing_of(arguments, 4_800, 0.8)
    trim = audio.Trim(threshold=-40, lead_in=0, tail=0)
    assert finishing.settings == audio.FinishSettings(
        trim=trim, loudness=0, true_peak=20 * math.log10(0.8)
    )
    arguments = build_parser().parse_args(["generate", "rain"])
    assert finishing_of(arguments, 4_800, 1.0).settings == audio.FinishSettings()
    arguments = build_parser().parse_args(["dub", "a.mp4", "--loudness", "off"])
    settings = audio.FinishSettings(trim=None, loudness=None)
    assert finishing_of(arguments, None, 0.9).settings == settings


@pytest.mark.parametrize("seconds", [0.1, 0.33333, 1.0])
def test_a_kept_length_is_exact(model: Path, seconds: float) -> None:
    options = ("rain", "--seconds", seconds, "--seed", 3, "-o", "a.wav", "--keep-length")
    assert generate(model, *options, "--threshold", -6, "--lead-in", 0, "--tail", 0) == 0
    assert read("a.wav").shape == (1, round(seconds * 48_000))


def test_stereo_folds_down_to_the_mono_sound(model: Path) -> None:
    options = ("rain", "--seconds", 0.5, "--seed", 3)
    assert generate(model, *options, "-o", "mono.wav") == 0
    assert generate(model, *options, "-o", "stereo.wav", "--stereo") == 0
    mono, wide = read("mono.wav"), read("stereo.wav")
    assert wide.shape == (2, mono.shape[1])
    folded, middle = wide.mean(axis=0)[960:-960], mono[0, 960:-960]
    gain = (folded @ middle) / (middle @ middle)
    assert folded == pytest.approx(gain * middle, abs=1e-3 * float(np.abs(middle).max()))
    assert audio.momentary_loudness(wide) == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize("option", [("--loudness", -20), ("--keep-length",), ("--tail", 5)])
def test_raw_and_finishing_contradict_each_other(
    model: Path, option: tuple[object, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(model, "rain", "--raw", *option) == 2
    message = f"woosh: error: --raw leaves a sound as the model makes it: leave out {option[0]}\n"
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--loudness", "loud"), "--loudness: must be a number between -70 and 0, not 'loud'"),
        (("--threshold", -3), "--threshold: must be a number between -120 and -6"),
        (("--lead-in", -1), "--lead-in: must be a number between 0 and 10000"),
        (("--tail", "nan"), "--tail: must be a number between 0 and 10000"),
    ],
)
def test_wrong_values_are_refused(
    model: Path, option: tuple[object, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(model, "rain", *option) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_silence_is_drawn_again_with_a_seed_that_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The printed seed and the record's make the same file, and --resume knows it."""
    with_threshold_between([1], [2, 10_001]).save_pretrained(tmp_path / "faint")
    batch = ("rain", "--seconds", 0.5, "--seed", 1, "-n", 2, "-o", "out/")
    assert generate(tmp_path / "faint", *batch) == 0
    told = capsys.readouterr()
    assert re.findall(r"-23.0 LUFS  seed (\d+)", told.out) == ["10001", "2"]
    assert "'rain': silence from seed 1, drawn again with seed 10001\n" in told.err
    assert audio.read_metadata("out/rain-1.wav")["seed"] == 10_001
    assert generate(tmp_path / "faint", "rain", "--seconds", 0.5, "--seed", 10_001) == 0
    assert np.array_equal(read("rain.wav"), read("out/rain-1.wav"))
    capsys.readouterr()
    assert generate(tmp_path / "faint", *batch, "--resume") == 0
    assert capsys.readouterr().out.splitlines() == [
        "out/rain-1.wav  already made  seed 10001",
        "out/rain-2.wav  already made  seed 2",
    ]


def test_what_stays_silent_is_an_error_and_the_others_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = [7, 10_007, 20_007, 30_007]
    with_threshold_between(silent, [6]).save_pretrained(tmp_path / "faint")
    batch = ("rain", "--seconds", 0.5, "--seed", 6, "-n", 2, "-o", "out/")
    assert generate(tmp_path / "faint", *batch) == 1
    told = capsys.readouterr()
    assert "woosh: error: 'rain' gave silence with the seeds 7, 10007, 20007, 30007" in told.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rain-1.wav"]
