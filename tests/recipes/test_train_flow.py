"""The flow's recipe at toy size: it runs, learns, resumes exactly."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.recipes.toy_recipes import (
    Killed,
    check_end,
    flow_config,
    killed_after_saving,
    same,
    weights,
)
from tests.toys import (
    TEXT_WIDTH,
    make_transformer,
)
from training import train_flow
from woosh.generation.flow import flow_loss
from woosh.generation.transformer import WooshTransformer
from woosh.training import run
from woosh.training.config import replace_fields
from woosh.training.flow.steps import FlowBatch, Prompts


def test_flow_recipe_writes_the_average_and_a_log(flow_run: Path) -> None:
    model = WooshTransformer.from_pretrained(flow_run / "transformer")
    assert model.config.text_width == TEXT_WIDTH and model.final.linear.weight.abs().sum() > 0
    rows = [json.loads(line) for line in (flow_run / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert all(np.isfinite(row["error"]) and row["clips_per_second"] > 0 for row in rows)


@pytest.mark.slow
def test_compiled_blocks_give_the_same_training(
    latents_run: Path, text_run: Path, tmp_path: Path
) -> None:
    """With crops of one length: each costs half a minute of compiling, alike for all."""
    errors = []
    for name, compiled in (("plain", False), ("compiled", True)):
        config = replace_fields(
            flow_config(latents_run, text_run, tmp_path / name),
            lengths=(20,),
            length_chances=(1.0,),
            compile=compiled,
        )
        train_flow.main(config)
        rows = (tmp_path / name / "log.jsonl").read_text().splitlines()
        errors.append([json.loads(row)["error"] for row in rows])
    assert errors[1] == pytest.approx(errors[0], rel=1e-3)


def test_a_resumed_flow_equals_an_uninterrupted_one(
    flow_run: Path,
    latents_run: Path,
    text_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = flow_config(latents_run, text_run, tmp_path / "run")
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            train_flow.main(config)
    train_flow.main(replace_fields(config, resume=True))
    assert same(weights(flow_run / "transformer"), weights(tmp_path / "run" / "transformer"))
    check_end(train_flow.main, config, "transformer")


def test_sigterm_ends_a_run_that_goes_on_as_if_nothing_had_been(
    flow_run: Path,
    latents_run: Path,
    text_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = flow_config(latents_run, text_run, tmp_path / "run")
    draw = train_flow.draw_noise

    def asked_to_end(latents: torch.Tensor, *settings: Any) -> tuple:
        if settings[-1] == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return draw(latents, *settings)

    with monkeypatch.context() as patch:
        patch.setattr(train_flow, "draw_noise", asked_to_end)
        train_flow.main(config)
    rows = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [2]
    train_flow.main(replace_fields(config, resume=True))
    assert same(weights(flow_run / "transformer"), weights(tmp_path / "run" / "transformer"))


def test_sigterm_at_the_end_lets_the_export_be_written(
    flow_run: Path,
    latents_run: Path,
    text_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scheduler's warning must not cost what the training was for."""
    write, asked = run.write_whole, []

    def asked_while_writing(target: Path, make: Callable[[Path], Any]) -> Any:
        def make_slowly(path: Path) -> Any:
            asked.append(target.name)
            os.kill(os.getpid(), signal.SIGTERM)
            return make(path)

        return write(target, make_slowly)

    monkeypatch.setattr(run, "write_whole", asked_while_writing)
    config = flow_config(latents_run, text_run, tmp_path / "run")
    train_flow.main(replace_fields(config, save_every=6))
    assert asked == ["transformer"]
    assert same(weights(flow_run / "transformer"), weights(tmp_path / "run" / "transformer"))


def test_a_faulty_batch_stops_the_run_or_is_skipped(
    latents_run: Path, text_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = flow_config(latents_run, text_run, tmp_path / "run")
    draw = train_flow.draw_noise

    def faulty(latents: torch.Tensor, *settings: Any) -> tuple:
        noise, time = draw(latents, *settings)
        return noise * float("nan") if settings[-1] == 3 else noise, time

    monkeypatch.setattr(train_flow, "draw_noise", faulty)
    with pytest.raises(FloatingPointError, match=r"step 4, batches \[3\]"):
        train_flow.main(config)
    train_flow.main(replace_fields(config, resume=True, non_finite="skip"))
    rows = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [2, 4, 6]
    assert json.loads(rows[-1])["skipped"] == 1
    assert all(
        value.isfinite().all() for value in weights(tmp_path / "run" / "transformer").values()
    )


def test_flow_overfits_one_batch() -> None:
    model = make_transformer()
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 8, 20, generator=generator)
    noise = torch.randn(2, 8, 20, generator=generator)
    prompts = Prompts(torch.randn(2, 12, TEXT_WIDTH, generator=generator), torch.ones(2, 12))
    batch = FlowBatch(latents, prompts, noise, torch.tensor([0.3, 0.8]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    errors = []
    for _ in range(80):
        loss, logs = train_flow.training_step(model, batch, torch.ones(8))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(logs["error"].item())
    assert errors[-1] < 0.3 * errors[0]


def test_training_step_starts_at_the_variance_of_the_target() -> None:
    """The network starts with velocity zero, so the first error is the target's power."""
    model = make_transformer()
    latents, noise = torch.randn(2, 8, 20), torch.randn(2, 8, 20)
    prompts = Prompts(torch.randn(2, 12, TEXT_WIDTH), torch.ones(2, 12))
    weight = torch.arange(8) / 3.5
    batch = FlowBatch(latents, prompts, noise, torch.tensor([0.3, 0.8]))
    _, logs = train_flow.training_step(model, batch, weight)
    power = (noise - latents).square().mean(dim=(0, 2))
    assert torch.allclose(logs["weighted_error"], (weight * power).mean())
    assert torch.allclose(logs["error"], flow_loss(torch.zeros_like(noise), noise - latents))


def test_a_run_listens_and_hands_its_sounds_to_tensorboard(
    latents_run: Path, magnitude_run: Path, text_run: Path, manifest: Path, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace_fields(
        flow_config(latents_run, text_run, tmp_path / "run"),
        trackers=("tensorboard",),
        evaluate_every=3,
        autoencoder=str(magnitude_run / "autoencoder"),
        held_out=str(manifest),
        held_out_split="train",
        held_out_clips=4,
        held_out_seconds=0.3,
    )
    train_flow.main(config)
    rows = [json.loads(r) for r in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    heard = [row for row in rows if "kernel_distance" in row]
    assert [row["step"] for row in heard] == [3, 6]
    assert all(-1 <= row["clap_score"] <= 1 for row in heard)
    losses = {row["step"]: row["loss"] for row in rows if "loss" in row}
    assert all(row["tflops"] > 0 and row["memory_gib"] > 0 for row in rows if "loss" in row)
    (folder,) = (path.parent for path in (tmp_path / "run").rglob("events.out.*"))
    events = EventAccumulator(str(folder), {"audio": 0, "images": 0, "scalars": 0})
    events.Reload()
    assert {event.step: event.value for event in events.Scalars("loss")} == pytest.approx(losses)
    assert [event.step for event in events.Images("a tone")] == [3, 3, 3, 3, 6, 6, 6, 6]
    assert len(events.Audio("a tone")) == 8 and events.Audio("a tone")[0].sample_rate == 48_000
    with pytest.raises(ValueError, match="name autoencoder, held_out"):
        train_flow.main(replace_fields(config, output=str(tmp_path / "other"), held_out=None))
    with pytest.raises(ValueError, match="trackers has 'paper'"):
        train_flow.main(replace_fields(config, output=str(tmp_path / "other"), trackers=("paper",)))


def test_a_missing_shard_saves_the_state_first(
    latents_run: Path, text_run: Path, tmp_path: Path
) -> None:
    latents = tmp_path / "latents"
    shutil.copytree(latents_run, latents)
    config = replace_fields(
        flow_config(latents, text_run, tmp_path / "run"),
        streamed=True,
        frames_per_batch=20,
        lengths=(20,),
        length_chances=(1.0,),
        steps=200,
        save_every=200,
        log_every=1,
    )
    shard = sorted(latents.glob("latents-*.tar"))[-1]
    saved = shard.read_bytes()
    shard.write_bytes(saved[: len(saved) // 3])
    with pytest.raises(ValueError, match=shard.name):
        train_flow.main(config)
    (checkpoint,) = (tmp_path / "run" / "checkpoints").iterdir()
    step = int(checkpoint.name.removeprefix("step-"))
    assert 0 < step < 200
    shard.write_bytes(saved)
    train_flow.main(replace_fields(config, resume=True, steps=step + 5, save_every=step + 5))
    rows = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == list(range(1, step + 6))


def test_an_output_that_holds_a_run_is_left_alone(
    flow_run: Path, latents_run: Path, text_run: Path
) -> None:
    before = weights(flow_run / "transformer")
    with pytest.raises(FileExistsError, match="go on with resume=true, or name another"):
        train_flow.main(flow_config(latents_run, text_run, flow_run))
    assert same(before, weights(flow_run / "transformer"))


def test_fine_tuning_begins_with_the_initial_weights(
    flow_run: Path, latents_run: Path, text_run: Path, tmp_path: Path
) -> None:
    config = replace_fields(
        flow_config(latents_run, text_run, tmp_path / "run"),
        initial=str(flow_run / "transformer"),
        learning_rate=1e-9,
        optimizer="adamw",
    )
    train_flow.main(config)
    before, after = weights(flow_run / "transformer"), weights(tmp_path / "run" / "transformer")
    assert all(torch.allclose(value, after[name], atol=1e-6) for name, value in before.items())


@pytest.mark.parametrize("objective", ["velocity", "v_prediction"])
def test_peer_objectives_train(
    latents_run: Path, text_run: Path, tmp_path: Path, objective: str
) -> None:
    config = replace_fields(
        flow_config(latents_run, text_run, tmp_path / "run"),
        objective=objective,
        time_logit_mean=None,
        log_variance=False,
        channel_weights=False,
        linear_skip=False,
        accumulation=2,
    )
    train_flow.main(config)
    rows = [json.loads(r) for r in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert len(rows) == 3 and all(np.isfinite(row["error"]) for row in rows)
    with pytest.raises(ValueError, match="objective is 'noise'"):
        train_flow.main(replace_fields(config, objective="noise"))
