"""The built-in aligner itself: its size, and what it knows of recordings that it never heard."""

import json
from pathlib import Path

import pytest

from tests.sounds import first_part
from woosh import cli
from woosh.catalogue import BUILT_IN, DEFAULT_ALIGNER, built_in_aligners, describe_aligner
from woosh.data.clips import load_clips
from woosh.data.manifests import read_manifest
from woosh.embeddings.clap import load_clap
from woosh.evaluation.aligner import evaluate_aligner
from woosh.taggers.labels import find_labels, read_labels

FOLDER = BUILT_IN / DEFAULT_ALIGNER


def test_it_fits_into_six_megabytes_and_is_listed() -> None:
    info = describe_aligner(FOLDER)
    assert info.size <= 6_000_000
    assert info.text_encoder_of == "woosh-tiny" and info.licence == "cc-by-4.0"
    assert DEFAULT_ALIGNER in [aligner.name for aligner in built_in_aligners()]


def test_its_vocabulary_is_words() -> None:
    labels = read_labels(find_labels(FOLDER))
    assert len(labels) == len(set(labels)) > 100
    assert {"a dog barking", "a helicopter flying", "a car alarm"} <= set(labels)
    assert all(label == label.lower().strip() for label in labels)


@pytest.mark.slow
def test_held_out_recordings(shared: Path, tmp_path: Path) -> None:
    manifest = first_part(shared, tmp_path)
    clips = load_clips(read_manifest(manifest, "validation"), manifest.parent, 32_000)
    result = evaluate_aligner(load_clap(DEFAULT_ALIGNER), clips)
    assert result["zero_shot_accuracy"] >= 0.95  # type: ignore[operator]
    assert result["text_to_audio"]["recall_at_10"] >= 0.86  # type: ignore[index]


@pytest.mark.slow
def test_a_library_is_indexed_searched_and_tagged(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = first_part(shared, tmp_path)
    rows = [row for row in read_manifest(manifest, "validation") if row.label]
    for row in rows:
        source = Path(row.file)
        target = tmp_path / "sounds" / row.label / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    assert cli.main(["index", str(tmp_path / "sounds")]) == 0
    assert f"{len(rows)} sounds: {len(rows)} heard" in capsys.readouterr().out
    found = {}
    for words, label in (
        ("rain", "rain"),
        ("a dog barking", "dog bark"),
        ("a crying baby", "baby cry"),
        ("waves at the sea", "sea waves"),
        ("a cock crowing", "rooster"),
        ("a ticking clock", "clock tick"),
    ):
        assert cli.main(["search", words, "--index", str(tmp_path / "sounds"), "-k", "5"]) == 0
        lines = capsys.readouterr().out.splitlines()
        found[words] = sum(Path(line.split(" s  ")[1]).parent.name == label for line in lines)
    assert sum(found.values()) >= 20, json.dumps(found)  # of 30; by chance 3
    path = next((tmp_path / "sounds" / "dog bark").iterdir())
    assert cli.main(["tag", str(path), "-k", "5", "--model", DEFAULT_ALIGNER]) == 0
    assert "dog" in capsys.readouterr().out.split("\n", 1)[1]
