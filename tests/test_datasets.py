"""Manifests, bad files, crops that follow from their number alone."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from woosh.datasets import (
    Clip,
    CropDataset,
    NumberedBatches,
    crop,
    load_clips,
    procedural_clips,
    read_manifest,
)


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
        ('{"file": "a.wav", "captions": ["a"], "seconds": NaN}', "`seconds`"),
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


@given(length=st.integers(1, 3000), samples=st.integers(1, 2000), seed=st.integers(0, 10))
def test_crops_have_the_asked_length_and_hold_the_sound(
    length: int, samples: int, seed: int
) -> None:
    audio = np.arange(1, length + 1, dtype=np.float32)
    piece = crop(audio, samples, np.random.default_rng(seed))
    assert piece.shape == (samples,)
    if (piece == 0).any() or length >= samples:  # a stretch, or the whole in zeros
        inside = piece[piece > 0]
        assert len(inside) == min(length, samples)
        assert np.array_equal(np.diff(inside), np.ones(len(inside) - 1))
    else:  # the whole between its mirror images
        assert set(piece) == set(audio)
        assert np.array_equal(np.abs(np.diff(piece)), np.ones(samples - 1))


def test_short_sounds_are_mirrored_half_of_the_times_and_ends_are_frequent() -> None:
    draws = [crop(np.ones(100), 300, np.random.default_rng(seed)) for seed in range(400)]
    assert 160 < sum(draw.min() == 1 for draw in draws) < 240
    starts = [crop(np.arange(8000), 1600, np.random.default_rng(seed))[0] for seed in range(400)]
    assert min(starts) == 0 and max(starts) == 6400
    assert all(5 < starts.count(end) < 30 for end in (0, 6400))  # 200 of 6,801 places each


def test_silent_stretches_are_drawn_again() -> None:
    audio = np.zeros(48_000, dtype=np.float32)
    audio[:12_000] = 0.5
    loud = [
        np.abs(crop(audio, 4800, np.random.default_rng(seed), tries=30)).max() > 0
        for seed in range(50)
    ]
    assert all(loud)


def test_a_crop_follows_from_seed_and_number() -> None:
    clips = [
        Clip(np.random.default_rng(i).standard_normal(9000).astype(np.float32), ("a",), str(i))
        for i in range(3)
    ]
    weights = np.ones(3)
    whole = CropDataset(clips, weights, 1000, 12, seed=5)
    resumed = CropDataset(clips, weights, 1000, 12, seed=5, start=7)
    assert (len(whole), len(resumed)) == (12, 5)
    assert np.array_equal(whole[9], resumed[2])
    assert whole[0].shape == (1, 1000) and whole[0].dtype == np.float32
    assert not np.array_equal(whole[0], whole[1])
    other = CropDataset(clips, weights, 1000, 12, seed=6)
    assert not np.array_equal(whole[0], other[0])
    peaks = [np.abs(whole[i]).max() for i in range(12)]
    assert 0.24 < min(peaks) <= max(peaks) < 1.01


def test_weights_decide_who_is_drawn() -> None:
    clips = [Clip(np.full(2000, 0.1 + i, dtype=np.float32), ("a",), str(i)) for i in range(2)]
    rising = [Clip(np.linspace(0.1, 1, 2000, dtype=np.float32), ("a",), "rising"), clips[1]]
    crops = CropDataset(rising, np.array([1.0, 0.0]), 500, 40, seed=0)
    assert all(np.ptp(crops[i]) > 0.01 for i in range(40))


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
