"""What a run leaves for its users is whole, or it is what was there before."""

from pathlib import Path

import pytest
from safetensors import SafetensorError

from woosh.training.exports import write_whole


def write_folder(path: Path) -> None:
    path.mkdir()
    (path / "new").write_text("new")


def write_half(path: Path) -> None:
    write_folder(path)
    raise KeyboardInterrupt  # no Exception, as a kill is none


@pytest.mark.parametrize("old", [True, False])
def test_a_folder_replaces_all_of_the_old_one(tmp_path: Path, old: bool) -> None:
    """No file of an older export may stay among the new ones."""
    target = tmp_path / "runs" / "transformer"
    if old:
        target.mkdir(parents=True)
        (target / "old").write_text("old")
    write_whole(target, write_folder)
    assert [path.name for path in target.iterdir()] == ["new"]
    assert list(target.parent.iterdir()) == [target]


def test_a_file_replaces_the_old_one(tmp_path: Path) -> None:
    """A LoRA is a file, the other exports are folders."""
    target = tmp_path / "lora.safetensors"
    for text in ("old", "new"):
        write_whole(target, lambda path, text=text: path.write_text(text))
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    "failure",
    [OSError(28, "No space left on device"), SafetensorError("No space left on device")],
)
def test_a_full_disk_is_named_with_what_was_to_be_written(
    tmp_path: Path, failure: Exception
) -> None:
    """Writers of weights have an error of their own, which a recipe showed as a traceback."""
    target = tmp_path / "transformer"
    write_whole(target, write_folder)

    def fail(path: Path) -> None:
        write_folder(path)
        raise failure

    with pytest.raises(OSError, match=rf"^cannot write {target}: No space left on device$"):
        write_whole(target, fail)
    assert [path.name for path in tmp_path.iterdir()] == ["transformer"]


def test_a_file_that_is_missing_keeps_its_name(tmp_path: Path) -> None:
    """What an export reads is not what it writes."""
    with pytest.raises(FileNotFoundError, match="absent"):
        write_whole(tmp_path / "model", lambda _: (tmp_path / "absent").read_bytes())


def test_a_kill_leaves_the_old_export_and_the_next_one_clears_up(tmp_path: Path) -> None:
    """Half a model under the right name would be taken for a model."""
    target = tmp_path / "transformer"
    write_whole(target, write_folder)
    (target / "new").write_text("first")
    with pytest.raises(KeyboardInterrupt):
        write_whole(target, write_half)
    assert (target / "new").read_text() == "first"
    (tmp_path / "transformer.previous").mkdir()  # of a kill between the two moves
    write_whole(target, write_folder)
    assert (target / "new").read_text() == "new" and list(tmp_path.iterdir()) == [target]
