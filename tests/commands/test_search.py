"""`woosh index`, `woosh search` and `woosh tag` from their arguments to files, the screen and refusals."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from usearch.index import Index

from tests.embeddings.test_embedders import toy_passt
from tests.sounds import write_sounds
from tests.toys import make_clap, randomise
from woosh import cli
from woosh.embeddings.clap import save_clap
from woosh.search.index import DATABASE, FOLDER_NAME, VECTORS
from woosh.search.vectors import new_index, write_vectors


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
    assert woosh("search", "--like", like, "--index", "sounds", "-k", 3, "--model", aligner) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0] == f"1.000     0.50 s  {like}"
    named = ("--index", "sounds/.woosh-index", "--model", aligner)
    assert woosh("search", "a dog barking", *named, "--export", "out") == 0
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
    options = ("--index", "i", "--model", aligner, "-k", 1, "--export", "out")
    for _ in range(2):
        assert woosh("search", "--like", like, *options) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "1-clip-2-2.wav",
        "1-clip-2.wav",
    ]
    like = like.rename(tmp_path / "moved.wav")
    capsys.readouterr()
    assert woosh("search", "--like", like, *options) == 0
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
    model = ("--model", aligner) if arguments[0] != "tag" and "--model" not in arguments else ()
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
    assert woosh("search", "dog", "--index", sounds, "--model", aligner) == 2
    assert "other weights" in capsys.readouterr().err
    assert woosh("index", sounds, "--model", aligner) == 2
    assert "another weights" in capsys.readouterr().err


def change(index: Path, *statements: str) -> None:
    """Write into the database of an index what its maker never would."""
    with closing(sqlite3.connect(index / DATABASE)) as database, database:
        for statement in statements:
            database.execute(statement)


@pytest.fixture
def index(sounds: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """An index of five sounds, beside them."""
    assert woosh("index", sounds, "--model", "log-mel") == 0
    capsys.readouterr()
    return sounds / FOLDER_NAME


def test_a_model_that_is_not_built_in_is_loaded_only_if_the_user_names_it(
    sounds: Path, aligner: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An index of someone else must not choose a folder to load, or a name of the hub to fetch."""
    assert woosh("index", sounds, "--model", aligner) == 0
    capsys.readouterr()
    for name in (str(aligner), "laion-clap", "someone/model", "../toy-clap", "tagger:x.pt"):
        change(sounds / FOLDER_NAME, f"UPDATE settings SET value = '{name}' WHERE name = 'model'")
        assert woosh("search", "dog", "--index", sounds) == 2
        out, err = capsys.readouterr()
        assert out == "" and f"made with '{name}', which is not built in" in err
    assert woosh("search", "dog", "--index", sounds, "--model", aligner, "-k", 1) == 0


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc/../x.wav",
        "../x.wav",
        "deep/../../x.wav",
        "notes.txt",
        "a\x1b[2Jb.wav",
        "a\nb.wav",
        "a" * 6000 + ".wav",
        "",
    ],
)
def test_an_index_that_names_what_lies_elsewhere_is_refused(
    path: str, index: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--export` would copy what the index of someone else names, and the terminal would obey it."""
    change(index, f"UPDATE sounds SET path = '{path}' WHERE path = 'clip-2.wav'")
    options = ("--index", sounds, "--export", tmp_path / "out")
    assert woosh("search", "--like", sounds / "clip-2.wav", *options) == 2
    out, err = capsys.readouterr()
    assert out == "" and "no sound below its folder: delete the index" in err
    assert err[:-1].isprintable() and len(err) < 1000
    assert not (tmp_path / "out").exists()


def test_vectors_with_numbers_that_no_database_has_are_refused(
    index: Path, sounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One changed byte of a vector's number makes it larger than any row's."""
    held = Index.restore(str(index / VECTORS))
    assert held is not None
    changed = new_index(held.ndim)
    changed.add(2**63 + 1, held.get(int(held.keys[0])))
    write_vectors(index / VECTORS, changed)
    assert woosh("search", "--like", sounds / "clip-2.wav", "--index", sounds) == 2
    assert "has vectors of unknown sounds: delete the index" in capsys.readouterr().err


@pytest.mark.usefixtures("index")
def test_only_regular_files_below_the_folder_are_copied(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A link out of the folder would copy any file, a device would fill the disk, a pipe would wait for ever."""
    like = (sounds / "clip-2.wav").rename(tmp_path / "like.wav")
    secret = tmp_path / "secret.wav"
    secret.write_text("secret")
    (sounds / "clip-2.wav").symlink_to(secret)
    (sounds / "clip-3.wav").unlink()
    (sounds / "clip-3.wav").symlink_to("/dev/zero")
    (sounds / "clip-4.wav").unlink()
    os.mkfifo(sounds / "clip-4.wav")
    (sounds / "deep" / "clip-0.wav").unlink()
    (sounds / "deep" / "clip-0.wav").symlink_to("clip-1.wav")
    options = ("--index", sounds, "-k", 5, "--export", tmp_path / "out")
    assert woosh("search", "--like", like, *options) == 0
    names = sorted(path.name[2:] for path in (tmp_path / "out").iterdir())
    assert names == ["clip-0.wav", "clip-1.wav"]
    err = capsys.readouterr().err
    assert err.count("a link leads out of") == 2 and err.count("no regular file") == 1


DAMAGE = {
    "no settings": ["DROP TABLE settings"],
    "no sounds": ["DROP TABLE sounds"],
    "another table of settings": ["DROP TABLE settings", "CREATE TABLE settings (a)"],
    "another table of sounds": ["DROP TABLE sounds", "CREATE TABLE sounds (id, path)"],
    "a setting less": ["DELETE FROM settings WHERE name = 'folder'"],
    "a width of words": ["UPDATE settings SET value = 'wide' WHERE name = 'width'"],
    "a width without end": ["UPDATE settings SET value = '99999999' WHERE name = 'width'"],
    "bytes for a text": ["UPDATE settings SET value = x'ff00' WHERE name = 'model'"],
    "no text in a text": ["UPDATE settings SET value = CAST(x'ff00' AS TEXT) WHERE name = 'model'"],
    "no format": ["UPDATE settings SET value = '' WHERE name = 'format'"],
    "an escape": ["UPDATE settings SET value = char(27) || '[2J' WHERE name = 'folder'"],
    "no length": ["UPDATE sounds SET seconds = NULL"],
    "a length without end": ["UPDATE sounds SET seconds = 9e999"],
    "a length of words": ["UPDATE sounds SET seconds = 'long'"],
    "bytes for a path": ["UPDATE sounds SET path = id || x'ff'"],
    "a number for a path": ["UPDATE sounds SET path = id"],
    "a view without end": [
        "DROP TABLE sounds",
        "CREATE VIEW sounds AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) "
        "SELECT id, 'a.wav' AS path, 1.0 AS seconds, x'00' AS embedding FROM n",
    ],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_index_is_one_line(
    damage: str, index: Path, sounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tables of an index from elsewhere hold anything, which was a traceback, or an answer without end."""
    change(index, *DAMAGE[damage])
    assert woosh("search", "--like", sounds / "clip-2.wav", "--index", sounds) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err[:-1].isprintable()
    assert "woosh-index" in err and "delete" in err


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sounds SET embedding = x'00'",
        "UPDATE sounds SET embedding = 'text'",
        "UPDATE sounds SET id = -id",
        "CREATE TRIGGER t AFTER DELETE ON sounds BEGIN DELETE FROM settings; END",
    ],
)
def test_a_damaged_index_is_not_brought_up_to_date(
    statement: str, index: Path, sounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be vectors is told before it is made into some."""
    change(index, statement)
    assert woosh("index", sounds, "--model", "log-mel") == 2
    err = capsys.readouterr().err
    assert DATABASE in err and "delete" in err and err.count("\n") == 1


@pytest.mark.parametrize("name", [DATABASE, VECTORS])
@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_files_of_an_index_that_hold_something_else(
    name: str, content: bytes, index: Path, sounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cut or foreign file beside a good one is one line."""
    (index / name).write_bytes(content)
    assert woosh("search", "--like", sounds / "clip-2.wav", "--index", sounds) == 2
    err = capsys.readouterr().err
    assert "woosh-index" in err and err.count("\n") == 1


def test_names_from_folders_are_printed_without_their_escapes(
    sounds: Path, aligner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file's name and a label may hold what a terminal would obey."""
    (aligner / "labels.txt").write_text("dog\x1b]0;owned\x07\nrain\n")
    name = "\x1b[2Jdog.wav"
    (sounds / "clip-2.wav").rename(tmp_path / name)
    assert woosh("tag", name, "--model", aligner) == 0
    out, _ = capsys.readouterr()
    assert "\x1b" not in out and "\\x1b[2Jdog.wav" in out and "dog\\x1b]0;owned\\x07" in out
    assert woosh("tag", "\x1b[2J") == 2
    assert "\x1b" not in capsys.readouterr().err
    for folder in ("\x1b[2J", "plain"):
        (sounds / folder).mkdir()
        (sounds / folder / "\x1b[2J.wav").write_text("no sound")
        (sounds / folder / "plain.wav").write_text("no sound")
    assert woosh("index", sounds, "--model", "log-mel") == 0
    assert woosh("data", "prepare", sounds, tmp_path / "shards") == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err and err.count("\\x1b") >= 4


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
