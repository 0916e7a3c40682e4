"""`woosh index`, `woosh search` and `woosh tag` from their arguments to files, the screen and refusals."""

import json
from pathlib import Path

import pytest

from tests.embeddings.test_embedders import toy_passt
from tests.sounds import write_sounds
from tests.toys import make_clap, randomise
from woosh import cli
from woosh.embeddings.clap import save_clap


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def aligner(tmp_path: Path) -> Path:
    folder = tmp_path / "toy-clap"
    save_clap(make_clap(), folder)
    (folder / "labels.txt").write_text("dog barking\nrain\nsea waves\n")
    return folder


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    write_sounds(tmp_path / "sounds" / "deep", range(2))
    return write_sounds(tmp_path / "sounds", range(2, 5))


def woosh(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def test_a_folder_is_indexed_and_searched_by_example_and_by_words(
    sounds: Path, aligner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sounds / "broken.wav").write_bytes(b"RIFF")
    assert woosh("index", "sounds", "--model", aligner, "--device", "cpu") == 0
    out, err = capsys.readouterr()
    assert out == (
        "sounds/.woosh-index  5 sounds: 5 heard, 0 known under another name, 0 unchanged, 0 removed\n"
    )
    assert err.startswith("woosh: warning: not heard: broken.wav: cannot read")
    assert woosh("index", "sounds", "--model", aligner) == 0
    assert "5 sounds: 0 heard, 0 known under another name, 6 unchanged" in capsys.readouterr().out
    like = sounds / "deep" / "clip-1.wav"
    assert woosh("search", "--like", like, "--index", "sounds", "-k", 3) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0] == f"1.000     0.50 s  {like}"
    assert (
        woosh("search", "a dog barking", "--index", "sounds/.woosh-index", "--export", "out") == 0
    )
    lines = capsys.readouterr().out.splitlines()
    names = [f"{rank}-{Path(line).name}" for rank, line in enumerate(lines, start=1)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    first = Path(lines[0].split(" s  ")[1])
    assert (tmp_path / "out" / names[0]).read_bytes() == first.read_bytes()


def test_an_export_overwrites_nothing_and_tells_what_is_missing(
    sounds: Path, aligner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert woosh("index", sounds, "-o", "i", "--model", aligner) == 0
    like = sounds / "clip-2.wav"
    for _ in range(2):
        assert woosh("search", "--like", like, "--index", "i", "-k", 1, "--export", "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "1-clip-2-2.wav",
        "1-clip-2.wav",
    ]
    like = like.rename(tmp_path / "moved.wav")
    capsys.readouterr()
    assert woosh("search", "--like", like, "--index", "i", "-k", 1, "--export", "out") == 0
    assert "no longer there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("index", "missing"), "no folder missing"),
        (("index", "toy-clap"), "holds no audio file"),
        (("index", "sounds", "-o", "sounds/clip-2.wav"), "is not a folder"),
        (("index", "sounds", "-o", "missing/i"), "no such folder"),
        (("index", "sounds", "--model", "unknown"), "unknown aligner 'unknown'"),
        (("search", "dog", "--index", "sounds"), "no index in sounds"),
        (("search", "--index", "i"), "either a text or --like"),
        (("search", "dog", "--like", "sounds/clip-2.wav", "--index", "i"), "either a text or"),
        (("search", " ", "--index", "i"), "the text is empty"),
        (("search", "--like", "missing.wav", "--index", "i"), "no audio file at missing.wav"),
        (("search", "--like", "toy-clap/labels.txt", "--index", "i"), "cannot read"),
        (("search", "dog", "--index", "i", "-k", "0"), "from 1 to"),
        (("search", "dog", "--index", "i", "--export", "sounds/clip-2.wav"), "not a folder"),
        (("search", "dog", "--index", "i", "--export", "missing/out"), "no such folder"),
        (("tag", "missing.wav"), "no file missing.wav"),
        (("tag", "sounds/clip-2.wav", "--labels", "missing.txt"), "no file missing.txt"),
        (("tag", "sounds/clip-2.wav", "--model", "unknown"), "unknown aligner"),
        (("tag", "sounds/clip-2.wav", "--model", "passt:s10"), "needs its weights"),
    ],
)
def test_refusals(
    arguments: tuple[str, ...],
    message: str,
    sounds: Path,
    aligner: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert woosh("index", sounds, "-o", "i", "--model", aligner) == 0
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    model = ("--model", aligner) if arguments[0] == "index" and "--model" not in arguments else ()
    assert woosh(*arguments, *model) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err and err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_an_index_of_other_weights_is_refused(
    sounds: Path, aligner: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert woosh("index", sounds, "--model", aligner) == 0
    clap = make_clap()
    randomise(clap.audio_encoder, 99)
    save_clap(clap, aligner)
    capsys.readouterr()
    assert woosh("search", "dog", "--index", sounds) == 2
    assert "other weights" in capsys.readouterr().err
    assert woosh("index", sounds, "--model", aligner) == 2
    assert "another weights" in capsys.readouterr().err


def test_an_embedder_without_words_searches_by_example_only(
    sounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert woosh("index", sounds, "--model", "log-mel") == 0
    assert woosh("search", "--like", sounds / "clip-3.wav", "--index", sounds, "-k", 1) == 0
    assert capsys.readouterr().out.endswith("clip-3.wav\n")
    assert woosh("search", "dog", "--index", sounds) == 2
    assert "knows no text" in capsys.readouterr().err


def test_tags(
    sounds: Path, aligner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [sounds / "clip-2.wav", sounds / "clip-3.wav"]
    assert woosh("tag", *files, "--model", aligner, "-k", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [str(file) for file in files]
    labels = {line.strip().split("  ")[1] for line in lines if line.startswith(" ")}
    assert len(lines) == 6 and labels <= {"dog barking", "rain", "sea waves"}
    passt = randomise(toy_passt(), 1)
    passt.save_pretrained(tmp_path / "passt")
    names = {f"class {number}": number for number in range(passt.config.classes)}
    (tmp_path / "names.json").write_text(json.dumps(names))
    options = ("--model", "passt:passt", "--labels", "names.json", "-k", 3)
    assert woosh("tag", files[0], *options) == 0
    scores = [float(line.split()[0]) for line in capsys.readouterr().out.splitlines()[1:]]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_a_file_that_cannot_be_tagged_does_not_stop_the_others(
    sounds: Path, aligner: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sounds / "broken.wav").write_bytes(b"RIFF")
    files = (sounds / "broken.wav", sounds / "clip-2.wav")
    assert woosh("tag", *files, "--model", aligner, "-k", 1) == 2
    out, err = capsys.readouterr()
    assert out.startswith(str(files[1]))
    assert err.startswith("woosh: error: cannot read") and err.count("\n") == 1
