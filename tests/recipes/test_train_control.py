"""Gates that take the device out: a toy PaSST's tagger gets them, is controlled, and is itself at 0."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.recipes.toy_recipes import CONFIGS, Killed, killed_after_saving, same, weights
from tests.sounds import RATE, sound
from training import train_control, train_tagger
from woosh.taggers import load_tagger
from woosh.training.config import load_config, replace_fields

TOY = {"steps": 4, "batch_size": 4, "log_every": 2, "save_every": 2, "warmup_steps": 1}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labels by two devices in both splits."""
    folder, rows = tmp_path_factory.mktemp("devices"), []
    for number in range(16):
        label, device = ("door", "sword")[number % 2], ("a", "b")[number // 2 % 2]
        audio = sound(number, seconds=0.5)
        soundfile.write(folder / f"{number}.wav", (audio if device == "a" else -audio / 2).T, RATE)
        split = "train" if number < 8 else "validation"
        row = {"file": f"{number}.wav", "captions": [label], "seconds": 0.5, "split": split}
        rows.append(json.dumps(row | {"label": label, "device": device}))
    (folder / "manifest.jsonl").write_text("\n".join(rows))
    return folder / "manifest.jsonl"


@pytest.fixture(scope="module")
def plain(manifest: Path) -> Path:
    """The tagger that gets the gates."""
    config = replace_fields(
        load_config(train_tagger.Config, CONFIGS / "tagger_own.yaml"),
        **{**TOY, "data": str(manifest), "output": str(manifest.parent / "plain")},
        **{"network": "passt", "initial": None, "width": 8.0, "depth": 2, "heads": 2},
        **{"patch_stride": 16, "longest_frames": 60, "crop_seconds": 0.4, "mixup": 0.0},
    )
    train_tagger.main(config)
    return manifest.parent / "plain" / "tagger"


@pytest.fixture
def config(manifest: Path, plain: Path, tmp_path: Path) -> train_control.Config:
    return replace_fields(
        load_config(train_control.Config, CONFIGS / "control_tiny.yaml"),
        **{**TOY, "data": str(manifest), "tagger": str(plain), "output": str(tmp_path / "run")},
        **{"crop_seconds": 0.4, "hidden": 8},
    )


def test_a_controlled_tagger_is_the_plain_one_at_0_and_another_at_1(
    config: train_control.Config, plain: Path, tmp_path: Path
) -> None:
    train_control.main(replace_fields(config, gate="L", gate_learning_rate=1.0))
    folder = tmp_path / "run" / "tagger"
    audio = torch.randn(2, 12_000) * 0.1
    with torch.no_grad():
        before = load_tagger(plain)(audio)
        for kept in (load_tagger(folder), load_tagger(folder, control={"device": 0.0})):
            for ours, theirs in zip(kept(audio), before, strict=True):
                torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
        halfway, closed = (
            load_tagger(folder, control={"device": t})(audio).features for t in (0.7, 1.0)
        )
    assert not torch.allclose(halfway, before.features, atol=1e-5)
    assert not torch.allclose(halfway, closed, atol=1e-5)
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert list(result) == ["0", "0.25", "0.5", "0.75", "1"]
    assert all(0 <= value <= 1 for row in result.values() for value in row.values())


@pytest.mark.parametrize("joint", [False, True])
def test_a_resumed_run_equals_an_uninterrupted_one(
    joint: bool, config: train_control.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace_fields(config, train_network=joint)
    train_control.main(replace_fields(config, output=str(tmp_path / "whole")))
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            train_control.main(config)
    train_control.main(replace_fields(config, resume=True))
    first, second = (weights(tmp_path / run / "tagger" / "network") for run in ("run", "whole"))
    assert same(first, second)


def test_gates_learn_at_1_and_the_network_at_0_alone(
    config: train_control.Config, plain: Path, tmp_path: Path
) -> None:
    """Joint training moves both; without it the network's weights stay bit for bit."""
    start = load_tagger(plain).network.state_dict()
    moved = {}
    for joint in (False, True):
        output = tmp_path / str(joint)
        train_control.main(replace_fields(config, train_network=joint, output=str(output)))
        learned = weights(output / "tagger" / "network")
        moved[joint] = [n for n, v in start.items() if not torch.equal(learned[f"passt.{n}"], v)]
        assert any(
            float(v.abs().max())
            for n, v in learned.items()
            if n.endswith("0.weight") and "congater" in n
        )
    assert moved[False] == [] and len(moved[True]) > 10


def test_refusals(config: train_control.Config, manifest: Path, plain: Path) -> None:
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    alike = manifest.parent / "alike.jsonl"
    alike.write_text("\n".join(json.dumps(row | {"device": "a"}) for row in rows))
    for changes, message in (
        ({"mixup": 0.3}, "mixup is above 0"),
        ({"data": str(alike)}, "two or more are needed"),
        ({"tagger": "woosh-tiny-tagger"}, "woosh-tiny-tagger is a MobileNet"),
    ):
        with pytest.raises(ValueError, match=message):
            train_control.main(replace_fields(config, **changes))
    for control, message in (
        ({"room": 0.5}, "no control 'room': it has none"),
        ({"device": np.nan}, "no control 'device': it has none"),
    ):
        with pytest.raises(ValueError, match=message):
            load_tagger(plain, control=control)
