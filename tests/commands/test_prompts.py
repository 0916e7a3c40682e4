"""Prompts from files and from the standard input: each line is one, and no file's name is ever taken for a prompt."""

import io
import sys
from pathlib import Path

import pytest

from woosh import audio, cli
from woosh.commands.prompts import prompts_of
from woosh.outside_files import MOST_BYTES


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def say(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_lines_are_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends the lines, with or without a byte-order mark; a line that begins with @ or - is a prompt as it stands."""
    Path("p.txt").write_bytes(b"\xef\xbb\xbfa  dog\r\n\n@ the door\r-\n  rain ")
    say(monkeypatch, b"wind\nsea\n")
    assert prompts_of(["first", "@p.txt", "-", "last"]) == [
        *("first", "a dog", "@ the door", "-", "rain"),
        *("wind", "sea", "last"),
    ]


@pytest.mark.parametrize(
    ("word", "data", "message"),
    [
        ("@", b"", "@ must be followed by the name of a file"),
        ("@gone.txt", b"", "gone.txt is missing"),
        ("@.", b"", ". is missing, or is no file"),
        ("@empty.txt", b"", "empty.txt holds no prompt"),
        ("@latin.txt", b"", "latin.txt is not text in UTF-8"),
        ("@large.txt", b"", "large.txt has more than 16 MiB"),
        ("-", b"", "the standard input holds no prompt"),
        ("-", b" \r\n", "the standard input holds no prompt"),
        ("-", b"T\xfcr", "the standard input is not text in UTF-8"),
        ("-", b"a" * (MOST_BYTES + 1), "the standard input has more than 16 MiB"),
    ],
)
def test_refusals_name_the_source(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    word: str,
    data: bytes,
    message: str,
) -> None:
    Path("empty.txt").write_text("\n\n")
    Path("latin.txt").write_bytes(b"T\xfcr")
    Path("large.txt").write_bytes(b"a" * (MOST_BYTES + 1))
    say(monkeypatch, data)
    assert cli.main(["generate", "rain", word, "-o", "out/"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_generate_makes_a_sound_of_each_line() -> None:
    Path("p.txt").write_text("@rain\nwind\n")
    options = [
        "--model",
        "woosh-tiny-fast",
        "--seconds",
        "0.1",
        "--seed",
        "3",
        "--quiet",
        "-o",
        "out/",
    ]
    assert cli.main(["generate", "@p.txt", *options, "--device", "cpu"]) == 0
    assert [audio.read_metadata(path)["prompt"] for path in sorted(Path("out").iterdir())] == [
        "@rain",
        "wind",
    ]
