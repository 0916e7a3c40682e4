"""Shards of others: sounds, samples and archives beyond the stated bounds are refused before they take memory."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.paths import ROOT
from woosh.audio.files import MOST_NUMBERS
from woosh.data import shards
from woosh.data.shards import (
    Sample,
    decode_sample,
    read_items,
    read_shards,
    write_items,
    write_shard,
)
from woosh.data.sources import _decoded

RATE = 48_000


def sound_of(rate: int = RATE, kind: str = "FLAC") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.sin(np.arange(4800) * 0.1), rate, format=kind)
    return file.getvalue()


def claiming(samples: int) -> bytes:
    """A FLAC file whose header states a length."""
    data = bytearray(sound_of())
    data[21] = data[21] & 0xF0 | samples >> 32
    data[22:26] = (samples & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(data)


def not_finite() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(4800, np.nan), RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()


SOUNDS = {
    "two hours": (claiming(2 * 3600 * RATE), "no more than 1398 s of such a file"),
    "longer than its frames": (claiming(48_000), "is cut or damaged"),
    "of one hertz": (sound_of(1, "WAV"), "sample rate of 1 Hz"),
    "not finite": (not_finite(), "not finite"),
    "empty": (b"", "its"),
    "text": (b"text" * 100, "cannot read its"),
}


@pytest.mark.parametrize("case", SOUNDS)
def test_sounds_within_shards_and_tables_have_the_bounds_of_files(case: str) -> None:
    """A sample of some kilobytes could take all memory, while the same file alone was refused."""
    data, message = SOUNDS[case]
    item = {"__key__": "one", "flac": data, "json": json.dumps({"captions": ["a dog"]})}
    with pytest.raises(ValueError, match=f"a.tar: sample 'one' .*{message}"):
        decode_sample(item, "a.tar", RATE)
    message = message if data else "holds no audio"
    with pytest.raises(ValueError, match=f"table, row 3.*{message}"):
        _decoded({"bytes": data, "path": None}, "table, row 3", RATE)


def test_a_table_that_names_a_file_has_them_too(tmp_path: Path) -> None:
    """Rows hold the bytes of a sound, or where it is."""
    (tmp_path / "a.flac").write_bytes(SOUNDS["two hours"][0])
    (tmp_path / "b.flac").write_bytes(sound_of())
    with pytest.raises(ValueError, match=r"row 1: .*a\.flac is 7200 s long"):
        _decoded({"bytes": None, "path": str(tmp_path / "a.flac")}, "row 1", RATE)
    with pytest.raises(ValueError, match=r"row 2: no audio file at .*c\.flac"):
        _decoded({"bytes": None, "path": str(tmp_path / "c.flac")}, "row 2", RATE)
    assert _decoded({"path": str(tmp_path / "b.flac")}, "row 3", 24_000).shape == (1, 2400)


def test_samples_have_a_bound_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a sample are read whole; those of several samples do not add up."""
    monkeypatch.setattr(shards, "MOST_SAMPLE_BYTES", 1000)
    items = [{"__key__": key, "json": b"x" * 600, "flac": b"x" * 300} for key in ("one", "two")]
    write_items(tmp_path / "good.tar", items)
    assert [item["__key__"] for item in read_items(str(tmp_path / "good.tar"))] == ["one", "two"]
    write_items(tmp_path / "large.tar", [*items, items[0] | {"__key__": "b", "flac": b"x" * 500}])
    with pytest.raises(ValueError, match="sample 'b' has more than"):
        list(read_items(str(tmp_path / "large.tar")))


def test_a_length_that_an_archive_only_claims_takes_no_memory(tmp_path: Path) -> None:
    """The header of a file says how long it is; a terabyte would be made room for."""
    header = tarfile.TarInfo("one.flac")
    header.size = 2**40
    (tmp_path / "a.tar").write_bytes(header.tobuf() + bytes(1024))
    with pytest.raises(ValueError, match="sample 'one' has more than 200 MiB"):
        list(read_items(str(tmp_path / "a.tar")))


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    """What it unpacks to cannot be known before it is unpacked."""
    write_items(tmp_path / "a.tar", [{"__key__": "one", "json": b"{}"}])
    (tmp_path / "b.tar").write_bytes(gzip.compress((tmp_path / "a.tar").read_bytes()))
    with pytest.raises(ValueError, match=r"b\.tar is damaged"):
        list(read_items(str(tmp_path / "b.tar")))


def test_a_shard_comes_back_and_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    """A shard under its name is whole."""
    path = tmp_path / "a.tar"
    audio = np.float32([[0.5, -0.25, 0.125]])
    write_shard(path, [Sample("one", audio, RATE, {"captions": ["a dog"], "label": "dog"})])
    (sample,) = read_shards([str(path)], RATE)
    assert np.array_equal(sample.audio, audio) and sample.facts["label"] == "dog"
    before = path.read_bytes()
    with pytest.raises(soundfile.LibsndfileError):
        write_shard(path, [Sample("two", np.zeros((9, 5)), RATE, {"captions": ["x"]})])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_headers_of_any_size_are_refused_before_they_are_read(tmp_path: Path, kind: bytes) -> None:
    """A file with holes takes no space on a disk, and its header all memory."""
    header = tarfile.TarInfo("a")
    header.type, header.size = kind, 2**36
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.truncate(2**36)
    with pytest.raises(ValueError, match=r"a.tar is damaged: a header has more than 1 MiB"):
        list(read_items(str(path)))


def test_files_with_holes_are_no_samples(tmp_path: Path) -> None:
    header = tarfile.TarInfo("a.flac")
    header.type, header.size = tarfile.GNUTYPE_SPARSE, 512
    (tmp_path / "a.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(ValueError, match=r"a.tar is damaged: it holds a file with holes"):
        list(read_items(str(tmp_path / "a.tar")))


@pytest.mark.parametrize(
    "facts",
    [
        {"GNU.sparse.map": "0,1"},
        {"GNU.sparse.size": "1", "GNU.sparse.numblocks": "1"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
    ],
)
def test_files_with_holes_of_the_newer_forms_are_no_samples(
    facts: dict[str, str], tmp_path: Path
) -> None:
    """Their lists of holes would be read whole, and a gigabyte of them fills the memory."""
    header = tarfile.TarInfo("a.flac")
    header.pax_headers, header.size = facts, 1024
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(header, io.BytesIO(b"200\n" + b"1\n" * 510))
    with pytest.raises(ValueError, match=r"a.tar is damaged: it holds a file with holes"):
        list(read_items(str(tmp_path / "a.tar")))


def test_long_names_are_read(tmp_path: Path) -> None:
    """As other programs write them."""
    for number, form in enumerate((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)):
        path = tmp_path / f"{number}.tar"
        with tarfile.open(path, "w", format=form) as archive:
            for ending, data in (("flac", sound_of()), ("json", b"{}")):
                header = tarfile.TarInfo(f"{'größe' * 60}.{ending}")
                header.size = len(data)
                archive.addfile(header, io.BytesIO(data))
        (item,) = read_items(str(path))
        assert item["__key__"] == "größe" * 60 and {"flac", "json"} <= item.keys()


@pytest.mark.slow
def test_the_largest_sound_of_a_shard_takes_less_than_one_and_a_half_gigabytes(
    tmp_path: Path,
) -> None:
    """With everything that a recipe has imported, and resampled, which needs a copy."""
    sound = io.BytesIO()
    soundfile.write(sound, np.zeros(MOST_NUMBERS - 4000, np.int32), RATE, "PCM_24", format="WAV")
    write_items(
        tmp_path / "a.tar",
        [{"__key__": "a", "flac": sound.getvalue(), "json": b'{"captions": ["x"]}'}],
    )
    code = (
        "import sys, torch; from woosh.data.shards import read_shards\n"
        "for sample in read_shards(sys.argv[1:], 44_100): print(sample.audio.shape[1])\n"
        # Not what the system counts for a process (ru_maxrss): that begins with the memory of whoever started it.
        "status = open('/proc/self/status').read().split()\n"
        "print(1024 * int(status[status.index('VmHWM:') + 1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.tar"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    samples, memory = map(int, done.stdout.split())
    assert samples > 0.9 * MOST_NUMBERS and memory < 1_500_000_000
