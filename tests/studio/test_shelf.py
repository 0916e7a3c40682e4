"""The shelf: every take in a folder that nobody can guess, old ones removed, all of them in one zip."""

import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.sounds import sound
from woosh import audio
from woosh.studio.shelf import Shelf

RATE = 48_000


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path, 60)


def test_a_take_is_kept_with_its_record(shelf: Shelf, tmp_path: Path) -> None:
    """Named after its words and seed, or after what it is called; the folder's name cannot be guessed."""
    kept = shelf.keep(sound(1), RATE, {"prompt": "Rain on tin", "seed": 7}, "rain, seed 7")
    assert kept.path.name == "rain-on-tin-7.wav" and (kept.prompt, kept.seed) == ("Rain on tin", 7)
    assert kept.path.parent.parent == tmp_path and len(kept.path.parent.name) >= 16
    assert audio.read_metadata(kept.path)["prompt"] == "Rain on tin"
    assert np.abs(audio.read_audio(kept.path) - sound(1)).max() < 2**-22
    brought = shelf.keep(sound(1), RATE, {}, "My tone")
    assert brought.path.name == "my-tone.wav" and (brought.prompt, brought.seed) == ("", None)
    assert brought.path.parent != kept.path.parent


def test_only_a_loop_says_that_it_is_one(shelf: Shelf) -> None:
    for loop in (False, True):
        kept = shelf.keep(sound(1), RATE, {"prompt": "x", "seed": 1}, "x", loop=loop)
        assert (b"smpl" in kept.path.read_bytes()) == loop


def test_what_is_old_goes_when_something_new_comes(shelf: Shelf) -> None:
    """A page that runs for days must not fill the disk; what is younger stays."""
    old, young = (shelf.keep(sound(seed), RATE, {}, "take") for seed in (1, 2))
    long_ago = time.time() - 61
    os.utime(old.path.parent, (long_ago, long_ago))
    shelf.place()
    assert not old.path.parent.exists() and young.path.is_file()


def test_all_takes_in_one_zip_keep_their_order_and_bytes(shelf: Shelf) -> None:
    """Takes of one name do not hide each other."""
    takes = [shelf.keep(sound(seed), RATE, {}, "take") for seed in (1, 2)]
    with zipfile.ZipFile(shelf.together(takes)) as archive:
        assert archive.namelist() == ["01-take.wav", "02-take.wav"]
        contents = [archive.read(name) for name in archive.namelist()]
    assert contents == [take.path.read_bytes() for take in takes]
