"""Files that users name: whole or not at all, through links, never over what is read-only or somebody else's."""

import errno
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from tests.paths import ROOT
from woosh.whole_files import alone_in, check_replaceable, claimed, replacing, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    """A link to a folder of results must not turn into a file of its own."""
    (tmp_path / "real").mkdir()
    real, first, second = tmp_path / "real" / "a.txt", tmp_path / "b.txt", tmp_path / "c.txt"
    real.write_text("old")
    first.symlink_to(real)
    second.symlink_to(first)
    write_text(second, "new")
    assert second.is_symlink()
    assert first.is_symlink()
    assert real.read_text() == "new"
    assert names(tmp_path / "real") == ["a.txt"]


def test_a_link_to_nothing_yet_is_followed_and_one_to_itself_refused(tmp_path: Path) -> None:
    """The target of a link need not exist; a loop has none."""
    link, loop = tmp_path / "link", tmp_path / "loop"
    link.symlink_to(tmp_path / "new")
    loop.symlink_to(loop)
    write_text(link, "text")
    assert (tmp_path / "new").read_text() == "text"
    with pytest.raises(OSError, match="loop is a link that leads back to itself"):
        write_text(loop, "text")


def test_read_only_files_and_folders_are_refused_by_name(tmp_path: Path) -> None:
    """Replacing a file needs no right to write to it, so it must be asked for, also for an administrator."""
    kept = tmp_path / "kept.txt"
    kept.write_text("kept")
    kept.chmod(0o444)
    with pytest.raises(PermissionError, match="kept.txt is read-only"):
        write_text(kept, "new")
    assert kept.read_text() == "kept"
    with pytest.raises(OSError, match="exists and is not a file"):
        check_replaceable(tmp_path)


def test_what_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    """Whatever ends the writing, an interruption too, the file is the old one."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    for failure in (ValueError, KeyboardInterrupt):
        with pytest.raises(failure), replacing(path) as part:
            part.write_text("half")
            raise failure
    assert names(tmp_path) == ["a.txt"]
    assert path.read_text() == "old"


def test_names_are_claimed_once_by_many_at_a_time(tmp_path: Path) -> None:
    """Two that choose a free name at the same moment must not get the same one."""

    def write(text: str) -> None:
        with claimed(tmp_path / f"{number}" for number in count()) as path:
            write_text(path, text)

    texts = [f"text {number}" for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, texts))
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == sorted(texts)


def test_a_claim_is_given_up_when_the_writing_fails(tmp_path: Path) -> None:
    """No empty file stays for a sound that was never made, and a link to nothing is a taken name."""
    (tmp_path / "a").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="failed"), claimed([tmp_path / "a", tmp_path / "b"]):
        assert names(tmp_path) == ["a", "b"]
        raise ValueError("failed")
    assert names(tmp_path) == ["a"]


def test_a_folder_is_kept_for_one_process_until_it_ends(tmp_path: Path) -> None:
    """Also one that is killed: the next one must not wait for it."""
    program = (
        "import sys, time; from pathlib import Path; from woosh.whole_files import alone_in\n"
        "with alone_in(Path(sys.argv[1])):\n    print('in', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"in\n"
        with pytest.raises(OSError, match="another process works in .*: wait"), alone_in(tmp_path):
            pass
        other.kill()
        other.wait()
    with alone_in(tmp_path):
        pass


def test_a_failure_within_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    """A sheet's sound was said not to be written under the name of a hidden file."""
    path = tmp_path / "a.wav"
    with (
        pytest.raises(OSError, match=rf"^cannot write {path}: File too large$"),
        replacing(path) as outer,
        replacing(outer),
    ):
        raise OSError(errno.EFBIG, "File too large")
    assert not list(tmp_path.iterdir())
