"""The recipe of the network that watches, at toy size: it learns, resumes exactly, and judges itself."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from tests.recipes.toy_recipes import Killed, check_end, killed_after_saving, same, weights
from training import train_visual as recipe
from woosh.scenes import FAMILIES, FRAME_RATE
from woosh.training.config import replace_fields
from woosh.video.visual import VisualEncoder


@pytest.fixture(scope="module")
def trained(visual_config: recipe.Config) -> Path:
    recipe.main(visual_config)
    return Path(visual_config.run.output)


def test_it_writes_a_network_a_log_and_scores(trained: Path) -> None:
    model = VisualEncoder.from_pretrained(trained / "visual")
    assert model.config.families == len(FAMILIES)
    rows = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    scores = json.loads((trained / "evaluation.json").read_text())
    assert set(scores) == {
        *(f"event_f1_{tolerance}" for tolerance in ("0.02", "0.05", "0.1")),
        "intensity_correlation",
        "family_accuracy",
    }


def test_a_resumed_run_equals_an_uninterrupted_one(
    trained: Path, visual_config: recipe.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = replace_fields(visual_config, output=str(tmp_path / "run"))
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            recipe.main(again)
    recipe.main(replace_fields(again, resume=True))
    assert same(weights(trained / "visual"), weights(tmp_path / "run" / "visual"))
    check_end(recipe.main, again, "visual")


def test_a_run_whose_every_process_is_asked_to_end_saves_first(
    visual_config: recipe.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = replace_fields(
        visual_config, output=str(tmp_path / "run"), workers=1, steps=40, save_every=40
    )
    step, calls = recipe.training_step, []

    def asked_to_end(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:  # each step is first counted, by a copy of the network
            own = psutil.Process()
            asked = [str(process.pid) for process in (*own.children(), own)]
            # By a stranger, as a scheduler is: a worker that its own parent asks would leave quietly.
            kill = "import os, sys; [os.kill(int(pid), 15) for pid in sys.argv[1:]]"
            subprocess.run([sys.executable, "-c", kill, *asked], check=True)
        return step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "training_step", asked_to_end)
        recipe.main(again)
    steps = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert len(steps) == 1 and steps != ["step-40"]
    recipe.main(replace_fields(again, resume=True))
    rows = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == list(range(1, 41))


def test_records_say_what_the_clips_do(visual_config: recipe.Config) -> None:
    clips = [recipe.scene(seed, visual_config) for seed in range(8)]
    batch = recipe.make_batch(clips)
    assert batch.frames.shape == (8, 48, 3, 32, 32)
    for row, clip in enumerate(clips):
        frames = batch.record.event[row].nonzero().flatten()
        if clip.intensity is not None:
            assert len(frames) == 0 and batch.record.goes_on[row]
            continue
        found = (frames + batch.record.offset[row][frames]) / FRAME_RATE
        assert found.tolist() == pytest.approx(list(clip.events), abs=1e-4)


def test_it_learns_the_clips_that_it_sees(visual_config: recipe.Config) -> None:
    torch.manual_seed(0)
    model = VisualEncoder(32, 8, 16, len(FAMILIES))
    batch = recipe.make_batch([recipe.scene(seed, visual_config) for seed in range(6)])
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    losses = []
    for _ in range(60):
        loss, _ = recipe.training_step(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
