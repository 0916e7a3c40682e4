"""Work spread over a real Ray of two workers: what this machine alone would have made, whatever ends in between."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import ray

from tests.cluster import ALONE
from tests.sounds import write_sounds
from woosh import cli
from woosh.cluster import RETRIES, spread
from woosh.search.index import DATABASE, FOLDER_NAME

pytestmark = pytest.mark.slow
SHEET = """\
name,prompt,seconds,count,format
doors/creak,a door creaks,0.2,3,wav
rain,rain,0.3,,ogg
wind,wind,0.3,,flac
"""
ON_RAY = ("--engine", "ray", "--workers", "2")


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    """One of this machine's cores, which the first use starts, as a user's would.

    A cluster that was killed has left its address, as Ray does: whoever asked for none waited for it.
    """
    with (
        pytest.MonkeyPatch.context() as patch,
        TemporaryDirectory(prefix="woosh-ray-", ignore_cleanup_errors=True) as place,
    ):
        for name, value in ALONE.items():
            patch.setenv(name, value)
        left = Path(place) / "ray" / "ray_current_cluster"
        left.parent.mkdir()
        left.write_text("192.0.2.2:34449")
        patch.setenv("RAY_TMPDIR", place)
        patch.delenv("RAY_ADDRESS", raising=False)
        yield
        ray.shutdown()


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def rows(index: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(index / DATABASE)) as database:
        return database.execute(
            "SELECT id, path, content, seconds, embedding, problem FROM sounds ORDER BY id"
        ).fetchall()


def test_items_keep_their_order_and_their_errors(tmp_path: Path) -> None:
    """A worker that ends is replaced and its item goes to it again; one that ends all of them is told as such."""

    def load() -> Callable[[int], int]:
        def work(number: int) -> int:
            tries = tmp_path / f"{number}-{os.urandom(4).hex()}"
            if number == 3:
                raise ValueError("three cannot be done")
            tries.touch()
            if number == 5 and len(list(tmp_path.glob("5-*"))) == 1 or number == 7:
                os._exit(1)
            return number * number

        return work

    found = list(spread(load, range(12), 2))
    plain = [number * number for number in range(12) if number not in (3, 7)]
    assert [one for one in found if not isinstance(one, Exception)] == plain
    assert isinstance(found[3], ValueError) and str(found[3]) == "three cannot be done"
    assert isinstance(found[7], RuntimeError) and "workers ended over it" in str(found[7])
    assert len(list(tmp_path.glob("5-*"))) == 2
    assert len(list(tmp_path.glob("7-*"))) == 1 + RETRIES


def test_a_sheet_is_made_by_two_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte with its manifests; what is there is not made again."""
    monkeypatch.chdir(tmp_path)
    Path("s.csv").write_text(SHEET)
    words = ["batch", "s.csv", "--model", "woosh-tiny-fast", "--device", "cpu", "-o"]
    assert cli.main([*words, "here"]) == 0
    assert cli.main([*words, "there", *ON_RAY]) == 0
    assert contents(Path("there")) == contents(Path("here"))
    Path("there/rain.ogg").unlink()
    capsys.readouterr()
    assert cli.main([*words, "there", *ON_RAY]) == 0
    assert "1 made, 4 unchanged" in capsys.readouterr().out
    assert contents(Path("there")) == contents(Path("here"))


def test_a_library_is_heard_by_two_workers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows, their numbers and their vectors are the same; a second run hears what is new."""
    sounds = write_sounds(tmp_path / "sounds", range(6))
    (sounds / "broken.wav").write_bytes(b"RIFF")
    here, there = tmp_path / "here", sounds / FOLDER_NAME
    assert cli.main(["index", str(sounds), "-o", str(here), "--device", "cpu"]) == 0
    words = ["index", str(sounds), "--device", "cpu", *ON_RAY]
    assert cli.main(words) == 0
    assert rows(there) == rows(here)
    write_sounds(sounds / "more", range(6, 7))
    capsys.readouterr()
    assert cli.main(words) == 0
    assert "7 sounds: 1 heard, 0 known under another name, 7 unchanged" in capsys.readouterr().out
