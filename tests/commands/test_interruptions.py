"""Commands that are killed, asked to end, meet a full disk or each other leave what is whole, and nothing else.

They are forked from one process that has imported everything, and ended at moments spread over all that they do.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT
from tests.sounds import write_sounds
from tests.toys import make_clap, save_pipeline, save_seeing_pipeline
from tests.videos import steady_times, write_video
from woosh.embeddings.clap import save_clap
from woosh.search.index import DATABASE, open_index

MOMENTS = 5  # of a command, at which it is ended
SOUNDS = 6
ENDED = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}


class Commands:
    """Runs commands in a folder, see `tests.commands.forked_commands`."""

    def __init__(self, folder: Path, first: Sequence[Sequence[str]]) -> None:
        self.folder, self.count = folder, 0
        words = json.dumps([list(command) for command in first])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.commands.forked_commands", self.fresh(), words],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fresh(self) -> Path:
        """An empty folder."""
        self.count += 1
        folder = self.folder / str(self.count)
        folder.mkdir()
        return folder

    def run(
        self,
        folder: Path,
        *commands: Sequence[str],
        ended: tuple[int, float] | None = None,
        largest: int | None = None,
    ) -> tuple[list[tuple[int, str]], float]:
        """Run commands at the same time.

        Returns:
            Exit status and what it said, of each; the seconds that all took.
        """
        request = {"folder": str(folder), "signal": ended, "largest": largest}
        request["commands"] = [list(command) for command in commands]
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return [(code, text) for code, text in answer["endings"]], answer["seconds"]

    def done(self, folder: Path, command: Sequence[str]) -> float:
        """Run one command to its end; the seconds that it took."""
        ((code, said),), seconds = self.run(folder, command)
        assert code == 0, said
        return seconds


@pytest.fixture(scope="module")
def commands(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    first = [command(name, given) for name in ("generate", "dub", "index", "batch", "prepare")]
    first.insert(1, [*first[0], "--resume"])
    started = Commands(tmp_path_factory.mktemp("runs"), first)
    yield started
    started.process.communicate()


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, a film, an aligner and a library."""
    folder = tmp_path_factory.mktemp("given")
    save_pipeline(folder / "model")
    save_seeing_pipeline(folder / "seeing")
    save_clap(make_clap(), folder / "aligner")
    write_video(folder / "film.mp4", steady_times(Fraction(25), 0.6))
    write_sounds(folder / "library", range(SOUNDS))
    (folder / "sheet.csv").write_text(
        "name,prompt,seconds\na,rain,0.1\nb,wind,0.1\nc/d,a dog,0.1\n"
    )
    return folder


def command(name: str, given: Path) -> list[str]:
    """A command that writes several files into the folder in which it runs."""
    words = {
        "generate": ("generate", "rain", "-n", "4", "--seconds", "0.1", "--quiet", "--seed", "5")
        + ("--model", str(given / "model")),
        "dub": ("dub", str(given / "film.mp4"), "-n", "3", "--seed", "5", "--steps", "2")
        + ("--model", str(given / "seeing"), "-o", "out"),
        "index": ("index", str(given / "library"), "-o", "index")
        + ("--model", str(given / "aligner")),
        "batch": (
            "batch",
            str(given / "sheet.csv"),
            "-o",
            "assets",
            "--model",
            str(given / "model"),
        ),
        "prepare": ("data", "prepare", str(given / "library"), "shards", "--files-per-shard", "2"),
    }
    return [*words[name], *(() if name == "prepare" else ("--device", "cpu"))]


def files(folder: Path) -> dict[str, bytes]:
    """What users see below a folder, without what is hidden."""
    seen = (path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in seen}


def hidden(folder: Path) -> list[str]:
    """What is left half written."""
    return [path.name for path in folder.rglob(".woosh-*") if path.name != ".woosh-lock"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["generate", "dub", "batch", "prepare"])
def test_a_kill_leaves_whole_files_alone(name: str, commands: Commands, given: Path) -> None:
    """Under a name that is being written may stand an empty file; never half a sound."""
    words = command(name, given)
    whole = commands.fresh()
    seconds = commands.done(whole, words)
    expected = files(whole)
    before = files(given)
    ends = set()
    for number in range(MOMENTS):
        folder = commands.fresh()
        moment = seconds * (number + 0.5) / MOMENTS
        ((code, _),), _ = commands.run(folder, words, ended=(signal.SIGKILL, moment))
        ends.add(code)
        found = files(folder)
        found.pop("assets/manifest.jsonl", None)  # a journal, as long as a batch is not complete
        assert all(data in (b"", expected[path]) for path, data in found.items())
        if name != "dub":  # what goes on where it was
            kept = {path: data for path, data in found.items() if data}
            commands.done(folder, [*words, "--resume"] if name == "generate" else words)
            made = {path: data for path, data in files(folder).items() if data}
            assert sorted(made.values()) == sorted(expected.values())
            assert kept.items() <= made.items()
    assert -signal.SIGKILL in ends
    assert files(given) == before


@pytest.mark.slow
def test_a_killed_index_is_brought_to_its_end(commands: Commands, given: Path) -> None:
    """What was heard before the kill is either known or heard again; nothing is in it twice."""
    words = command("index", given)
    folder = commands.fresh()
    seconds = commands.done(folder, words)
    vectors = open_index(folder / "index").vectors
    ends = set()
    for number in range(MOMENTS):
        folder = commands.fresh()
        moment = seconds * (number + 0.5) / MOMENTS
        ((code, _),), _ = commands.run(folder, words, ended=(signal.SIGKILL, moment))
        ends.add(code)
        commands.done(folder, words)
        found = open_index(folder / "index")
        assert len(found.vectors) == len(vectors) == SOUNDS and found.waiting() == 0
    assert -signal.SIGKILL in ends


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *((name, signal.SIGTERM) for name in ("generate", "dub", "index", "batch", "prepare")),
        ("generate", signal.SIGHUP),
        ("dub", signal.SIGINT),
    ],
)
def test_a_signal_leaves_nothing_half_written(
    name: str, number: int, commands: Commands, given: Path
) -> None:
    """Whoever asks a command to end is told so by its exit code, and finds no rests."""
    words = command(name, given)
    seconds = commands.done(commands.fresh(), words)
    for moment in (0.3, 0.6, 0.9):
        folder = commands.fresh()
        ((code, said),), _ = commands.run(folder, words, ended=(number, seconds * moment))
        assert code in (0, ENDED[signal.Signals(number)]), said
        assert "Traceback" not in said
        found = files(folder)
        found.pop(f"index/{DATABASE}", None)  # without tables yet it is empty, and gone on with
        assert not hidden(folder) and all(found.values())


@pytest.mark.parametrize(
    ("name", "largest", "message"),
    [
        ("generate", 4000, "cannot write rain-1.wav: File too large"),
        ("dub", 4000, "cannot write out/film-dubbed-1.mp4: File too large"),
        ("prepare", 4000, "cannot write shards/shard-000000.tar: File too large"),
        ("index", 1000, "index/sounds.sqlite cannot be used (disk I/O error)"),
        ("index", 10_000, "index/sounds.sqlite cannot be used (disk I/O error)"),
    ],
)
def test_a_full_disk_is_one_line_that_names_the_file(
    name: str, largest: int, message: str, commands: Commands, given: Path
) -> None:
    """Nothing half written stays, and with more space the same command does its work."""
    folder, words = commands.fresh(), command(name, given)
    ((code, said),), _ = commands.run(folder, words, largest=largest)
    errors = [line for line in said.splitlines() if ": error: " in line]
    assert code == 2 and len(errors) == 1 and message in errors[0], said
    assert not hidden(folder)
    assert name in ("index", "prepare") or not files(folder)  # these keep what they know
    commands.done(folder, words)


def test_a_full_disk_in_the_middle_of_a_sheet(commands: Commands, given: Path) -> None:
    """Each sound that could not be written is told by its name, and made by the next run."""
    folder, words = commands.fresh(), command("batch", given)
    ((code, said),), _ = commands.run(folder, words, largest=4000)
    assert code == 1 and "assets/a.wav: cannot write assets/a.wav: File too large" in said
    assert "3 of 3 sounds could not be made" in said and not hidden(folder)
    commands.done(folder, words)
    assert {"assets/a.wav", "assets/b.wav", "assets/c/d.wav"} <= files(folder).keys()


@pytest.mark.parametrize("name", ["generate", "dub"])
def test_two_in_one_folder_make_everything_twice(
    name: str, commands: Commands, given: Path
) -> None:
    """Both ask for the same names."""
    words = command(name, given)
    alone, both = commands.fresh(), commands.fresh()
    commands.done(alone, words)
    endings, _ = commands.run(both, words, words)
    assert [code for code, _ in endings] == [0, 0], endings
    assert sorted(files(both).values()) == sorted(2 * list(files(alone).values()))


def test_two_that_index_one_library(commands: Commands, given: Path) -> None:
    """One of them may be told to wait; what is left is an index of everything."""
    words = command("index", given)
    folder = commands.fresh()
    endings, _ = commands.run(folder, words, words)
    assert 0 in [code for code, _ in endings], endings
    assert all(code == 0 or (code == 2 and ": error: " in said) for code, said in endings), endings
    commands.done(folder, words)
    found = open_index(folder / "index")
    assert len(found.vectors) == SOUNDS and found.waiting() == 0
