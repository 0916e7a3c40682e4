"""A film that comes slowly is refused, whatever makes it slow, and a user who takes his time is not."""

import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from tests.videos import steady_times, write_video
from woosh.video import open_video, patience
from woosh.video.muxing import Soundtrack, write_soundtrack
from woosh.video.patience import in_time
from woosh.video.pictures import read_with_decord, read_with_pyav


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    times = steady_times(Fraction(25), 1)
    return write_video(tmp_path_factory.mktemp("film") / "a.mp4", times, size=(640, 480))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes any time at all takes too long."""
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(patience, "SLOWEST", 0.0)


def slowly(seconds: float, stamps: Iterator[float]) -> Iterator[tuple[float, str]]:
    for stamp in stamps:
        time.sleep(seconds)
        yield stamp, f"part {stamp:g}"


def test_a_film_without_an_end_that_comes_in_drops_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each part comes soon enough; all of them never end."""
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.1)
    begun = time.monotonic()
    with pytest.raises(ValueError, match="a.mp4 takes too long: 0 s for 0 s of it"):
        list(in_time(slowly(0.01, count(0, 0.0001)), Path("a.mp4")))
    assert time.monotonic() - begun < 5


def test_a_long_film_may_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its own seconds it has five each, but not more than the longest film."""
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.02)
    parts = list(in_time(slowly(0.01, iter([0.5, 10.0, 20.0])), Path("a.mp4")))
    assert parts == ["part 0.5", "part 10", "part 20"]
    monkeypatch.setattr(patience, "MOST_SECONDS", 0.001)
    with pytest.raises(ValueError, match="too long"):
        list(in_time(slowly(0.01, iter([0.0, 1e9, 2e9, 3e9])), Path("a.mp4")))


def test_what_is_done_with_the_parts_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that watches may take hours."""
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.05)
    for _ in in_time(slowly(0.0, iter([0.0, 0.0, 0.0])), Path("a.mp4")):
        time.sleep(0.03)


@pytest.mark.usefixtures("impatient")
def test_every_way_into_a_film_is_counted(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking it through, decoding it by either library, and copying it."""
    with pytest.raises(ValueError, match="a.mp4 takes too long"):
        open_video(film)
    with monkeypatch.context() as patch:
        patch.setattr(patience, "PATIENCE_SECONDS", 600.0)
        video = open_video(film)
    for read in (read_with_pyav, read_with_decord):
        if read is read_with_decord:
            pytest.importorskip("decord")
        with pytest.raises(ValueError, match="a.mp4 takes too long"):
            list(read(video, range(5)))
    sound = Soundtrack(np.zeros((1, 48_000), np.float32))
    with pytest.raises(ValueError, match="a.mp4 takes too long"):
        write_soundtrack(video, sound, film.with_name("copy.mp4"))
    assert not film.with_name("copy.mp4").exists()
