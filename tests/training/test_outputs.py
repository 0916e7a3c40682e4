"""A recipe that is refused leaves no folder, and one that did something leaves what it did."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from woosh.training.outputs import check_output, leaving_nothing


@dataclass(frozen=True)
class Config:
    """A recipe's settings."""

    speeds: tuple[float, ...] = (1.0, 2.0)


def test_a_folder_of_other_settings_is_left_alone(tmp_path: Path) -> None:
    """Shards of two encodings in one folder could not be told apart."""
    check_output(tmp_path, Config())
    (tmp_path / "config.yaml").write_text("speeds: [1.0, 2.0]\n")
    check_output(tmp_path, Config())
    with pytest.raises(FileExistsError, match="made with other settings"):
        check_output(tmp_path, Config((1.0,)))


@pytest.mark.parametrize("text", ["speeds: [1.0", "- 1", "\x00", ""])
def test_settings_that_cannot_be_read_are_named(tmp_path: Path, text: str) -> None:
    """A kill of an older version may have torn the file."""
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"config\.yaml"):
        check_output(tmp_path, Config())


def fail_in(output: Path, files: dict[str, str]) -> None:
    """A recipe that writes some files and then fails."""
    with pytest.raises(ValueError, match="wrong"), leaving_nothing(output):
        output.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (output / name).write_text(text)
        raise ValueError("wrong")


@pytest.mark.parametrize("log", [{}, {"log.jsonl": ""}])
def test_folders_that_were_made_for_nothing_go(tmp_path: Path, log: dict[str, str]) -> None:
    """The next try would be refused for an output of other settings, and a user would look for what is in it."""
    fail_in(tmp_path / "runs" / "flow", {"config.yaml": "steps: 1\n", **log})
    assert list(tmp_path.iterdir()) == []


def test_a_neighbour_stays(tmp_path: Path) -> None:
    """Another run may have begun in the folder of runs meanwhile."""
    with pytest.raises(ValueError, match="wrong"), leaving_nothing(tmp_path / "runs" / "flow"):
        (tmp_path / "runs" / "flow").mkdir(parents=True)
        (tmp_path / "runs" / "other").mkdir()
        raise ValueError("wrong")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["other"]


@pytest.mark.parametrize("name", ["log.jsonl", "latents-000000.tar"])
def test_what_was_done_stays(tmp_path: Path, name: str) -> None:
    """A failure after hours must not cost them."""
    fail_in(tmp_path / "run", {"config.yaml": "steps: 1\n", name: "something"})
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.yaml", name]


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    """It is the user's, even an empty one."""
    (tmp_path / "run").mkdir()
    fail_in(tmp_path / "run", {"config.yaml": "steps: 1\n"})
    assert (tmp_path / "run" / "config.yaml").is_file()
