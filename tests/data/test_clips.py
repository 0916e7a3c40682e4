"""Manifests, bad files, channels, and batches by their numbers."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from woosh.data.clips import load_clips, procedural_clips, with_channels
from woosh.data.manifests import read_manifest
from woosh.data.streaming import NumberedBatches


def write_folder(folder: Path) -> Path:
    """Three good files of different form, and six bad ones."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(48_000)
    soundfile.write(folder / "mono.wav", noise, 48_000)
    soundfile.write(folder / "stereo.flac", np.stack([noise, -noise * 0.5], 1)[:22_050], 44_100)
    soundfile.write(folder / "slow.ogg", noise[:8000], 8000)
    soundfile.write(folder / "short.wav", noise[:480], 48_000)
    soundfile.write(folder / "silent.wav", np.zeros(48_000), 48_000)
    soundfile.write(folder / "empty.wav", np.zeros(0), 48_000)
    soundfile.write(folder / "nan.wav", np.full(48_000, np.nan), 48_000, subtype="FLOAT")
    (folder / "text.wav").write_text("no audio at all")
    (folder / "cut.flac").write_bytes((folder / "stereo.flac").read_bytes()[:4000])
    names = [path.name for path in sorted(folder.iterdir())] + ["missing.wav"]
    rows = [
        {"file": name, "captions": [name, "a sound"], "seconds": 1.0, "split": "train", "more": 1}
        for name in names
    ]
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    return path


def test_bad_files_are_skipped_with_one_warning_that_names_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = read_manifest(write_folder(tmp_path))
    with caplog.at_level(logging.WARNING):
        clips = load_clips(rows, tmp_path)
    assert [clip.name for clip in clips] == ["mono.wav", "slow.ogg", "stereo.flac"]
    assert [len(clip.audio) for clip in clips] == [48_000, 48_000, 24_000]
    assert all(clip.audio.dtype == np.float32 and clip.captions[1] == "a sound" for clip in clips)
    messages = [record.message for record in caplog.records]
    assert len(messages) == 1 and "skipped 7 of 10" in messages[0]
    for name in ("short", "silent", "empty", "nan", "text", "cut", "missing"):
        assert name in messages[0]


def test_strict_stops_at_a_bad_file(tmp_path: Path) -> None:
    rows = read_manifest(write_folder(tmp_path))
    with pytest.raises(ValueError, match="bad audio file: cut.flac"):
        load_clips(rows, tmp_path, strict=True)


def test_a_folder_of_bad_files_is_an_error(tmp_path: Path) -> None:
    rows = [row for row in read_manifest(write_folder(tmp_path)) if row.file == "text.wav"]
    with pytest.raises(ValueError, match="no usable audio"):
        load_clips(rows, tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: a row must be an object"),
        ('{"captions": ["a"], "seconds": 1}', "`file`"),
        ('{"file": "a.wav", "captions": [], "seconds": 1}', "`captions`"),
        ('{"file": "a.wav", "captions": [" "], "seconds": 1}', "`captions`"),
        ('{"file": "a.wav", "captions": "text", "seconds": 1}', "`captions`"),
        ('{"file": "a.wav", "captions": ["a"], "seconds": "1"}', "`seconds`"),
        ('{"file": "a.wav", "captions": ["a"], "seconds": NaN}', "line 2: not JSON"),
        ('{"file": "a.wav", "captions": ["a"], "seconds": 1, "label": ["dog"]}', "`label`"),
        ('{"file": "a.wav", "captions": ["a"], "seconds": -1}', "`seconds`"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text(f'{{"file": "a.wav", "captions": ["a"], "seconds": 1}}\n{line}\n')
    with pytest.raises(ValueError, match=message):
        read_manifest(path)


def test_missing_manifest_and_split(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no manifest"):
        read_manifest(tmp_path / "none.jsonl")
    path = write_folder(tmp_path)
    assert read_manifest(path, "validation") == []
    assert len(read_manifest(path, "train")) == 10


def test_channels_become_mono_or_stereo() -> None:
    stereo = np.stack([np.ones(5), np.zeros(5)]).astype(np.float32)
    assert np.array_equal(with_channels(stereo, 1), np.full(5, 0.5))
    assert np.array_equal(with_channels(stereo, 2), stereo)
    assert with_channels(stereo[:1], 2).tolist() == [[1] * 5] * 2
    with pytest.raises(ValueError, match="3 channels cannot be made 2"):
        with_channels(np.zeros((3, 5)), 2)


def test_stereo_files_are_read_as_they_are(tmp_path: Path) -> None:
    rows = read_manifest(write_folder(tmp_path))
    clips = {clip.name: clip.audio for clip in load_clips(rows, tmp_path, channels=2)}
    left, right = clips["stereo.flac"]
    assert np.allclose(right, -0.5 * left, atol=1e-3)
    assert np.array_equal(*clips["mono.wav"])


def test_procedural_clips_are_the_sounds_of_their_seeds() -> None:
    first, second = procedural_clips(2, seed=3)
    assert (first.name, second.name) == ("procedural/3", "procedural/4")
    assert np.array_equal(second.audio, procedural_clips(1, seed=4)[0].audio)


def test_numbered_batches_go_on_from_where_they_are_asked() -> None:
    class Squares:
        def batch(self, number: int) -> int:
            return number**2

    batches = NumberedBatches(Squares(), 3, 2)
    assert len(batches) == 2
    assert [batches[index] for index in range(2)] == [(3, 9), (4, 16)]
