"""Ogg files are the same for the same sound, and still Ogg files."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.sounds import sound
from woosh.audio import read_audio, write_audio
from woosh.audio.ogg import CHECKSUM, page_checksum


def test_the_checksum_is_that_of_libogg(tmp_path: Path) -> None:
    """A page that libsndfile wrote by itself holds the checksum that is computed here."""
    path = tmp_path / "a.ogg"
    soundfile.write(path, sound(0)[0], 48_000, format="OGG", subtype="VORBIS")
    data = path.read_bytes()
    page = data[: data.index(b"OggS", 4)]
    stored = int.from_bytes(page[CHECKSUM : CHECKSUM + 4], "little")
    assert page_checksum(page[:CHECKSUM] + bytes(4) + page[CHECKSUM + 4 :]) == stored


@pytest.mark.parametrize("seconds", [0.01, 3.0])
def test_the_same_sound_gives_the_same_bytes(tmp_path: Path, seconds: float) -> None:
    """Two files of one sound are equal, those of two sounds belong to two streams; all of their samples are read."""
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_audio(tmp_path / f"{name}.ogg", 0.5 * sound(seed, seconds), metadata={"prompt": "é"})
    first, second, other = ((tmp_path / f"{name}.ogg").read_bytes() for name in "abc")
    assert first == second
    assert first[14:18] != other[14:18]
    wanted = 0.5 * sound(0, seconds)
    read = read_audio(tmp_path / "a.ogg")
    assert read.shape == wanted.shape
    assert np.sqrt(np.mean((read - wanted) ** 2)) < 0.3 * np.sqrt(np.mean(wanted**2))
