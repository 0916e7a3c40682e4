"""Folders as sets: order by content, reading in processes, captions."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.sounds import RATE, write_sounds
from woosh.evaluation.clip_sets import Reading, list_clips, read_captions, read_clip, read_clips


def test_the_order_follows_from_the_contents_alone(tmp_path: Path) -> None:
    first = write_sounds(tmp_path / "first", range(6))
    second = tmp_path / "second"
    for number, path in enumerate(sorted(first.iterdir(), reverse=True)):
        target = second / ("deep" if number % 2 else ".") / f"{number}.wav"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    one, two = list_clips(first), list_clips(second)
    assert [file.content for file in one.files] == [file.content for file in two.files]
    assert one.content == two.content
    assert {file.stem for file in two.files} == {"0", "deep/1", "2", "deep/3", "4", "deep/5"}
    (second / "0.wav").unlink()
    assert list_clips(second).content != one.content


def test_only_audio_files_are_listed(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "set", range(2))
    for name in ("notes.txt", "clip.wav.part", "manifest.jsonl"):
        (folder / name).write_text("x")
    (folder / "folder.wav").mkdir()
    shutil.copy(folder / "clip-0.wav", folder / "LOUD.WAV")
    assert {file.name for file in list_clips(folder).files} == {
        "LOUD.WAV",
        "clip-0.wav",
        "clip-1.wav",
    }


def test_folders_that_are_no_sets(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        list_clips(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no audio file"):
        list_clips(tmp_path)


@pytest.mark.parametrize("workers", [0, 2])
def test_clips_come_in_the_sets_order_and_bad_ones_in_words(tmp_path: Path, workers: int) -> None:
    folder = write_sounds(tmp_path / "set", range(5))
    (folder / "broken.wav").write_bytes(b"RIFF")
    soundfile.write(folder / "nan.wav", np.full(100, np.nan, np.float32), RATE, subtype="FLOAT")
    soundfile.write(folder / "empty.wav", np.zeros(0, np.float32), RATE)
    clips = list_clips(folder)
    state = torch.get_rng_state()
    items = list(read_clips(clips, 32_000, Reading(crop=0.25, workers=workers)))
    assert torch.equal(torch.get_rng_state(), state)
    for file, item in zip(clips.files, items, strict=True):
        if file.name.startswith("clip"):
            assert torch.equal(item, read_clip(file.path, 32_000, 0.25))
            assert item.shape == (8000,)
        else:
            assert isinstance(item, str)
            assert file.name in item


def test_a_clip_is_cut_at_its_beginning_and_never_padded(tmp_path: Path) -> None:
    path = write_sounds(tmp_path, range(1)) / "clip-0.wav"
    whole = read_clip(path, RATE, None)
    assert torch.equal(read_clip(path, RATE, 0.1), whole[:4800])
    assert torch.equal(read_clip(path, RATE, 9.0), whole)
    assert len(read_clip(path, RATE, 1e-9)) == 1


def write_rows(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_captions_by_the_files_stems(tmp_path: Path) -> None:
    rows = (
        {"file": "a/dog.wav", "caption": "a dog", "seconds": 3},
        "",
        {"file": "cat.tail", "captions": ["a cat", "meow"]},
    )
    captions = read_captions(write_rows(tmp_path / "c.jsonl", *rows))
    assert captions == {"a/dog": ("a dog",), "cat.tail": ("a cat", "meow")}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("{",), "line 1: not JSON"),
        (([1],), "must be an object"),
        (({"caption": "a"},), "`file` must be a path"),
        (({"file": "a.wav"},), "`caption` must be a text"),
        (({"file": "a.wav", "caption": " "},), "`caption` must be a text"),
        (({"file": "a.wav", "captions": []},), "`caption` must be a text"),
        (({"file": "a.wav", "captions": "a"},), "`caption` must be a text"),
        (
            ({"file": "a.wav", "caption": "a"}, {"file": "a.flac", "caption": "b"}),
            "line 2: 'a' has",
        ),
        ((), "holds no captions"),
    ],
)
def test_captions_that_are_refused(tmp_path: Path, rows: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_captions(write_rows(tmp_path / "c.jsonl", *rows))


def test_captions_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no captions at"):
        read_captions(tmp_path / "none.jsonl")


@given(st.text(max_size=40))
def test_any_line_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("captions") / "c.jsonl"
    path.write_bytes(text.encode("utf-8", "surrogatepass").replace(os.linesep.encode(), b" "))
    with pytest.raises(ValueError):
        read_captions(path)
