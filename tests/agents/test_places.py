"""Where a server for agents reads and writes: nowhere but below the folders that were named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from woosh.agents.places import Places
from woosh.whole_files import claimed


@pytest.fixture
def places(tmp_path: Path) -> Places:
    for name in ("out", "sounds", "secret"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "sounds" / "way-out").symlink_to(tmp_path / "secret")
    (tmp_path / "sounds" / "a.lnk.wav").symlink_to(tmp_path / "secret" / "a.wav")
    (tmp_path / "way-in.wav").symlink_to(tmp_path / "sounds" / "a.wav")
    return Places(tmp_path / "out", (tmp_path / "out", tmp_path / "sounds"))


@pytest.mark.parametrize(
    "name", ["out/a.wav", "sounds/a.wav", "secret/../sounds/a.wav", "way-in.wav"]
)
def test_what_lies_below_an_allowed_folder_is_read(
    name: str, places: Places, tmp_path: Path
) -> None:
    """Links and dots are followed first: what counts is where the file really lies."""
    found = places.readable(str(tmp_path / name))
    assert found.samefile(tmp_path / name)
    assert not found.is_symlink()


@pytest.mark.parametrize(
    "name",
    [
        "secret/a.wav",
        "secret/gone.wav",
        "sounds/../secret/a.wav",
        "sounds/way-out/a.wav",
        "sounds/a.lnk.wav",
        "soundsystem/a.wav",
        "/etc/passwd",
        "/proc/self/environ",
    ],
)
def test_what_lies_elsewhere_is_refused(name: str, places: Places, tmp_path: Path) -> None:
    """Whether it is there is not told: an agent learns nothing of other folders."""
    with pytest.raises(ValueError, match="outside of what this server reads"):
        places.readable(str(tmp_path / name))


def test_a_relative_name_begins_in_the_current_folder(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "sounds")
    assert places.readable("a.wav") == tmp_path / "sounds" / "a.wav"
    with pytest.raises(FileNotFoundError, match="no file"):
        places.readable("gone.wav")
    with pytest.raises(FileNotFoundError, match="no file"):
        places.readable(".")
    with pytest.raises(ValueError, match="is no name of a file"):
        places.readable("a\0b")


@given(st.text(max_size=40))
def test_no_name_leads_out(name: str) -> None:
    """Whatever an agent writes, it is refused or lies below a folder that was named."""
    folder = Path(__file__).resolve().parent
    try:
        found = Places(folder, (folder,)).readable(name)
    except (ValueError, FileNotFoundError):
        return
    assert found.is_relative_to(folder)


def test_new_names_overwrite_nothing(places: Places) -> None:
    with claimed(places.free("a", "wav")) as path:
        assert path == places.output / "a-2.wav"
