"""The built-in tagger itself: its size, its labels, and what it hears in recordings that it never heard."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.evaluate_tagger import probabilities, ten_class_accuracy
from tests.paths import SHARED
from woosh import cli
from woosh.catalogue import BUILT_IN, DEFAULT_TAGGER, built_in_taggers, describe_tagger
from woosh.data.manifests import read_manifest
from woosh.embeddings.tagging import load_tagger
from woosh.evaluation.ten_classes import LABELS
from woosh.metrics.precision import agreement
from woosh.taggers import load_tagger as load_network
from woosh.taggers.ucs import read_mapping

MN04 = SHARED / "official" / "mn04" / "mn04_as_mAP_432.pt"


def test_it_fits_into_the_wheel_and_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    info = describe_tagger(BUILT_IN / DEFAULT_TAGGER)
    assert info.size <= 3_500_000 and info.parameters <= 1_500_000 and info.licence == "cc-by-4.0"
    assert DEFAULT_TAGGER in [tagger.name for tagger in built_in_taggers()]
    assert cli.main(["models"]) == 0
    assert f"{DEFAULT_TAGGER}  1.0 M parameters" in capsys.readouterr().out
    card = (BUILT_IN / DEFAULT_TAGGER / "README.md").read_text()
    assert "tagger-mn04_as_mAP_432 (MIT, sha256 899a8c6217063f69)" in card


def test_it_has_audioset_s_labels_in_their_order() -> None:
    assert load_network(DEFAULT_TAGGER).labels == tuple(read_mapping())


def test_a_tone_is_named_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        cli.main(["generate", "a dog barking", "-o", str(tmp_path / "dog.wav"), "--seed", "1"]) == 0
    )
    capsys.readouterr()
    assert cli.main(["tag", str(tmp_path / "dog.wav"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["labels"]) == 5
    assert all(0 <= tag["score"] <= 1 for tag in found["labels"])


@pytest.mark.slow
@pytest.mark.skipif(not MN04.is_file(), reason="no shared checkpoint mn04")
def test_it_hears_held_out_recordings_as_its_teacher_does() -> None:
    manifest = SHARED / "data" / "sfx" / "manifest.jsonl"
    rows = [row for row in read_manifest(manifest, "validation") if row.seconds >= 0.05]
    rows = [row for place, row in enumerate(rows) if row.label in LABELS or place % 4 == 0]
    paths = [manifest.parent / row.file for row in rows]
    own, teacher = load_tagger(DEFAULT_TAGGER, None), load_tagger(f"tagger:{MN04}", None)
    scores = probabilities(own, paths)
    found = agreement(scores, probabilities(teacher, paths))
    right, clips = ten_class_accuracy(own, scores, [row.label for row in rows])
    assert torch.isfinite(scores).all()
    assert found.mean_average_precision >= 0.78 and found.same_first >= 0.57
    assert right / clips >= 0.95
