"""The recipe of imitation at toy size: block by block, then in a row; resumed exactly."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.recipes.toy_recipes import (
    Killed,
    check_end,
    imitation_config,
    killed_after_saving,
    same,
    toy_tagger,
    weights,
)
from training import imitate_tagger
from woosh.taggers import AudioTagger, load_tagger, save_tagger
from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.mobilenet import MobileNet
from woosh.training.config import replace_fields
from woosh.training.taggers.imitation import ImitationSettings, learner_for


@pytest.fixture(scope="module")
def blocks_run(taught_run: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "blocks"
    imitate_tagger.main(imitation_config(taught_run, teacher, output))
    return output


def test_recipe_writes_a_tagger_its_log_and_its_evaluation(blocks_run: Path) -> None:
    tagger = load_tagger(blocks_run / "tagger")
    assert tagger.labels == ("bell", "dog bark", "rain")
    rows = [json.loads(line) for line in (blocks_run / "log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert len(losses) == 2 and np.isfinite(losses).all()
    assert [row["step"] for row in rows if "same_first" in row] == [4]
    result = json.loads((blocks_run / "evaluation.json").read_text())
    assert result["sounds"] == 10 and 0 <= result["same_first"] <= 1


def test_what_blocks_learned_alone_is_where_the_row_begins(
    blocks_run: Path, taught_run: Path, teacher: Path, tmp_path: Path
) -> None:
    config = imitation_config(taught_run, teacher, tmp_path / "run")
    config = replace_fields(
        config, initial=str(blocks_run / "tagger"), alone=False, learning_rate=1e-9
    )
    imitate_tagger.main(config)
    before, after = (load_tagger(run / "tagger") for run in (blocks_run, tmp_path / "run"))
    for name, value in before.network.named_parameters():
        torch.testing.assert_close(after.network.get_parameter(name), value, atol=1e-6, rtol=0)


@pytest.mark.parametrize("crop_seconds", [None, 0.3])
def test_a_resumed_run_equals_an_uninterrupted_one(
    crop_seconds: float | None,
    taught_run: Path,
    teacher: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = imitation_config(taught_run, teacher, tmp_path / "run")
    config = replace_fields(config, alone=False, crop_seconds=crop_seconds)
    imitate_tagger.main(replace_fields(config, output=str(tmp_path / "whole")))
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            imitate_tagger.main(config)
    imitate_tagger.main(replace_fields(config, resume=True))
    first, second = (weights(tmp_path / run / "tagger" / "network") for run in ("run", "whole"))
    assert same(first, second)
    check_end(imitate_tagger.main, config, "tagger")


def test_fixed_statistics_are_those_of_the_first_tagger(
    blocks_run: Path, taught_run: Path, teacher: Path, tmp_path: Path
) -> None:
    config = imitation_config(taught_run, teacher, tmp_path / "run")
    config = replace_fields(
        config, initial=str(blocks_run / "tagger"), alone=False, fixed_statistics=True
    )
    imitate_tagger.main(config)
    before, after = (load_tagger(run / "tagger").network for run in (blocks_run, tmp_path / "run"))
    for name, value in before.named_buffers():
        assert torch.equal(after.get_buffer(name), value)
    assert not any(
        torch.equal(after.get_parameter(name), value) for name, value in before.named_parameters()
    )


def test_a_teacher_is_learned_by_heart_block_by_block() -> None:
    torch.manual_seed(0)
    teacher = MobileNet(0.1, classes=3).eval()
    network = learner_for(teacher)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    mel = torch.randn(3, 1, 128, 40)
    settings = ImitationSettings(True, 1.0, 1.0, 1.0, 0.0)
    losses = []
    for _ in range(100):
        loss, terms = imitate_tagger.training_step(network, mel, teacher, settings)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(terms["maps"].item() + terms["logits"].item())
    assert losses[-1] < 0.1 * losses[0]


def test_refusals(taught_run: Path, teacher: Path, tmp_path: Path) -> None:
    dynamic = tmp_path / "dynamic"
    network = DynamicMobileNet(width=0.1, classes=3)
    save_tagger(AudioTagger(network, ("bell", "dog bark", "rain")), dynamic)
    other = tmp_path / "other"
    save_tagger(toy_tagger(1, ("bell", "door", "rain")), other)
    config = imitation_config(taught_run, teacher, tmp_path / "run")
    for number, (change, message) in enumerate(
        (
            ({"teacher": str(dynamic)}, "is a DynamicMobileNet: name a MobileNet"),
            ({"initial": str(dynamic)}, "is a DynamicMobileNet: name a MobileNet"),
            ({"initial": str(other)}, "has another shape or other labels than teacher"),
            ({"initial": "woosh-tiny-tagger"}, "has another shape or other labels than teacher"),
            ({"fixed_statistics": True}, "name the tagger `initial`"),
            ({"teacher": str(tmp_path / "none")}, "unknown tagger"),
            ({"split": "test"}, "no sound of the split 'test'"),
        )
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            imitate_tagger.main(
                replace_fields(config, **change, output=str(tmp_path / str(number)))
            )
