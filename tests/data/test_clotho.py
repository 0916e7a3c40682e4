"""A toy copy of Clotho's layout becomes shards and clips without being changed."""

from pathlib import Path

import pytest

from tests.clotho import write_clotho, write_table
from tests.sounds import RATE
from woosh import cli
from woosh.data.clotho import CAPTIONS
from woosh.data.recordings import list_recordings
from woosh.data.shards import read_shards, shard_urls
from woosh.data.sources import load_source


@pytest.fixture
def clotho(tmp_path: Path) -> Path:
    write_clotho(tmp_path / "clotho")
    return tmp_path / "clotho"


def test_tables_name_files_captions_splits_and_licences(clotho: Path) -> None:
    rows = list_recordings(clotho).rows
    assert [row.split for row in rows] == ["train", "train", "evaluation"]
    assert rows[0].file == "development/Rain, on roof.wav"
    assert rows[0].captions == tuple(f'Rain, on roof.wav, "heard" {place}' for place in range(5))
    assert (rows[2].licence, rows[2].author, rows[2].url) == (
        "CC0",
        "José",
        "https://example.org/0",
    )
    assert list_recordings(clotho / "clotho_captions_evaluation.csv").rows == rows[2:]


def test_a_recipe_reads_folder_and_table_alike(clotho: Path) -> None:
    (held_out,) = load_source(str(clotho), "evaluation")
    (alone,) = load_source(str(clotho / "clotho_captions_evaluation.csv"), "evaluation")
    assert held_out.captions == alone.captions
    assert len(load_source(str(clotho), "train")) == 2


def test_the_command_makes_shards_of_it(clotho: Path, tmp_path: Path) -> None:
    assert not cli.main(["data", "prepare", str(clotho), str(tmp_path / "shards")])
    samples = list(read_shards(shard_urls(str(tmp_path / "shards")), RATE))
    assert len(samples) >= 3
    assert {sample.facts["split"] for sample in samples} == {"train", "evaluation"}


def test_sounds_may_lie_in_a_folder_of_their_own_and_metadata_be_missing(clotho: Path) -> None:
    (clotho / "clotho_audio_files").mkdir()
    (clotho / "evaluation").rename(clotho / "clotho_audio_files" / "evaluation")
    (clotho / "clotho_metadata_evaluation.csv").unlink()
    row = list_recordings(clotho).rows[2]
    assert (row.file, row.licence) == ("clotho_audio_files/evaluation/c.wav", "")


def test_what_is_missing_or_leads_elsewhere_is_named(clotho: Path) -> None:
    table = clotho / "clotho_captions_evaluation.csv"
    write_table(table, [["file_name", *CAPTIONS], ["../c.wav", *"abcde"]])
    with pytest.raises(ValueError, match=r"clotho_captions_evaluation.csv: .*c.wav"):
        list_recordings(table)
    write_table(table, [["file_name", "caption_1"], ["c.wav", "a"]])
    with pytest.raises(ValueError, match="caption_2"):
        list_recordings(table)
    (clotho / "evaluation").rename(clotho / "elsewhere")
    with pytest.raises(FileNotFoundError, match="no folder evaluation"):
        list_recordings(table)
