"""What users get wrong about files and folders that a command reads: each is one line, and exit code 2."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.sounds import write_sounds
from tests.toys import make_clap
from woosh import cli
from woosh.embeddings.clap import save_clap

ROW = {"file": "sounds/clip-1.wav", "captions": ["a door"], "seconds": 0.5}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with sounds, and with what goes wrong."""
    folder = tmp_path_factory.mktemp("place")
    write_sounds(folder / "sounds", range(1, 3))
    for name in ("empty", "texts", "noise", "index"):
        (folder / name).mkdir()
    (folder / "texts" / "read.txt").write_text("me")
    (folder / "noise" / "a.wav").write_text("no sound")
    for name, row in {
        "gone": ROW | {"file": "gone.wav"},
        "nameless": {name: value for name, value in ROW.items() if name != "file"},
        "wordless": {name: value for name, value in ROW.items() if name != "captions"},
        "timeless": {name: value for name, value in ROW.items() if name != "seconds"},
        "numbers": ROW | {"captions": [1, 2]},
    }.items():
        (folder / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    (folder / "broken.jsonl").write_text('{"file": \n')
    (folder / "list.jsonl").write_text("[1, 2]\n")
    (folder / "nothing.jsonl").write_text("\n")
    (folder / "latin.jsonl").write_bytes(b'{"file": "T\xfcr.wav"}')
    (folder / "latin.txt").write_bytes(b"T\xfcr\n")
    (folder / "words.txt").write_text("door\n")
    (folder / "nothing.txt").write_text("\n")
    (folder / "broken.json").write_text("{")
    (folder / "broken.npz").write_bytes(b"PK no archive")
    np.savez(folder / "nameless.npz", vectors=np.zeros((2, 3)))
    (folder / "index" / "index.json").write_text("{")
    save_clap(make_clap(), folder / "aligner")
    return folder


@pytest.fixture(autouse=True)
def _inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


PREPARE = ("data", "prepare")
COMPARE = ("evaluate", "generation", "--reference", "sounds", "--generated", "sounds")
INDEX = ("index", "-o", "made", "--model", "aligner")
TAG = ("tag", "sounds/clip-1.wav", "--model", "aligner", "--labels")
CASES = {
    "nowhere": ((*PREPARE, "nowhere", "out"), "neither a manifest nor a folder: nowhere; name"),
    "empty": ((*PREPARE, "empty", "out"), "empty holds no audio file (.aif"),
    "texts": ((*PREPARE, "texts", "out"), "texts holds no audio file"),
    "no sound": (
        (*PREPARE, "noise", "out"),
        "no sample could be made of 1 file: a.wav: cannot read",
    ),
    "gone": ((*PREPARE, "gone.jsonl", "out"), "of 1 file: gone.wav: cannot be read"),
    "nameless": ((*PREPARE, "nameless.jsonl", "out"), "line 1: `file` must be a path, not None"),
    "wordless": ((*PREPARE, "wordless.jsonl", "out"), "line 1: `captions` must be a list"),
    "timeless": ((*PREPARE, "timeless.jsonl", "out"), "line 1: `seconds` must be a length"),
    "numbers": ((*PREPARE, "numbers.jsonl", "out"), "line 1: `captions` must be a list"),
    "broken": ((*PREPARE, "broken.jsonl", "out"), "broken.jsonl, line 1: not JSON"),
    "list": ((*PREPARE, "list.jsonl", "out"), "line 1: a row must be an object, such as {"),
    "nothing": ((*PREPARE, "nothing.jsonl", "out"), "nothing.jsonl has no rows"),
    "latin": ((*PREPARE, "latin.jsonl", "out"), "latin.jsonl is not text in UTF-8"),
    "ear": ((*PREPARE, "sounds", "out", "--ear", "aligner"), "add --keep or --drop"),
    "ear, gone": (
        (*PREPARE, "sounds", "out", "--keep", "dog", "--ear", "tagger:nowhere.pt"),
        "nowhere.pt",
    ),
    "ear, no tagger": (
        (*PREPARE, "sounds", "out", "--keep", "door", "--ear", "woosh-tiny-clap"),
        "woosh-tiny-clap gives no probabilities of labels: name a tagger",
    ),
    "generated": ((*COMPARE, "--generated", "nowhere"), "no folder nowhere"),
    "generated, empty": ((*COMPARE, "--generated", "empty", "--embedding", "log-mel"), "holds no"),
    "generated, noise": (
        (*COMPARE, "--generated", "noise", "--embedding", "log-mel"),
        "cannot read noise/a.wav",
    ),
    "captions": ((*COMPARE, "--captions", "nowhere.jsonl"), "no captions at nowhere.jsonl"),
    "captions, broken": ((*COMPARE, "--captions", "broken.jsonl"), "line 1: not JSON"),
    "captions, list": ((*COMPARE, "--captions", "list.jsonl"), "list.jsonl, line 1"),
    "captions, nameless": ((*COMPARE, "--captions", "nameless.jsonl"), "nameless.jsonl, line 1"),
    "captions, latin": (
        (*COMPARE, "--captions", "latin.jsonl"),
        "latin.jsonl is not text in UTF-8",
    ),
    "captions, none": ((*COMPARE, "--captions", "nothing.jsonl"), "holds no captions"),
    "vectors": ((*COMPARE, "--embedding", "nowhere.npz"), "no embeddings at nowhere.npz"),
    "vectors, broken": ((*COMPARE, "--embedding", "broken.npz"), "broken.npz"),
    "vectors, nameless": ((*COMPARE, "--embedding", "nameless.npz"), "nameless.npz"),
    "judge": ((*COMPARE, "--embedding", "nobody"), "nobody"),
    "recordings": (("evaluate", "autoencoder", "--audio", "nowhere"), "no folder nowhere"),
    "recordings, empty": (("evaluate", "autoencoder", "--audio", "empty"), "empty holds no audio"),
    "recordings, noise": (
        ("evaluate", "autoencoder", "--audio", "noise"),
        "cannot read noise/a.wav",
    ),
    "videos": (
        ("evaluate", "synchrony", "--generated", "nowhere", "--reference", "sounds"),
        "no folder nowhere",
    ),
    "videos, none": (
        ("evaluate", "synchrony", "--generated", "sounds", "--reference", "sounds"),
        "sounds holds no video",
    ),
    "indexed": ((*INDEX, "nowhere"), "no folder nowhere"),
    "indexed, empty": ((*INDEX, "empty"), "empty holds no audio file"),
    "searched": (("search", "door", "--index", "sounds"), "no index in sounds: make one with"),
    "searched, broken": (("search", "door", "--index", "index"), "index"),
    "tagged": (("tag", "nowhere.wav"), "no file nowhere.wav"),
    "tagged, noise": (
        ("tag", "noise/a.wav", "--model", "aligner", "--labels", "words.txt"),
        "cannot read noise/a.wav",
    ),
    "tagged, noise, JSON": (
        ("tag", "noise/a.wav", "--json", "--timeline", *TAG[2:], "words.txt"),
        "cannot read noise/a.wav",
    ),
    "tagged, JSON": (("tag", "nowhere.wav", "--json"), "no file nowhere.wav"),
    "tagged, tagger": (
        ("tag", "sounds/clip-1.wav", "--model", "tagger:nowhere.pt", "--labels", "words.txt"),
        "nowhere.pt",
    ),
    "labels": ((*TAG, "nowhere.txt"), "no file nowhere.txt"),
    "labels, latin": ((*TAG, "latin.txt"), "latin.txt"),
    "labels, none": ((*TAG, "nothing.txt"), "nothing.txt"),
    "labels, broken": ((*TAG, "broken.json"), "broken.json"),
    "rebuilt": (("reconstruct", "nowhere.wav", "out.wav"), "nowhere.wav"),
    "rebuilt, noise": (("reconstruct", "noise/a.wav", "out.wav"), "cannot read noise/a.wav"),
    "converted": (("convert", "empty", "out"), "no config.yaml in empty"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_says_what_is_wrong(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message = CASES[case]
    written = {"out": str(tmp_path / "out")}
    assert cli.main([written.get(argument, argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("woosh: error: ") and message in lines[-1]
    assert not any("Traceback" in line for line in lines)


def test_an_index_leaves_out_what_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    """A library with a bad file in it is indexed without it, and the file is named."""
    assert cli.main((*INDEX, "noise")) == 0
    assert "noise/a.wav" in capsys.readouterr().err.replace("cannot read ", "")
