"""Pieces of the recipes' loops: schedule, average, atomic checkpoints, logs, half precision."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from woosh.training import (
    Log,
    Progress,
    cosine_schedule,
    half,
    moving_average,
    resume_checkpoint,
    save_checkpoint,
)


def test_schedule_warms_up_and_falls_to_its_fraction() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = cosine_schedule(optimizer, 4, 20, final_fraction=0.1)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[12] == pytest.approx(0.55)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_moving_average_is_the_closed_form() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = moving_average(model, 0.9)
    with torch.no_grad():
        for value in (1.0, 2.0, 3.0):
            model.weight.fill_(value)
            average.update_parameters(model)
    expected = 1.0  # the first update copies
    for value in (2.0, 3.0):
        expected = 0.9 * expected + 0.1 * value
    assert math.isclose(average.module.weight.item(), expected, rel_tol=1e-6)


def test_checkpoint_resumes_and_survives_a_kill_between_the_renames(tmp_path: Path) -> None:
    accelerator, model, progress = Accelerator(), nn.Linear(2, 2), Progress()
    model = accelerator.prepare(model)
    accelerator.register_for_checkpointing(progress)
    folder = tmp_path / "checkpoint"
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        resume_checkpoint(accelerator, folder)
    for step in (1, 2):
        progress.step = step
        with torch.no_grad():
            model.weight.fill_(step)
        save_checkpoint(accelerator, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    progress.step = 9
    with torch.no_grad():
        model.weight.fill_(9)
    folder.rename(tmp_path / "checkpoint.old")  # killed after the first rename
    resume_checkpoint(accelerator, folder)
    assert progress.step == 2 and (model.weight == 2).all()


@dataclass(frozen=True)
class Config:
    rate: float = 0.1
    sizes: tuple[int, ...] = (1, 2)


def test_log_starts_anew_or_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    log = Log(tmp_path, Config())
    for step in (1, 2, 3):
        log.write(step, {"loss": 0.123456789}, 8, "clips")
    with log.path.open("a") as file:
        file.write('{"step": 4, "lo')
    Log(tmp_path, Config(), start=2).write(3, {"loss": 0.1}, 8, "clips")
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3] and rows[2]["loss"] == 0.1
    assert rows[0]["loss"] == 0.12346 and rows[0]["clips_per_second"] > 0
    assert (tmp_path / "config.yaml").read_text() == "rate: 0.1\nsizes:\n- 1\n- 2\n"
    Log(tmp_path, Config())
    assert (tmp_path / "log.jsonl").read_text() == ""


def test_half_refuses_what_it_cannot_hold() -> None:
    model = nn.Linear(2, 2)
    assert half(model).weight.dtype == torch.float16
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.bias[0] = 1e6
    with pytest.raises(ValueError, match="bias holds values beyond"):
        half(model)
