"""`woosh edit`, `extend` and `loop` as a user runs them: files, what they say of themselves, refusals in one line."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sounds import sound
from tests.toys import make_pipeline, quieten, with_threshold_between
from woosh import audio, cli, procedural
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.studio.loop import make_loop

RATE = 48_000
FAST = ("--model", "woosh-tiny-fast", "--seed", "5")


@pytest.fixture(scope="module")
def faint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy model that makes silence of everything."""
    folder = tmp_path_factory.mktemp("models") / "faint"
    quieten(make_pipeline(max_frames=100), 80).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rain = procedural.generate(3, "rain").audio[None, : 3 * RATE]
    audio.write_audio("rain.wav", rain, RATE, {"prompt": "rain", "model": "m", "seed": 1})


def woosh(*words: Any) -> int:
    return cli.main([str(word) for word in words])


def test_a_part_is_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    """The rest keeps its bits, and the record what was done."""
    parts = ("--from", 0.5, "--to", 0.8, "--from", 1.2, "--to", 1.5)
    assert woosh("edit", "rain.wav", "thunder", *parts, *FAST) == 0
    told = capsys.readouterr()
    assert re.match(r"rain-edited\.wav  3\.00 s  -\d+\.\d LUFS  seed 5\n", told.out)
    assert "note: woosh-tiny-fast makes a part in a few steps and hardly follows" in told.err
    old, new = (audio.read_audio(name) for name in ("rain.wav", "rain-edited.wav"))
    rest = slice(round(0.9 * RATE), round(1.1 * RATE))
    assert np.array_equal(new[:, rest], old[:, rest]) and not np.array_equal(new, old)
    record = audio.read_metadata("rain-edited.wav")
    assert (record["prompt"], record["seed"], record["operations"]) == ("thunder", 5, "edit")
    assert (record["edited"], record["parts"]) == ("rain.wav", "0.5-0.8 1.2-1.5")


def test_takes_of_a_longer_sound_in_another_format() -> None:
    words = ("rain.wav", "--seconds", 3.5, "-n", 2, "--format", "flac", "-o", "long/")
    assert woosh("extend", *words, *FAST) == 0
    takes = sorted(Path("long").iterdir())
    assert [take.name for take in takes] == ["rain-extended-1.flac", "rain-extended-2.flac"]
    sounds = [audio.read_audio(take) for take in takes]
    assert {one.shape for one in sounds} == {(1, round(3.5 * RATE))}
    assert not np.array_equal(*sounds)
    record = audio.read_metadata(takes[1])
    assert (record["prompt"], record["seed"], record["operations"]) == ("rain", 6, "extend")


def test_loops_from_words_and_of_a_sound(capsys: pytest.CaptureFixture[str]) -> None:
    """Both say where they repeat; the one from words is as loud as generated sounds are."""
    assert woosh("loop", "wind", "--seconds", 1.1, "-o", "wind.wav", *FAST) == 0
    out = capsys.readouterr().out
    assert "wind.wav  1.10 s  -23.0 LUFS  seed 5" in out
    assert "seam (circle) is not heard" in out
    assert woosh("loop", "rain.wav", "--seconds", 1.5, "-o", "out.wav", *FAST) == 0
    assert "seam (crossfade) is not heard" in capsys.readouterr().out
    for name, samples in {"wind.wav": round(1.1 * RATE), "out.wav": round(1.5 * RATE)}.items():
        assert audio.read_audio(name).shape == (1, samples)
        wave = Path(name).read_bytes()
        place = wave.index(b"smpl") + 8
        start, end = np.frombuffer(wave[place + 44 : place + 52], "<u4")
        assert (start, end) == (0, samples - 1)
        assert str(audio.read_metadata(name)["operations"]).endswith("loop")


def test_every_result_says_how_it_was_made() -> None:
    """What was not asked for, too: steps, guidance, length and licence are the model's own."""
    asked = {
        "edited.wav": ("edit", "rain.wav", "thunder", "--from", 1, "--to", 1.3),
        "longer.wav": ("extend", "rain.wav", "--seconds", 3.2),
        "wind.wav": ("loop", "wind", "--seconds", 0.6),
        "cousin.wav": ("vary", "rain.wav"),
    }
    for name, words in asked.items():
        assert woosh(*words, "-o", name, *FAST) == 0
        record = audio.read_metadata(name)
        assert (record["model"], record["seed"]) == ("woosh-tiny-fast", 5)
        assert (record["steps"], record["guidance"]) == (4, 6.0)
        assert record["weights_licence"] == "cc-by-4.0" and record["version"]
    lengths = {name: audio.read_metadata(name)["seconds"] for name in asked}
    assert lengths == {"edited.wav": 3, "longer.wav": 3.2, "wind.wav": 0.6, "cousin.wav": 3}


def test_a_loop_that_no_model_touched_is_not_called_generated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The ends of a recording faded into each other are still that recording, and nothing signs that it is another."""
    audio.write_audio("own.wav", audio.read_audio("rain.wav"), RATE)
    assert woosh("loop", "own.wav", "--seconds", 1.5, "-o", "out.wav", *FAST) == 0
    record = audio.read_metadata("out.wav")
    assert record == {"looped": "own.wav", "loop": "crossfade", "operations": "loop"}
    pytest.importorskip("c2pa", reason="the provenance extra is not installed")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    assert woosh("loop", "own.wav", "--seconds", 1.5, "-o", "no.wav", "--sign", *FAST) == 2
    assert "none made own.wav or its seam" in capsys.readouterr().err
    assert not Path("no.wav").exists()


def test_loops_and_variations_have_width_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """Two channels whose mean is the mono sound; two channels that are there already are not widened."""
    for words in (("loop", "wind", "--seconds", 0.6), ("vary", "rain.wav")):
        assert woosh(*words, "--loudness", -30, "-o", "mono.wav", *FAST) == 0
        assert woosh(*words, "--loudness", -30, "--stereo", "-o", "wide.wav", *FAST) == 0
        (mono,), wide = (audio.read_audio(f"{name}.wav", mono=False) for name in ("mono", "wide"))
        assert wide.shape == (2, len(mono))
        assert np.corrcoef(mono, wide.mean(axis=0))[0, 1] > 0.9999
        assert np.corrcoef(*wide)[0, 1] == pytest.approx(0.5, abs=0.1)
    capsys.readouterr()
    assert woosh("loop", "wide.wav", "--stereo", *FAST) == 2
    assert "wide.wav has 2 channels already" in capsys.readouterr().err


SILENT = {
    "loop": (("loop", "rain", "--seconds", 0.5, "-n", 2), "'rain' gave silence"),
    "edit": (("edit", "rain.wav", "thunder", "--from", 1, "--to", 1.4), "'thunder' gave silence"),
    "extend": (("extend", "rain.wav", "--seconds", 3.5), "'rain' gave silence"),
    "vary": (("vary", "rain.wav", "--similarity", 0.5), "'rain' gave silence"),
    "morph": (
        ("morph", "rain.wav", "rain.wav", "--steps", 3),
        "a sound without words gave silence",
    ),
}


@pytest.mark.parametrize("verb", SILENT)
def test_silence_is_never_success(
    verb: str, capsys: pytest.CaptureFixture[str], faint: Path
) -> None:
    """A model that makes nothing else: three seeds more, then an error in one line, whichever command draws."""
    words, message = SILENT[verb]
    assert woosh(*words, "--model", faint, "--seed", 5, "-o", "out/") == 1
    error = capsys.readouterr().err
    assert f"woosh: error: {message} with the seeds 5, 10005, 20005, 30005" in error
    assert error.count("\n") == 1
    if verb == "loop":
        assert "; 'rain' gave silence with the seeds 6, 10006, 20006, 30006: take other" in error
    assert verb == "morph" or not any(Path().glob("out/*"))


def test_a_silent_loop_is_drawn_again_with_a_seed_that_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In a line, in the file, and in a folder of assets."""

    def looped(sampler: Sampler, request: Request) -> np.ndarray:
        return make_loop(sampler, request).audio

    model = tmp_path / "toy"
    with_threshold_between([1], [10_001], looped).save_pretrained(model)
    words = ("--seconds", 0.5, "--model", model, "--seed", 1, "-o", "a.wav")
    assert woosh("loop", "rain", *words) == 0
    told = capsys.readouterr()
    assert told.err == "woosh: note: 'rain': silence from seed 1, drawn again with seed 10001\n"
    assert "LUFS  seed 10001\n" in told.out and audio.read_metadata("a.wav")["seed"] == 10_001
    Path("sheet.csv").write_text("name,prompt,seconds,seed,loop\nrain,rain,0.5,1,yes\n")
    assert woosh("batch", "sheet.csv", "--model", model, "-o", "assets") == 0
    assert "seed 10001" in capsys.readouterr().out
    assert np.array_equal(audio.read_audio("a.wav"), audio.read_audio("assets/rain.wav"))


REFUSALS = {
    "no part": (("edit", "rain.wav", "x"), "say which part"),
    "half a part": (("edit", "rain.wav", "x", "--from", 1), "1 --from and 0 --to"),
    "outside": (("edit", "rain.wav", "x", "--from", 1, "--to", 9), "no region from 1 to 9 s"),
    "backwards": (("edit", "rain.wav", "x", "--from", 1, "--to", 0.5), "no region from 1 to 0.5"),
    "strength": (("edit", "rain.wav", "x", "--strength", 2), "must be a number between 0 and 1"),
    "no file": (("edit", "gone.wav", "x", "--strength", 1), "no audio file at gone.wav"),
    "no sound": (("edit", "words.wav", "x", "--strength", 1), "as audio"),
    "shorter": (("extend", "rain.wav", "--seconds", 1), "ask for more"),
    "too long": (("extend", "rain.wav", "--seconds", 601), "up to 600 s"),
    "short loop": (("loop", "rain", "--seconds", 0.1), "at least 0.5"),
    "loop too long": (("loop", "rain.wav", "--seconds", 4), "gives no loop of 4 s"),
    "loops of one": (("loop", "rain.wav", "-n", 2), "a sound gives one loop"),
    "no model": (("loop", "rain", "--model", "gone"), "gone"),
    "loudness": (("loop", "rain", "--loudness", 3), "must be a number between -70 and 0"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_input_is_refused_in_one_line(
    case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words, message = REFUSALS[case]
    Path("words.wav").write_text("no sound at all")
    before = sorted(tmp_path.iterdir())
    try:
        code = woosh(*words)
    except SystemExit as end:
        code = end.code
    err = capsys.readouterr().err
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert sorted(tmp_path.iterdir()) == before


def test_two_channels_stay_two() -> None:
    both = np.concatenate([sound(1, 0.3), sound(2, 0.3)])
    audio.write_audio("both.wav", np.tile(both, 3), RATE)
    end = 3 * both.shape[1] / RATE
    assert woosh("edit", "both.wav", "x", "--from", 0.2, "--to", end - 0.2, *FAST) == 0
    assert audio.read_audio("both-edited.wav", mono=False).shape == (2, 3 * both.shape[1])
