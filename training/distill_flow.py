"""Distil a flow into a network that sounds in a few steps.

    accelerate launch training/distill_flow.py configs/distill_tiny.yaml [name=value ...]

Reads the latents of training/encode_latents.py and a frozen teacher of training/train_flow.py; for a teacher of
training/train_video_flow.py the clips of training/encode_video.py, too. The student learns the
teacher's mean velocity between two times under an embedded guidance; with `adversarial_weight`, a discriminator on the
teacher's features judges where its jumps end. Output folder: transformer/ (the moving average), log.jsonl, config.yaml,
checkpoints/.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from woosh.catalogue import CHANGES_FILE
from woosh.data.streaming import StreamedBatches
from woosh.generation.changes import changed, load_transformer, read_changes
from woosh.generation.flow import expand_like, interpolate
from woosh.generation.transformer import WooshTransformer
from woosh.training import (
    Run,
    RunConfig,
    TrainingStep,
    adamw,
    cosine_schedule,
    prepare_blocks,
)
from woosh.training.batches import to_device
from woosh.training.command import run_recipe
from woosh.training.config import check_choice
from woosh.training.flow.crops import LatentBatch, LatentBatches
from woosh.training.flow.discriminator import (
    Judge,
    JumpEnds,
    LatentDiscriminator,
    judging_step,
)
from woosh.training.flow.distillation import (
    JUMP_OBJECTIVES,
    JumpConfig,
    JumpObjective,
    Jumps,
    draw_jumps,
    fit_embedding,
    residual,
    residual_loss,
    student_of,
    teacher_velocity,
)
from woosh.training.flow.latents import read_common
from woosh.training.flow.low_rank import learn_low_rank, save_whole
from woosh.training.flow.steps import (
    OPTIMIZERS,
    FlowData,
    OptimizerConfig,
    Prompts,
    empty_prompt,
    flow_updates,
    latent_batches,
    load_text,
    loss_weight,
    prompts_of,
)
from woosh.training.flow.video import SeenBatches, VideoData, hide_pictures, seen_batches
from woosh.training.listening import ListenConfig, listen_if_due, listener_of


@dataclass(frozen=True)
class Config:
    """Settings of one distillation; see `configs/distill_tiny.yaml`."""

    run: RunConfig
    data: FlowData
    video: VideoData
    teacher: str  # folder of a transformer
    student: str | None  # few-step transformer to go on from; null starts from the teacher
    changes: (
        str | None
    )  # folder of changes that made another few-step network of its model, put upon the teacher's weights
    rank: (
        int  # of the changes that this run adds to the student's matrices; 0 lets all weights learn
    )
    guidance_start: float  # largest time at which the teacher's guidance acts
    jumps: JumpConfig
    embedding_steps: int  # that fit the new embedding to the teacher's, before the run's steps
    embedding_learning_rate: float
    objective: str  # "trajectory", "mean_flow" or "terminal"
    trajectory_steps: int  # of the teacher in a jump, for "trajectory"
    difference: float  # part of a jump over which a difference stands for the exact derivative
    difference_steps: int  # first steps of the run that take the difference
    residual_limit: float  # to which each element of the residual is clipped
    channel_weights: bool  # weigh latent channels by how much of them is heard
    adversarial_weight: float  # 0: no discriminator
    discriminator_blocks: tuple[int, ...]  # of the teacher, to which it listens
    discriminator_learning_rate: float
    discriminator_start: int  # first step at which it learns
    generator_start: int  # first step at which it judges the student
    optimising: OptimizerConfig
    compile: bool  # each block, anew for every length of crops: slow to start, then faster
    listen: ListenConfig


@dataclass(frozen=True)
class JumpBatch:
    """What a training step of the student sees.

    Attributes:
        latents: of the clips (B, C, T).
        prompts: of the clips.
        jumps: to learn, with their noise (B, C, T).
        fraction: of each jump, over which a difference stands for the exact derivative, or None.
    """

    latents: Tensor
    prompts: Prompts
    jumps: Jumps
    fraction: float | None


def repeat_empty(empty: Prompts, prompts: Prompts) -> Prompts:
    """The empty text (1, L, W) for each clip of a batch, as long as its sound, with features of nothing for a video."""
    count = len(prompts.states)
    states, mask = (part.expand(count, *part.shape[1:]) for part in (empty.states, empty.mask))
    unseen = None if prompts.video is None else torch.zeros_like(prompts.video)
    return Prompts(states, mask, unseen, prompts.sound_seconds)


def training_step(
    student: WooshTransformer,
    batch: JumpBatch,
    teacher: WooshTransformer,
    empty: Prompts,
    channel_weight: Tensor,
    config: Config,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Loss of a batch, where the jumps end (B, C, T), and scalars.

    Args:
        student: in training.
        batch: clips, their prompts and the jumps to learn.
        teacher: frozen.
        empty: the empty text, (1, L, W) and (1, L).
        channel_weight: (C,) with mean 1.
        config: of the objective.
    """
    noise, times, guidance = batch.jumps
    noisy = interpolate(batch.latents, noise, times.time)
    condition = batch.prompts.prepared_by(student)
    teacher_condition = batch.prompts.prepared_by(teacher)
    empty_condition = repeat_empty(empty, batch.prompts).prepared_by(teacher)
    velocity = teacher_velocity(
        teacher, teacher_condition, empty_condition, guidance, config.guidance_start
    )

    def mean_velocity(noisy: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        return student(noisy, time, condition, next_time, guidance)

    objective = JumpObjective(config.objective, batch.fraction, config.trajectory_steps)
    value, miss = residual(mean_velocity, velocity, noisy, times, objective)
    loss = residual_loss(value, miss, config.residual_limit, channel_weight)
    reached = noisy - expand_like(times.time - times.next_time, noisy) * value
    scalars = {
        "loss": loss.detach(),
        "residual": miss.square().mean().sqrt(),
        "clipped": (miss.abs() > config.residual_limit).float().mean(),
    }
    return loss, reached, scalars


def batches_of(
    config: Config,
) -> StreamedBatches[LatentBatch] | LatentBatches | SeenBatches:
    """Clips with pictures among sounds, or sounds alone."""
    if config.video.videos is None:
        return latent_batches(config.data, config.run.seed)
    return seen_batches(config.data, config.video, config.run.seed)


def build_judge(run: Run, config: Config, teacher: WooshTransformer) -> Judge:
    """A new discriminator with AdamW and a cosine schedule of its own."""
    count = len(teacher.joint) + len(teacher.fused)
    if max(config.discriminator_blocks, default=0) >= count:
        named = list(config.discriminator_blocks)
        raise ValueError(f"discriminator_blocks {named}: the teacher has 0 to {count - 1}")
    discriminator = LatentDiscriminator(teacher.config.width, config.discriminator_blocks)
    rate = config.discriminator_learning_rate
    optimizer = adamw(discriminator.parameters(), rate, 0.0, (0.5, 0.99))
    schedule = cosine_schedule(optimizer, config.optimising.warmup_steps, config.run.steps)
    step = TrainingStep(discriminator, judging_step)
    prepared = run.updates(step, [optimizer], [schedule])
    return Judge(discriminator, *prepared, config.discriminator_start, config.generator_start)


def build_student(config: Config, teacher: WooshTransformer) -> WooshTransformer:
    """The student to go on from; or one of the teacher's weights, under changes that made few steps of another network or
    with an embedding fitted to the teacher's.
    """
    if config.student is not None:
        student = load_transformer(config.student, torch.float32)
    elif config.changes is not None:
        student, path = student_of(teacher), Path(config.changes) / CHANGES_FILE
        changes, _ = read_changes(path)
        student.load_state_dict(changed(student.state_dict(), changes, str(path)))
    else:
        student = student_of(teacher)
        if not config.run.resume:
            rate, seed = config.embedding_learning_rate, config.run.seed
            fit_embedding(student, teacher, config.jumps, config.embedding_steps, rate, seed)
    learn_low_rank(student, config.rank, whole=("flow_map_embedding.", "final."))
    return student.train()


def main(config: Config) -> None:
    """Distil and save."""
    # 1. Run
    if config.student is not None and config.changes is not None:
        raise ValueError("student and changes are two starts: give one of them")
    check_choice("objective", config.objective, JUMP_OBJECTIVES)
    check_choice("optimizer", config.optimising.optimizer, OPTIMIZERS)
    run: Run[WooshTransformer] = Run(config.run, config)

    # 2. Data
    seed = config.run.seed
    source = batches_of(config)
    common = read_common(Path(config.data.latents))
    text = load_text(config.data, run.device)

    # 3. Models
    teacher = load_transformer(config.teacher, torch.float32)
    teacher.eval().requires_grad_(False)
    model = build_student(config, teacher)
    teacher.to(run.device)  # type: ignore[arg-type]  # diffusers hides the signature
    run.follow(model)
    for network in (model, teacher):
        blocks = (*network.joint, *network.fused)
        prepare_blocks(blocks, checkpointed=False, compiled=config.compile)

    # 4. Training steps and optimisers
    settings = {
        "teacher": teacher,
        "empty": empty_prompt(common, text, run.device),
        "channel_weight": loss_weight(common, config.channel_weights, run.device),
        "config": config,
    }
    step = TrainingStep(model, partial(training_step, **settings))
    train_step, updates = flow_updates(run, step, config.optimising)
    judge = build_judge(run, config, teacher) if config.adversarial_weight else None
    listener = listener_of(run, config.listen, text)
    run.start()

    # 5. Loop
    for number, batch in run.batches(source, config.data.workers):
        latents = batch.latents.to(run.device)
        jumps = draw_jumps(latents, config.jumps, seed, number)
        fraction = config.difference if run.step < config.difference_steps else None
        with run.gathering(train_step, *(() if judge is None else (judge.train_step,))):
            with run.accelerator.autocast():
                prompts = hide_pictures(prompts_of(batch, text, number), config.video, seed, number)
                prompts = to_device(prompts, run.device)
                loss, reached, scalars = train_step(JumpBatch(latents, prompts, jumps, fraction))
                if judge is not None:
                    time = jumps.times.next_time
                    real = interpolate(latents, jumps.noise, time)
                    ends = JumpEnds(real, reached, time, prompts.prepared_by(teacher))
                    verdict, found = judge.hear(teacher, ends, run.step, number)
                    loss, scalars = loss - config.adversarial_weight * verdict, scalars | found
            updates.apply(loss, number)
            run.advance(scalars, len(latents), "clips")
        listen_if_due(run, listener)
        run.save_if_due("transformer", save_whole)
    run.export_average("transformer", save_whole)


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
