"""Names of files that are not text in UTF-8, as old discs and archives have them: they end no batch, and are printed escaped."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from tests.sounds import write_sounds
from tests.toys import make_clap, save_pipeline, save_seeing_pipeline
from tests.videos import steady_times, write_video
from woosh import cli
from woosh.embeddings.clap import save_clap

FOREIGN, SHOWN = "caf\udce9", r"caf\udce9"


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sounds and a film, one of each named by bytes that are no text, and models."""
    folder = tmp_path_factory.mktemp("given")
    write_sounds(folder / "lib", range(2))
    try:
        (folder / "lib" / "clip-0.wav").rename(folder / "lib" / f"{FOREIGN}.wav")
    except OSError:
        pytest.skip("this file system takes no such names")
    film = write_video(folder / "film.mp4", steady_times(Fraction(25), 0.4))
    film.rename(folder / f"{FOREIGN}.mp4")
    save_pipeline(folder / "model")
    save_seeing_pipeline(folder / "seeing")
    save_clap(make_clap(), folder / "aligner")
    (folder / "aligner" / "labels.txt").write_text("dog\nrain\n")
    return folder


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


SOUND, FILM = f"lib/{FOREIGN}.wav", f"{FOREIGN}.mp4"
INDEX = ("index", "lib", "-o", "index", "--model", "aligner")
CASES = {  # what is run, exit code, and a part of what is said
    "generate": (
        ("generate", "rain", "--seconds", "0.1", "--quiet", "--model", "model", "-o", FOREIGN + ".wav"),
        0,
        f"{SHOWN}.wav  0.10 s",
    ),
    "into a folder": (
        ("generate", "rain", "-n", "2", "--seconds", "0.1", "--quiet", "--model", "model")
        + ("-o", FOREIGN + "/"),
        0,
        f"{SHOWN}/rain-2.wav  0.10 s",
    ),
    "dub": (("dub", FILM, "--model", "seeing"), 2, "has a name that is not text in UTF-8"),
    "index": (INDEX, 0, "1 sounds: 1 heard"),
    "an index": (("index", "lib", "-o", FOREIGN, "--model", "aligner"), 2, "has a name that is not"),
    "tag": (("tag", SOUND, "lib/clip-1.wav", "--model", "aligner"), 2, "lib/clip-1.wav\n"),
    "data prepare": (("data", "prepare", "lib", FOREIGN), 0, "1 samples"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_name_that_is_no_text(
    name: str, given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever cannot be done with such a file, the others are done."""
    words, code, said = CASES[name]
    places = ("lib", "model", "seeing", "aligner", FILM, SOUND, "lib/clip-1.wav")
    arguments = [str(given / word) if word in places else word for word in words]
    assert cli.main(arguments) == code
    out, err = capsys.readouterr()
    assert said in out + err and SHOWN in out + err and FOREIGN not in out + err
    assert err.count("\n") <= 1
    if name == "data prepare":
        report = json.loads((tmp_path / FOREIGN / "report.json").read_text())
        reason = "cannot be read: its name is not text in UTF-8, so rename it"
        assert report["rejected"] == {f"{SHOWN}.wav": reason}


def test_a_foreign_example_is_refused_by_name(
    given: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """libsndfile's wrapper said which byte cannot be encoded, and not of which file."""
    index = [str(given / word) if word in ("lib", "aligner") else word for word in INDEX]
    assert cli.main(index) == 0
    search = ["search", "--like", str(given / SOUND), "--index", "index"]
    assert cli.main([*search, "--model", str(given / "aligner")]) == 2
    assert f"{SHOWN}.wav has a name that is not text in UTF-8" in capsys.readouterr().err
