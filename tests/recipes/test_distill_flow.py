"""The distillation recipe at toy size: it runs with every part on and off, learns, resumes exactly."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.recipes.toy_recipes import (
    Killed,
    check_end,
    distill_config,
    flow_config,
    killed_after_saving,
    same,
    weights,
)
from tests.toys import TEXT_WIDTH, make_transformer, randomise
from training import distill_flow, train_flow, train_video_flow
from woosh.autoencoder import WooshAutoencoder
from woosh.generation.changes import changes_between, save_changes
from woosh.generation.lora import LAYERS
from woosh.generation.pipeline import WooshPipeline
from woosh.generation.transformer import WooshTransformer
from woosh.training.conditioning import load_text_conditioner
from woosh.training.config import replace_fields
from woosh.training.flow.distillation import JUMP_OBJECTIVES, Jumps, Times, student_of
from woosh.training.flow.steps import Prompts


@pytest.fixture(scope="module")
def distill_run(
    latents_run: Path, text_run: Path, flow_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    output = tmp_path_factory.mktemp("distill") / "run"
    distill_flow.main(distill_config(latents_run, text_run, flow_run, output))
    return output


def test_it_writes_a_student_that_a_pipeline_plays(
    distill_run: Path, magnitude_run: Path, text_run: Path
) -> None:
    student = WooshTransformer.from_pretrained(distill_run / "transformer")
    assert student.config.flow_map
    rows = [json.loads(line) for line in (distill_run / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert all(np.isfinite(row["residual"]) and 0 <= row["clipped"] <= 1 for row in rows)
    assert "discriminator" not in rows[0] and "discriminator" in rows[1]
    assert "verdict" not in rows[1] and "verdict" in rows[2]
    text = load_text_conditioner(
        text_run / "text_encoder", text_run / "tokenizer", torch.device("cpu")
    )
    autoencoder = WooshAutoencoder.from_pretrained(magnitude_run / "autoencoder").eval()
    pipeline = WooshPipeline(autoencoder, student.eval(), text.encoder, text.tokenizer)
    pipeline.set_progress_bar_config(disable=True)
    sound = pipeline("a tone", seconds=0.2, generator=torch.Generator().manual_seed(0)).audios
    assert sound.shape == (1, 1, 9600) and np.isfinite(sound).all()


def test_a_resumed_distillation_equals_an_uninterrupted_one(
    distill_run: Path,
    latents_run: Path,
    text_run: Path,
    flow_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = distill_config(latents_run, text_run, flow_run, tmp_path / "run")
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            distill_flow.main(config)
    distill_flow.main(replace_fields(config, resume=True))
    assert same(weights(distill_run / "transformer"), weights(tmp_path / "run" / "transformer"))
    check_end(distill_flow.main, config, "transformer")


@pytest.fixture(scope="module")
def told_flow(latents_run: Path, text_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flow that is told how long sounds are."""
    output = tmp_path_factory.mktemp("told") / "flow"
    config = flow_config(latents_run, text_run, output)
    train_flow.main(replace_fields(config, summary=True, steps=2, save_every=2))
    return output


def low_rank_config(
    latents: Path, text: Path, flow: Path, output: Path, **changes: Any
) -> distill_flow.Config:
    return replace_fields(distill_config(latents, text, flow, output), rank=2, **changes)


@pytest.fixture(scope="module")
def low_rank_run(latents_run: Path, text_run: Path, told_flow: Path) -> Path:
    output = told_flow.parent / "low_rank"
    distill_flow.main(low_rank_config(latents_run, text_run, told_flow, output))
    return output


def test_a_student_of_a_rank_differs_from_its_teacher_by_that_rank(
    low_rank_run: Path, told_flow: Path
) -> None:
    student = WooshTransformer.from_pretrained(low_rank_run / "transformer")
    teacher = WooshTransformer.from_pretrained(told_flow / "transformer")
    before, after = teacher.state_dict(), student.state_dict()
    assert list(after) == list(student_of(teacher).state_dict())  # and no adapters
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    blocks = {name for name in moved if name.startswith(("joint.", "fused."))}
    assert {name.split(".")[-2] for name in blocks} == set(LAYERS)
    assert all(name.endswith(".weight") for name in blocks)
    for name in blocks:
        values = torch.linalg.svdvals(after[name] - before[name])
        assert values[0] > 0 and values[2] < 1e-3 * values[0], name
    assert moved - blocks and all(name.startswith("final.") for name in moved - blocks)


def test_a_student_is_told_lengths_as_its_teacher_is(low_rank_run: Path) -> None:
    student = WooshTransformer.from_pretrained(low_rank_run / "transformer").eval()
    assert student.config.flow_map and student.config.summary
    states, mask = torch.zeros(1, *student.text_padding.shape), torch.ones(1, 12)
    noise, time = torch.randn(1, student.config.latent_channels, 51), torch.ones(1)
    short, long = (
        student(noise, time, student.prepare(states, mask, None, seconds), time / 2, time)
        for seconds in (torch.tensor([0.2]), torch.tensor([5.0]))
    )
    assert short.isfinite().all() and not torch.equal(short, long)


def test_a_resumed_student_of_a_rank_equals_an_uninterrupted_one(
    low_rank_run: Path,
    told_flow: Path,
    latents_run: Path,
    text_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = low_rank_config(latents_run, text_run, told_flow, tmp_path / "run")
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            distill_flow.main(config)
    distill_flow.main(replace_fields(config, resume=True))
    assert same(weights(low_rank_run / "transformer"), weights(tmp_path / "run" / "transformer"))
    check_end(distill_flow.main, config, "transformer")


def test_a_student_may_start_from_the_changes_that_made_another(
    low_rank_run: Path, told_flow: Path, latents_run: Path, text_run: Path, tmp_path: Path
) -> None:
    """Upon the teacher that they were taken of, they give that student again, but for eight bits."""
    student = WooshTransformer.from_pretrained(low_rank_run / "transformer")
    teacher = WooshTransformer.from_pretrained(told_flow / "transformer")
    changes, _ = changes_between(
        teacher.state_dict(), student, 2, whole=("flow_map_embedding.", "final.")
    )
    save_changes(student, changes, ("woosh-small",), tmp_path)
    config = low_rank_config(
        latents_run, text_run, told_flow, tmp_path / "run", changes=str(tmp_path)
    )
    begun = distill_flow.build_student(config, teacher)
    wrapped = {name.replace(".base_layer", ""): value for name, value in begun.state_dict().items()}
    for name, value in student.state_dict().items():
        assert (wrapped[name] - value).abs().max() <= 0.02 * value.abs().max() + 1e-6, name
    both = replace_fields(config, student=str(low_rank_run / "transformer"))
    with pytest.raises(ValueError, match="student and changes are two starts: give one of them"):
        distill_flow.main(both)


def test_a_negative_rank_is_refused(
    latents_run: Path, text_run: Path, flow_run: Path, tmp_path: Path
) -> None:
    config = distill_config(latents_run, text_run, flow_run, tmp_path / "run")
    with pytest.raises(ValueError, match="rank is -2; it must be positive"):
        distill_flow.main(replace_fields(config, rank=-2))


def test_the_empty_text_is_as_long_as_the_sound_beside_it() -> None:
    """Else guidance would push towards the length, too."""
    teacher: Any = randomise(make_transformer(summary=True), 1)
    seconds = torch.tensor([0.5, 4.0, 0.0])
    prompts = Prompts(torch.randn(3, 12, TEXT_WIDTH), torch.ones(3, 12), None, seconds)
    empty = Prompts(torch.zeros(1, 12, TEXT_WIDTH), torch.zeros(1, 12))
    found = distill_flow.repeat_empty(empty, prompts).prepared_by(teacher)
    wanted = teacher.prepare(torch.zeros(3, 12, TEXT_WIDTH), torch.zeros(3, 12), None, seconds)
    assert torch.equal(found.summary, wanted.summary) and torch.equal(found.text, wanted.text)
    assert not torch.equal(found.summary[0], found.summary[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "terminal", "adversarial_weight": 0.0},
        {"objective": "mean_flow", "difference_steps": 0, "optimizer": "adamw"},
        {"objective": "terminal", "difference_steps": 6, "channel_weights": False},
    ],
)
def test_every_part_can_be_switched(
    changes: dict[str, Any], latents_run: Path, text_run: Path, flow_run: Path, tmp_path: Path
) -> None:
    config = distill_config(latents_run, text_run, flow_run, tmp_path / "run")
    distill_flow.main(replace_fields(config, **changes))
    assert WooshTransformer.from_pretrained(tmp_path / "run" / "transformer").config.flow_map


def test_a_student_is_distilled_further(
    distill_run: Path, latents_run: Path, text_run: Path, flow_run: Path, tmp_path: Path
) -> None:
    config = distill_config(latents_run, text_run, flow_run, tmp_path / "run")
    config = replace_fields(
        config, student=str(distill_run / "transformer"), learning_rate=0.0, ema_decay=0.0
    )
    distill_flow.main(config)
    assert same(weights(distill_run / "transformer"), weights(tmp_path / "run" / "transformer"))


def test_a_flow_that_sees_is_distilled(
    video_flow_config: train_video_flow.Config, latents_run: Path, text_run: Path, tmp_path: Path
) -> None:
    teacher = replace_fields(video_flow_config, output=str(tmp_path / "teacher"))
    train_video_flow.main(teacher)
    blind = distill_config(latents_run, text_run, tmp_path / "teacher", tmp_path / "run")
    config = replace(blind, video=teacher.video)
    distill_flow.main(config)
    student = WooshTransformer.from_pretrained(tmp_path / "run" / "transformer").eval()
    assert student.config.flow_map and student.config.video_channels == 16
    states, mask = torch.zeros(1, *student.text_padding.shape), torch.ones(1, 12)
    noise, time = torch.randn(1, student.config.latent_channels, 51), torch.ones(1)
    features = torch.randn(1, 12, 16)
    sounds = [
        student(noise, time, student.prepare(states, mask, video), time / 2, time)
        for video in (features, -features)
    ]
    assert torch.isfinite(sounds[0]).all()
    assert not torch.equal(*sounds)


def test_settings_that_are_not_possible(
    latents_run: Path, text_run: Path, flow_run: Path, tmp_path: Path
) -> None:
    config = distill_config(latents_run, text_run, flow_run, tmp_path / "run")
    with pytest.raises(ValueError, match="objective is 'velocity'; it must be one of trajectory"):
        distill_flow.main(replace_fields(config, objective="velocity"))
    with pytest.raises(ValueError, match="discriminator_blocks.*the teacher has 0 to 1"):
        distill_flow.main(replace_fields(config, discriminator_blocks=(0, 2)))


@pytest.mark.parametrize("objective", JUMP_OBJECTIVES)
def test_distillation_overfits_one_batch(objective: str) -> None:
    torch.manual_seed(0)
    teacher = make_transformer(linear_skip=True).eval().requires_grad_(False)
    for value in teacher.parameters():
        value.add_(0.05 * torch.randn_like(value))
    student = student_of(teacher)
    latents, noise = torch.randn(2, 3, 8, 20)[:, :3].unbind(0)
    prompts = Prompts(torch.randn(3, 12, TEXT_WIDTH), torch.ones(3, 12))
    times = Times(torch.tensor([1.0, 0.7, 0.4]), torch.tensor([0.5, 0.2, 0.4]))
    jumps = Jumps(noise, times, torch.tensor([2.0, 3.0, 1.0]))
    batch = distill_flow.JumpBatch(latents, prompts, jumps, fraction=None)
    empty = Prompts(torch.zeros(1, 12, TEXT_WIDTH), torch.zeros(1, 12))
    config = distill_config(Path(), Path(), Path(), Path())
    config = replace_fields(config, objective=objective, residual_limit=10.0)
    step = partial(
        distill_flow.training_step,
        teacher=teacher,
        empty=empty,
        channel_weight=torch.ones(8),
        config=config,
    )
    optimizer = torch.optim.AdamW([p for p in student.parameters() if p.requires_grad], lr=2e-3)
    found = []
    for _ in range(120):
        loss, reached, scalars = step(student, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(scalars["residual"].item())
    assert reached.shape == latents.shape
    assert found[-1] < 0.3 * found[0]
