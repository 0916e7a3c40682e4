"""`woosh verify`: what a file says of itself, and that a change is told."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.sounds import sine
from woosh import audio, cli
from woosh.studio import provenance

RECORD = {"prompt": "a wooden door creaks", "model": "woosh-tiny", "seed": 7, "catid": "DOORWood"}


def verify(*arguments: object) -> int:
    return cli.main(["verify", *map(str, arguments)])


@pytest.mark.parametrize("name", audio.FORMATS)
def test_a_files_words_are_told_and_its_samples_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / f"a.{name}"
    marks = audio.Marks((0, 24_000), (audio.Point(10, "hit"),))
    audio.write_audio(path, sine(), 48_000, RECORD, marks=marks)
    assert verify(path) == 0
    text = capsys.readouterr().out
    assert "record  prompt: a wooden door creaks" in text
    assert "samples  unchanged since Woosh wrote them" in text
    assert "credentials  none" in text
    if name == "wav":
        assert "ixml  catId: DOORWood" in text
        assert "bext  momentary: " in text
        assert "loop  from sample 0 to 24000" in text
        assert "moment  10: hit" in text
    content = bytearray(path.read_bytes())
    content[-500] ^= 1
    path.write_bytes(content)
    if name == "opus":  # whose only page is then no page
        assert verify(path) == 2
        assert f"cannot read {path} as audio" in capsys.readouterr().err
        return
    assert verify(path, "--json") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["samples"] == "changed"
    assert err == f"woosh: error: changed since it was written: {path}\n"


def test_signed_files_and_broken_signatures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names and tags may change under the checksum, but not under a signature."""
    path = tmp_path / "a.wav"
    audio.write_audio(path, sine(), 48_000, RECORD)
    provenance.sign(path, RECORD, provenance.make_credentials())
    assert verify(path) == 0
    text = capsys.readouterr().out
    assert "credentials  intact, signed by 'Self-made" in text
    assert "who is on no list of trusted signers" in text
    content = path.read_bytes()
    path.write_bytes(content.replace(b"wooden door", b"golden door"))
    assert verify(path) == 1
    text = capsys.readouterr().out
    assert "samples  unchanged" in text
    assert "credentials  BROKEN: the file was changed since it was signed" in text


def test_a_recording_says_nothing_and_that_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 48_000)
    assert verify(tmp_path / "a.wav") == 0
    assert "samples  nothing says what they were" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no audio file at"),
        (b"", "is no WAV, FLAC, Ogg or MP3 file"),
        (b"text", "is no WAV, FLAC, Ogg or MP3 file"),
        (b"RIFF0000WAVE" + b"junk\0\0\0\0" * 1001, "more than 1000 chunks"),
        (b"RIFF0000WAVEiXML\xff\xff\xff\xff<a>", "chunk 'iXML' has more than 1048576 bytes"),
        (b"RIFF0000WAVEbext\x04\0\0\0text", "chunk 'bext' is too short"),
        (b"RIFF0000WAVEcue \x04\0\0\0\xff\xff\xff\xff", "chunk 'cue ' is too short"),
        (b"RIFF0000WAVEsmpl\x04\0\0\0text", "chunk 'smpl' is too short"),
    ],
)
def test_files_that_cannot_be_read_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str
) -> None:
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    assert verify(path) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("woosh: error: ")
    assert str(path) in err
    assert message in err
    assert err.count("\n") == 1
