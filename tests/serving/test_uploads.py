"""Uploads: what they are is seen by their bytes, and no name of a client becomes a path."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from woosh.serving import uploads


@pytest.mark.parametrize(
    ("container", "subtype", "suffix"),
    [
        ("WAV", "PCM_16", ".wav"),
        ("RF64", "PCM_16", ".wav"),
        ("W64", "PCM_16", ".w64"),
        ("FLAC", "PCM_16", ".flac"),
        ("OGG", "VORBIS", ".ogg"),
        ("OGG", "OPUS", ".ogg"),
        ("MP3", "MPEG_LAYER_III", ".mp3"),
        ("AIFF", "PCM_16", ".aiff"),
        ("CAF", "PCM_16", ".caf"),
    ],
)
def test_sounds_are_known_by_their_bytes(container: str, subtype: str, suffix: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((4800, 1)), 48_000, subtype, format=container)
    head = file.getvalue()[: uploads.HEAD]
    assert uploads.suffix_of(head, video=False) == suffix
    with pytest.raises(ValueError, match="the upload is no video"):
        uploads.suffix_of(head, video=True)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov", ".avi"])
def test_videos_are_known_by_their_bytes(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"clip{suffix}"
    with av.open(path, "w") as file:
        stream = file.add_stream("libvpx" if suffix == ".webm" else "mpeg4", 10)
        stream.width, stream.height = 64, 64
        frame = av.VideoFrame(64, 64, "yuv420p")
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    head = path.read_bytes()[: uploads.HEAD]
    assert uploads.suffix_of(head, video=True) == suffix
    with pytest.raises(ValueError, match="the upload is no sound"):
        uploads.suffix_of(head, video=False)


@pytest.mark.parametrize(
    "head", [b"", b"R", b"#EXTM3U", b"<html>", b"\x7fELF", b"PK\x03\x04", b"MZ"]
)
def test_everything_else_is_refused(head: bytes) -> None:
    """Nothing reads a file that is none of what is known: not a playlist that names others either."""
    for video in (False, True):
        with pytest.raises(ValueError, match="that is known here"):
            uploads.suffix_of(head, video)


@pytest.mark.parametrize(
    "told",
    ["../../etc/passwd", "C:\\x\\..\\y.wav", "/", "", None, "a\x00b", "\x1b[31m", "con", "." * 300],
)
def test_no_name_becomes_a_path(told: str | None) -> None:
    name = uploads.name_of(told, ".wav")
    assert Path(name).name == name and name.isprintable() and len(name) < 100
    assert name.endswith(".wav") and len(Path(name).stem) > 0


def test_uploads_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", 10)
    checksum = uploads.keep(io.BytesIO(b"0123456789"), tmp_path / "a" / "x.wav")
    assert len(checksum) == 64 and (tmp_path / "a" / "x.wav").read_bytes() == b"0123456789"
    with pytest.raises(ValueError, match="more than"):
        uploads.keep(io.BytesIO(b"0123456789a"), tmp_path / "b" / "x.wav")
