"""Teachers at toy size: their answers lie beside the very sounds that they heard, whoever wrote the shards."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.recipes.toy_recipes import teach_config, toy_tagger
from training import teach
from woosh.data.shards import read_items
from woosh.data.sources import load_source
from woosh.taggers import load_tagger, save_tagger
from woosh.training.config import replace_fields
from woosh.training.taggers.teaching import (
    SUMMARY,
    TaughtSound,
    read_summary,
    read_taught,
)

RATE = 32_000


def sounds_of(folder: Path) -> list[TaughtSound]:
    paths = sorted(folder.glob("*.tar"))
    return [read_taught(item, str(p), RATE) for p in paths for item in read_items(str(p))]


def test_every_sound_has_the_answer_of_its_teacher(taught_run: Path, teacher: Path) -> None:
    sounds = sounds_of(taught_run)
    assert len(sounds) == 10 and len(list(taught_run.glob("*.tar"))) == 3
    assert {len(sound.audio) for sound in sounds} <= {6_400, 12_800}
    tagger = load_tagger(teacher)
    for sound in sounds:
        with torch.no_grad():
            heard = tagger(torch.from_numpy(sound.audio[None] / 32_768).float()).logits[0]
        # The teacher heard the sound before it was rounded to 16 bits.
        assert sound.teacher is not None
        np.testing.assert_allclose(sound.teacher, heard.numpy(), atol=0.02)
    assert np.std([sound.teacher for sound in sounds], axis=0).min() > 1e-3
    summary = json.loads((taught_run / SUMMARY).read_text())
    assert summary["labels"] == ["bell", "dog bark", "rain"] and len(summary["teachers"]) == 1
    assert read_summary(taught_run).labels == ("bell", "dog bark", "rain")


def test_the_shards_are_plain_sounds_with_captions_too(taught_run: Path) -> None:
    clips = load_source(str(taught_run), "train", RATE)
    assert len(clips) == 10 and {"a tone"} <= {text for clip in clips for text in clip.captions}


def test_an_ended_run_goes_on_where_it_was(
    taught_run: Path, manifest: Path, teacher: Path, tmp_path: Path
) -> None:
    config = teach_config(manifest, teacher, tmp_path / "taught")
    shutil.copytree(taught_run, tmp_path / "taught")
    (tmp_path / "taught" / "config.yaml").unlink()
    missing = tmp_path / "taught" / "taught-000001.tar"
    before = missing.read_bytes()
    missing.unlink()
    teach.main(config)
    assert missing.read_bytes() == before
    with pytest.raises(FileExistsError, match="other settings"):
        teach.main(replace_fields(config, seed=1))


def test_the_answers_of_several_are_averaged(
    taught_run: Path, manifest: Path, teacher: Path, tmp_path: Path
) -> None:
    save_tagger(toy_tagger(2, ("bell", "dog bark", "rain")), tmp_path / "other")
    config = teach_config(manifest, teacher, tmp_path / "both")
    both = replace_fields(config, teachers=(*config.teachers, f"tagger:{tmp_path / 'other'}"))
    teach.main(both)
    teach.main(
        replace_fields(
            both, teachers=(f"tagger:{tmp_path / 'other'}",), output=str(tmp_path / "alone")
        )
    )
    first, second, mean = (
        np.stack([sound.teacher for sound in sounds_of(folder)])  # type: ignore[misc]
        for folder in (taught_run, tmp_path / "alone", tmp_path / "both")
    )
    np.testing.assert_allclose((first + second) / 2, mean, atol=5e-3)


def test_refusals(manifest: Path, teacher: Path, tmp_path: Path) -> None:
    config = teach_config(manifest, teacher, tmp_path / "taught")
    save_tagger(toy_tagger(2, ("rain",)), tmp_path / "other")
    for change, message in (
        ({"teachers": ()}, "name a tagger"),
        ({"teachers": ("log-mel",)}, "log-mel"),
        ({"teachers": (*config.teachers, f"tagger:{tmp_path / 'other'}")}, "different labels"),
        ({"teachers": ("tagger:none.pt",)}, "unknown tagger 'none.pt'"),
        ({"seconds": ()}, "lengths are"),
        ({"seconds": (2.0, 1.0)}, "ascending"),
        ({"data": (), "procedural_clips": 0}, "nothing to hear"),
        ({"response_share": 0.5}, "no impulse responses"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            teach.main(replace_fields(config, **change))
    assert not list((tmp_path / "taught").glob("*.tar"))
