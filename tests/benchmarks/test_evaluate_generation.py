"""Judging the ten classes, on a toy data set: tones of one pitch per class."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from benchmarks import evaluate_generation
from tests.sounds import tone
from tests.toys import randomise, save_pipeline
from woosh.evaluation.ten_classes import LABELS
from woosh.taggers import AudioTagger, save_tagger
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.ucs import read_mapping


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = []
    for index, label in enumerate((*LABELS, "")):
        for take in range(4):
            noise = 0.01 * np.random.default_rng(take).standard_normal(24_000)
            audio = tone(200 * 1.4**index * (1 + 0.01 * take), 0.5).numpy() + noise
            row = {
                "file": f"{index}-{take}.wav",
                "captions": ["a tone"],
                "seconds": 0.5,
                "split": "validation" if take > 1 else "train",
                "label": label,
            }
            soundfile.write(folder / str(row["file"]), audio, 48_000)
            rows.append(json.dumps(row))
    (folder / "manifest.jsonl").write_text("\n".join(rows))
    return folder / "manifest.jsonl"


@pytest.fixture
def ear(tmp_path: Path) -> str:
    network = randomise(MobileNet(0.1, classes=527), 3, gain=2.5)
    save_tagger(AudioTagger(network, tuple(read_mapping())), tmp_path / "ear")
    return f"tagger:{tmp_path / 'ear'}"


def test_copies_and_collapse_are_found_in_files(
    manifest: Path, ear: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = tmp_path / "audio"
    audio.mkdir()
    copied, _ = soundfile.read(manifest.parent / "0-0.wav")
    for seed in range(3):
        soundfile.write(audio / f"dog-bark__{seed}.wav", copied, 48_000)
        noise = 0.1 * np.random.default_rng(seed).standard_normal(24_000 * (seed + 1))
        soundfile.write(audio / f"rain__{seed}.wav", noise, 48_000)
    judged = ["--listener", ear, "--audio", str(audio), "--manifest", str(manifest)]
    evaluate_generation.main([*judged, "--json", str(tmp_path / "result.json")])
    result = json.loads((tmp_path / "result.json").read_text())["clips"]
    assert set(result) == {"dog bark", "rain"}
    for measure in ("learnt", "plain"):
        assert result["dog bark"][measure]["copied"] == 1
        assert result["dog bark"][measure]["spread"] < 0.01
    assert result["rain"]["plain"]["copied"] == 0
    assert sum(result["rain"]["taken_for"].values()) == 3
    assert "collapsed (log-mel), copies (log-mel)" in capsys.readouterr().out.replace(
        "collapsed (listener), copies (listener), ", ""
    )
    soundfile.write(audio / "violin__0.wav", copied, 48_000)
    with pytest.raises(ValueError, match=r"violin__0\.wav"):
        evaluate_generation.main(judged)


def test_generated_clips_are_saved_and_judged_again_alike(
    manifest: Path, ear: str, tmp_path: Path
) -> None:
    save_pipeline(tmp_path / "toy")
    results = []
    common = ["--listener", ear, "--manifest", str(manifest)]
    generation = ["--model", str(tmp_path / "toy"), "--save", str(tmp_path / "clips"),
                  "--clips", "2", "--seconds", "0.5", "--steps", "1"]  # fmt: skip
    for name, source in (("a", generation), ("b", ["--audio", str(tmp_path / "clips")])):
        evaluate_generation.main([*common, *source, "--json", str(tmp_path / f"{name}.json")])
        results.append(json.loads((tmp_path / f"{name}.json").read_text())["clips"])
    assert len(list((tmp_path / "clips").iterdir())) == 2 * len(LABELS)
    assert set(results[0]) == set(LABELS)
    for label, first in results[0].items():
        assert first["taken_for"] == results[1][label]["taken_for"]
        spread = results[1][label]["plain"]["spread"]
        assert first["plain"]["spread"] == pytest.approx(spread, rel=1e-2)


def test_windows_keep_the_audible_parts() -> None:
    loud = torch.ones(5 * 48_000)
    parts = evaluate_generation.windows(torch.cat([loud, 1e-4 * loud, 0.1 * loud[:100]]))
    assert [len(part) for part in parts] == [240_000, 100]
    assert evaluate_generation.windows(torch.zeros(1000)) == []
