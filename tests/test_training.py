"""Pieces of the recipes' loops: schedule, average, updates, atomic checkpoints, logs, half precision."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from woosh.training import (
    Log,
    Progress,
    Updates,
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


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    command = [sys.executable, "tests/checkpoint_loop.py", str(tmp_path)]
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    saved, generator = 0, random.Random(0)
    for _ in range(4):
        process = subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout is not None
        first = int(process.stdout.readline().removeprefix("step "))
        assert saved <= first <= saved + 1  # a save may be complete that was not told
        for _ in range(generator.randrange(1, 6)):
            saved = int(process.stdout.readline().removeprefix("step "))
        time.sleep(generator.random() * 0.02)
        process.kill()
        rest = process.stdout.read().split()
        saved = max(saved, *(int(word) for word in rest if word.isdecimal()), 0)
        assert process.wait() == -signal.SIGKILL


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


def made(
    output: Path, non_finite: str = "stop", clip_norm: float = 1.0
) -> tuple[nn.Module, Updates, Accelerator, Progress]:
    """A linear layer whose rate halves at every step."""
    torch.manual_seed(0)
    accelerator, progress = Accelerator(cpu=True), Progress()
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    schedule = LambdaLR(optimizer, lambda step: 0.5**step)
    model, optimizer = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(progress)
    parameters = list(model.parameters())
    updates = Updates(
        accelerator, [optimizer], [schedule], parameters, clip_norm, non_finite, output, progress
    )
    return model, updates, accelerator, progress


def loss_of(model: nn.Module, scale: float) -> torch.Tensor:
    return (scale * model(torch.ones(4, 3))).square().mean()


def test_steps_are_those_of_clipping_by_hand(tmp_path: Path) -> None:
    model, updates, _, _ = made(tmp_path, clip_norm=0.3)
    torch.manual_seed(0)
    by_hand = nn.Linear(3, 2)
    for step in range(3):
        updates.apply(loss_of(model, 2.0), step)
        by_hand.zero_grad()
        loss_of(by_hand, 2.0).backward()
        gradients = [value.grad for value in by_hand.parameters()]
        norm = torch.cat([grad.flatten() for grad in gradients if grad is not None]).norm()
        assert updates.gradient_norm == pytest.approx(float(norm), rel=1e-5)
        with torch.no_grad():
            for value in by_hand.parameters():
                value -= 0.5**step * value.grad * min(1.0, 0.3 / float(norm))  # type: ignore[operator]
    for first, second in zip(model.parameters(), by_hand.parameters(), strict=True):
        assert torch.allclose(first, second, atol=1e-6)
    assert updates.skipped == 0 and not updates.stopping


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_stop_saves_the_state_before_and_names_the_batch(tmp_path: Path, scale: float) -> None:
    model, updates, accelerator, progress = made(tmp_path)
    updates.apply(loss_of(model, 1.0), 7)
    progress.step = 1
    before = [value.clone() for value in model.parameters()]
    with pytest.raises(FloatingPointError, match=r"step 2, batch 8: .*non_finite=skip"):
        updates.apply(loss_of(model, scale), 8)
    facts = json.loads((tmp_path / "non_finite_0.json").read_text())
    assert facts["step"] == 2 and facts["batch"] == 8
    with torch.no_grad():
        for value in model.parameters():
            value.zero_()
    progress.step = 99
    resume_checkpoint(accelerator, tmp_path / "checkpoint")
    assert progress.step == 1
    for first, second in zip(model.parameters(), before, strict=True):
        assert torch.equal(first, second)


def test_skip_leaves_the_weights_and_counts(tmp_path: Path) -> None:
    model, updates, _, _ = made(tmp_path, "skip")
    before = [value.clone() for value in model.parameters()]
    updates.apply(loss_of(model, float("nan")), 0)
    assert updates.skipped == 1
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
    assert all(value.grad is None or not value.grad.any() for value in model.parameters())
    updates.apply(loss_of(model, 1.0), 1)
    assert updates.skipped == 1
    assert not all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))


def test_sigterm_is_heard_after_the_step(tmp_path: Path) -> None:
    model, updates, _, _ = made(tmp_path)
    os.kill(os.getpid(), signal.SIGTERM)
    assert not updates.stopping
    updates.apply(loss_of(model, 1.0), 0)
    assert updates.stopping


def test_unknown_policy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="non_finite is 'ignore'"):
        made(tmp_path, "ignore")
