"""Pieces of the recipes' loops: schedule, average, updates, atomic checkpoints, logs, half precision."""

import json
import math
import os
import random
import signal
import socket
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

from tests.paths import ROOT
from woosh.training import (
    Log,
    MovingAverage,
    StepCount,
    TrainingStep,
    Updates,
    adamw,
    cosine_schedule,
    list_checkpoints,
    muon,
    prepare_blocks,
    resume_checkpoint,
    save_checkpoint,
)
from woosh.training.updates import GradientLimits, Trained


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
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1, affine=False))
    average = MovingAverage(model, 0.9)
    average.follow(model)
    with torch.no_grad():
        for value in (1.0, 2.0, 3.0):
            model[0].weight.fill_(value)
            model[1].running_mean.fill_(value)
            average.update()
    expected = 1.0  # the first update copies
    for decay, value in ((2 / 11, 2.0), (3 / 12, 3.0)):  # (1 + u) / (10 + u) is below 0.9 here
        expected = decay * expected + (1 - decay) * value
    made = average.module()
    assert math.isclose(made[0].weight.item(), expected, rel_tol=1e-6)
    assert made[1].running_mean.item() == 3.0 and model[0].weight.item() == 3.0
    other = MovingAverage(model, 0.9)
    other.follow(model)
    other.load_state_dict(average.state_dict())
    assert torch.equal(other.module()[0].weight, made[0].weight) and other.updates == 3
    with pytest.raises(ValueError, match="ema_decay is 1"):
        MovingAverage(model, 1.0)


def filled(value: int) -> tuple[Accelerator, nn.Module, StepCount]:
    accelerator, model, step_count = Accelerator(), nn.Linear(2, 2), StepCount()
    model = accelerator.prepare(model)
    accelerator.register_for_checkpointing(step_count)
    fill(model, step_count, value)
    return accelerator, model, step_count


def fill(model: nn.Module, step_count: StepCount, value: int) -> None:
    step_count.step = value
    with torch.no_grad():
        model.weight.fill_(value)


def test_checkpoints_rotate_and_the_newest_complete_one_is_resumed(tmp_path: Path) -> None:
    accelerator, model, step_count = filled(0)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        resume_checkpoint(accelerator, tmp_path)
    for step in (5, 9, 10, 100):
        fill(model, step_count, step)
        save_checkpoint(accelerator, tmp_path, step, kept=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-10", "step-100"]
    (tmp_path / "step-200.partial").mkdir()  # killed while it was written
    fill(model, step_count, 0)
    resume_checkpoint(accelerator, tmp_path)
    assert step_count.step == 100 and (model.weight == 100).all()
    fill(model, step_count, 7)
    save_checkpoint(accelerator, tmp_path, 100, kept=2)  # is there, and stays as it is
    resume_checkpoint(accelerator, tmp_path)
    assert step_count.step == 100


class Deed:
    """A pickle of it makes a file when it is read as any pickle is."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize(
    "name",
    [
        "custom_checkpoint_0.pkl",
        "random_states_0.pkl",
        "optimizer.bin",
        "scheduler.bin",
        "scaler.pt",
        "pytorch_model_fsdp_0/other.pt",
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_runs_no_code(tmp_path: Path, name: str, zipped: bool) -> None:
    """A checkpoint from elsewhere must not do what its author wants, in whichever file it is hidden."""
    accelerator, _, step_count = filled(5)
    save_checkpoint(accelerator, tmp_path, 5, kept=1)
    path, trace = tmp_path / "step-5" / name, tmp_path / "trace"
    path.parent.mkdir(exist_ok=True)
    torch.save({"step": Deed(trace)}, path, _use_new_zipfile_serialization=zipped)
    step_count.step = 1
    with pytest.raises(ValueError, match=rf"{name} is damaged or holds more than"):
        resume_checkpoint(accelerator, tmp_path)
    assert not trace.exists() and step_count.step == 1


@pytest.mark.parametrize(
    "name", ["model.safetensors", "custom_checkpoint_0.pkl", "random_states_0.pkl"]
)
def test_a_checkpoint_that_was_cut_is_named(tmp_path: Path, name: str) -> None:
    """Random states that cannot be read were passed over, so that the run went on as another one."""
    accelerator, _, _ = filled(5)
    save_checkpoint(accelerator, tmp_path, 5, kept=1)
    path = tmp_path / "step-5" / name
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ValueError, match=r"step-5.* damaged"):
        resume_checkpoint(accelerator, tmp_path)


def test_a_full_disk_leaves_the_last_good_checkpoint_and_says_so(tmp_path: Path) -> None:
    """Files may grow to 1 kB only, as on a disk without space."""
    script = """
import resource, signal, sys
from pathlib import Path
from accelerate import Accelerator
from torch import nn
from woosh.training import save_checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
accelerator = Accelerator(cpu=True)
accelerator.prepare(nn.Linear(300, 300))
save_checkpoint(accelerator, Path(sys.argv[1]), 1, kept=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
save_checkpoint(accelerator, Path(sys.argv[1]), 2, kept=1)
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True
    )
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("OSError: the checkpoint") and "step-2 could not be written" in last
    assert last.endswith(f"the last good one is {tmp_path / 'step-1'}")
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    command = [sys.executable, "tests/checkpoint_loop.py", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    saved, generator = 0, random.Random(0)
    for _ in range(4):
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment
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


def test_a_log_with_losses_that_are_no_numbers_goes_on(tmp_path: Path) -> None:
    """A run that skips what is not finite may have logged it, and JSON has no word for that."""
    Log(tmp_path, Config()).write(1, {"loss": float("nan")})
    kept = (tmp_path / "log.jsonl").read_text()
    Log(tmp_path, Config(), start=1)
    assert (tmp_path / "log.jsonl").read_text() == kept


@pytest.mark.parametrize("row", ["[1]", "", '{"loss": 1.0}', '{"step": "one"}', "\x00"])
def test_a_damaged_log_is_named_with_its_line(tmp_path: Path, row: str) -> None:
    """Rows that are left out in silence would tear the curve of a run that is resumed."""
    (tmp_path / "log.jsonl").write_text(f'{{"step": 1}}\n{row}\n')
    with pytest.raises(ValueError, match=r"log\.jsonl, line 2: .* is no row of a log: delete it"):
        Log(tmp_path, Config(), start=2)


def made(
    output: Path, non_finite: str = "stop", clip_norm: float = 1.0, accumulation: int = 1
) -> tuple[nn.Module, Updates, Accelerator, StepCount]:
    """A linear layer whose rate halves at every step."""
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulation)
    step_count, model = StepCount(), nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    schedule = LambdaLR(optimizer, lambda step: 0.5**step)
    model, optimizer = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(step_count)

    def save() -> int:
        save_checkpoint(accelerator, output / "checkpoints", step_count.step, 1)
        return step_count.step + 1

    trained = Trained(list(model.parameters()), [optimizer], [schedule])
    updates = Updates(accelerator, trained, GradientLimits(clip_norm, non_finite), output, save)
    return model, updates, accelerator, step_count


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
    assert updates.skipped == 0


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_stop_saves_the_state_before_and_names_the_batch(tmp_path: Path, scale: float) -> None:
    model, updates, accelerator, step_count = made(tmp_path)
    updates.apply(loss_of(model, 1.0), 7)
    step_count.step = 1
    before = [value.clone() for value in model.parameters()]
    with pytest.raises(FloatingPointError, match=r"step 2, batches \[8\]: .*non_finite=skip"):
        updates.apply(loss_of(model, scale), 8)
    facts = json.loads((tmp_path / "non_finite_0.json").read_text())
    assert facts["step"] == 2 and facts["batches"] == [8]
    with torch.no_grad():
        for value in model.parameters():
            value.zero_()
    step_count.step = 99
    resume_checkpoint(accelerator, tmp_path / "checkpoints")
    assert step_count.step == 1
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


def test_accumulated_batches_make_the_step_of_the_large_batch(tmp_path: Path) -> None:
    inputs = torch.randn(12, 3, generator=torch.Generator().manual_seed(1))
    models = []
    for parts in (1, 4):
        model, updates, accelerator, _ = made(tmp_path, accumulation=parts, clip_norm=0.1)
        for step in range(2):
            before = [value.clone() for value in model.parameters()]
            for number, chunk in enumerate(inputs.chunk(parts)):
                with accelerator.accumulate(model):
                    updates.apply(model(chunk).square().mean(), step * parts + number)
                now = list(model.parameters())
                moved = not all(torch.equal(a, b) for a, b in zip(before, now, strict=True))
                assert moved == (number == parts - 1)
        models.append(model)
    for first, second in zip(*(model.parameters() for model in models), strict=True):
        assert torch.allclose(first, second, atol=1e-6)


def test_a_fault_in_any_accumulated_batch_is_found(tmp_path: Path) -> None:
    model, updates, accelerator, _ = made(tmp_path, accumulation=2)
    with accelerator.accumulate(model):
        updates.apply(loss_of(model, float("nan")), 4)
    with (
        accelerator.accumulate(model),
        pytest.raises(FloatingPointError, match=r"batches \[4, 5\]"),
    ):
        updates.apply(loss_of(model, 1.0), 5)


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_the_rest() -> None:
    model = nn.ModuleDict({"block": nn.Linear(3, 4), "modulation": nn.Linear(3, 3)})
    first, second = muon(model, ("block",), 0.1, 0.0)
    (matrices,) = first.param_groups
    assert [id(value) for value in matrices["params"]] == [id(model["block"].weight)]
    assert len(second.param_groups[0]["params"]) == 3 and second.defaults["fused"]


def test_adamw_leaves_frozen_parameters_out() -> None:
    model = nn.Linear(3, 4)
    model.bias.requires_grad_(False)
    (group,) = adamw(model.parameters(), 0.1, 0.0, (0.9, 0.95)).param_groups
    assert len(group["params"]) == 1


class Doubling(nn.Module):
    """Two blocks with dropout between."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(8, 8, bias=False) for _ in range(2))
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks[1](self.drop(self.blocks[0](x).tanh()))


def test_a_training_step_counts_its_operations_and_changes_nothing() -> None:
    torch.manual_seed(0)
    model = Doubling()
    step = TrainingStep(model, lambda network, x: (network(x).sum(), {}))
    x = torch.randn(5, 8)
    torch.manual_seed(1)
    expected = model(x).sum()
    torch.manual_seed(1)
    loss, _ = step(x)
    assert torch.equal(loss, expected)
    once = 3 * 2 * (2 * 5 * 8 * 8)  # forward and twice backward, two layers, a product and a sum
    assert step.operations == once
    step(x)
    step(torch.randn(10, 8))
    assert step.operations == 4 * once


def test_checkpointed_blocks_give_the_same_gradients_and_keep_their_names() -> None:
    gradients = []
    for checkpointed in (False, True):
        torch.manual_seed(0)
        model = Doubling()
        names = list(model.state_dict())
        prepare_blocks(model.blocks, checkpointed, compiled=False)
        assert list(model.state_dict()) == names
        torch.manual_seed(1)
        model(torch.ones(5, 8, requires_grad=True)).square().sum().backward()
        gradients.append([value.grad for value in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_unknown_policy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="non_finite is 'ignore'"):
        made(tmp_path, "ignore")


@pytest.mark.slow
def test_the_average_of_sharded_weights_is_that_of_whole_ones() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "tests/sharded_average.py", str(rank), port],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors[-2000:]
