"""What studies share: folds that keep recordings apart, devices, trainings that differ by their plan alone, and results."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.sounds import sound
from woosh.audio import write_audio
from woosh.taggers.tagger import AudioTagger
from woosh.training.taggers.networks import NetworkConfig
from woosh.training.taggers.parallel import ParallelConfig
from woosh.training.taggers.pruning import with_int8_weights
from woosh.training.taggers.studies import (
    FRONT_END,
    RATE,
    Material,
    Plan,
    Study,
    accuracy,
    by_several_devices,
    fold_of,
    read_material,
    recorded_by,
    run_study,
    table,
    train,
)
from woosh.training.taggers.teaching import TaughtSound, whole_numbers

SMALL = Plan(NetworkConfig("cp-resnet", 4, None))
SECONDS = torch.arange(RATE) / RATE


def tone(frequency: float, label: str) -> TaughtSound:
    audio = 0.3 * torch.sin(2 * torch.pi * frequency * SECONDS)
    return TaughtSound(whole_numbers(audio.numpy()), (label,), None)


@pytest.fixture(scope="module")
def material() -> Material:
    """Low and high tones in five folds, and devices that change the level and delay."""
    folds = [[tone(300 + n, "low"), tone(3000 + n, "high")] for n in range(5)]
    devices = [np.array([0.0] * n + [2.0]) for n in range(6)]
    return Material(folds, ("high", "low"), devices[:3], devices[3:])


def test_folds_are_those_of_the_names(tmp_path: Path) -> None:
    """A recording's takes have one fold in their names, and rows of other sources stay out."""
    rows = []
    for fold in (1, 2, 5):
        name = f"001-rain__{fold}-{fold}-a.wav"
        write_audio(tmp_path / name, sound(fold, 0.2), 48_000)
        rows.append({"file": name, "captions": ["x"], "seconds": 0.2, "label": "rain"})
    known = [row | {"source": "karoldvl/ESC-10"} for row in rows[:2]]
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, [*known, rows[2]])))
    found = read_material(tmp_path / "manifest.jsonl")
    assert [len(fold) for fold in found.folds] == [1, 1]
    assert [fold_of(row["file"]) for row in rows] == [1, 2, 5]
    training, left_out = found.split(4)  # the second fold again
    assert left_out == found.folds[1] and training == found.folds[0]
    (tmp_path / "manifest.jsonl").write_text(json.dumps(known[0]))
    with pytest.raises(ValueError, match="one fold"):
        read_material(tmp_path / "manifest.jsonl")


def test_devices_record_a_share_each(material: Material) -> None:
    """Nothing is lost or heard twice, and a device keeps the level of a sound."""
    sounds = [s for fold in material.folds for s in fold][:8]
    changed = by_several_devices(sounds, material.recording)
    assert sorted(s.labels for s in changed) == sorted(s.labels for s in sounds)
    kept = sum(any(c.audio is s.audio for s in sounds) for c in changed)
    assert kept == 2
    later = recorded_by(sounds[:1], material.unseen[0])[0].samples(RATE)
    own = sounds[0].samples(RATE)
    assert np.abs(later[3:] - own[:-3]).max() < 0.001 * 32_768  # three places later, no louder


def test_a_term_without_weight_changes_nothing(material: Material) -> None:
    """Plans that differ in nothing train the very same network; a term with weight another one."""
    without = replace(SMALL, parallel=ParallelConfig(0.0, 4))
    weighty = replace(SMALL, parallel=ParallelConfig(1.0, 4))
    first, same, other = (train(p, material, 1, 2) for p in (SMALL, without, weighty))
    weights = [list(t.network.parameters()) for t in (first, same, other)]
    assert all(torch.equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))


def test_low_and_high_tones_are_told_apart(material: Material) -> None:
    tagger = train(SMALL, material, 2, 25)
    assert accuracy(tagger, material.split(2)[1]) == 1
    rounded = AudioTagger(with_int8_weights(tagger.network), tagger.labels, FRONT_END).eval()
    assert accuracy(rounded, material.split(2)[1]) == 1


def test_results_stay_and_are_not_made_again(material: Material, tmp_path: Path) -> None:
    """A second call trains what is missing alone: more trials, but no kind and trial twice."""
    seen = []

    def measure(_tagger: AudioTagger, _material: Material, trial: int) -> dict[str, float]:
        seen.append(trial)
        return {"accuracy": 0.25 * trial}

    study = Study(Path(), Path(), tmp_path / "rows.jsonl", None, 1, 1, ())
    run_study(study, {"a": SMALL}, material, measure)
    rows = run_study(replace(study, trials=2), {"a": SMALL}, material, measure)
    assert seen == [1, 2] and [row["accuracy"] for row in rows] == [0.25, 0.5]
    assert "| a | 37.5 +- 17.7 |" in table(rows, ("accuracy",), ())
    with pytest.raises(ValueError, match="no kind b; there are a"):
        run_study(replace(study, kinds=("b",)), {"a": SMALL}, material, measure)


def test_weights_of_eight_bits_are_multiples_of_their_rows_scale() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 4, 3)
    rounded = with_int8_weights(layer).weight.flatten(1)
    own = layer.weight.flatten(1)
    scale = own.abs().amax(dim=1, keepdim=True) / 127
    assert ((rounded / scale).round() * scale - rounded).abs().max() < 1e-7
    assert ((own - rounded).abs() <= scale / 2 + 1e-7).all() and not torch.equal(own, rounded)
