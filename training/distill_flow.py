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
from typing import NamedTuple

import torch
from torch import Tensor

from woosh.data.streaming import StreamedBatches
from woosh.generation.flow import expand_like, interpolate
from woosh.generation.text_encoder import TextConditioner
from woosh.generation.transformer import WooshTransformer
from woosh.training import (
    Objective,
    Run,
    RunConfig,
    adamw,
    cosine_schedule,
    prepare_blocks,
)
from woosh.training.command import run_recipe
from woosh.training.config import check_choice
from woosh.training.flow.discriminator import Judge, LatentDiscriminator, judging_step
from woosh.training.flow.distillation import (
    OBJECTIVES,
    JumpConfig,
    Jumps,
    draw_jumps,
    fit_embedding,
    guided_velocity,
    residual,
    residual_loss,
    student_of,
)
from woosh.training.flow.latents import LatentBatch, LatentBatches, read_common
from woosh.training.flow.steps import (
    OPTIMIZERS,
    FlowData,
    conditions,
    empty_text,
    flow_optimizers,
    latent_batches,
    load_text,
)
from woosh.training.flow.video import SeenBatches, VideoData, seen_batches, without_some
from woosh.training.listening import ListenConfig, Listener
from woosh.weight_files import load_saved


@dataclass(frozen=True)
class Config:
    """Settings of one distillation; see `configs/distill_tiny.yaml`."""

    run: RunConfig
    data: FlowData
    video: VideoData
    teacher: str  # folder of a transformer
    student: str | None  # few-step transformer to go on from; null starts from the teacher
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
    optimizer: str  # "muon" for the blocks' matrices and AdamW for the rest, or "adamw" for all
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    compile: bool  # each block, anew for every length of crops: slow to start, then faster
    listen: ListenConfig


class Prompts(NamedTuple):
    """What the clips of a batch are conditioned on."""

    states: Tensor  # (B, L, W), hidden states of the texts
    mask: Tensor  # (B, L), of their real tokens
    video: Tensor | None  # (B, K, V), features for networks that see


def training_step(
    student: WooshTransformer,
    latents: Tensor,
    prompts: Prompts,
    jumps: Jumps,
    weight: Tensor,
    empty: tuple[Tensor, Tensor],
    fraction: float | None,
    teacher: WooshTransformer,
    config: Config,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Loss of a batch, where the jumps end (B, C, T), and scalars.

    Args:
        student: in training.
        latents: (B, C, T).
        prompts: of the clips.
        jumps: to learn.
        weight: of the channels (C,).
        empty: hidden states and mask of the empty text, (1, L, W) and (1, L).
        fraction: of a jump for a difference, or None for the exact derivative.
        teacher: frozen.
        config: of the objective.
    """
    noise, times, guidance = jumps
    noisy = interpolate(latents, noise, times.time)
    condition, taught = student.prepare(*prompts), teacher.prepare(*prompts)
    unseen = None if prompts.video is None else torch.zeros_like(prompts.video)
    states, mask = (part.expand(len(latents), *part.shape[1:]) for part in empty)
    nothing = teacher.prepare(states, mask, unseen)
    velocity = guided_velocity(teacher, taught, nothing, guidance, config.guidance_start)

    def mean_velocity(noisy: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        return student(noisy, time, condition, next_time, guidance)

    value, miss = residual(
        *(mean_velocity, velocity, noisy, times, config.objective),
        fraction,
        config.trajectory_steps,
    )
    loss = residual_loss(value, miss, config.residual_limit, weight)
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


def prompts_of(
    batch: LatentBatch,
    text: TextConditioner | None,
    config: Config,
    number: int,
    device: torch.device,
) -> Prompts:
    """What batch `number` is conditioned on, of which some pictures are hidden."""
    states, mask = conditions(batch, text, number)
    video = None
    if batch.video is not None:
        video = without_some(batch.video, config.video, config.run.seed, number).to(device)
    return Prompts(states.to(device), mask.to(device), video)


def build_judge(run: Run, config: Config, teacher: WooshTransformer) -> Judge:
    """A new discriminator with AdamW and a cosine schedule of its own."""
    count = len(teacher.joint) + len(teacher.fused)
    if max(config.discriminator_blocks, default=0) >= count:
        named = list(config.discriminator_blocks)
        raise ValueError(f"discriminator_blocks {named}: the teacher has 0 to {count - 1}")
    discriminator = LatentDiscriminator(teacher.config.width, config.discriminator_blocks)
    rate = config.discriminator_learning_rate
    optimizer = adamw(discriminator.parameters(), rate, 0.0, (0.5, 0.99))
    schedule = cosine_schedule(optimizer, config.warmup_steps, config.run.steps)
    step = Objective(discriminator, judging_step)
    prepared = run.updates(step, [optimizer], [schedule])
    return Judge(discriminator, *prepared, config.discriminator_start, config.generator_start)


def build_student(config: Config, teacher: WooshTransformer) -> WooshTransformer:
    """The student to go on from, or one with the teacher's weights and an embedding fitted to the teacher's."""
    if config.student is not None:
        return load_saved(WooshTransformer, config.student, torch.float32).train()
    student = student_of(teacher)
    if not config.run.resume:
        rate, seed = config.embedding_learning_rate, config.run.seed
        fit_embedding(student, teacher, config.jumps, config.embedding_steps, rate, seed)
    return student.train()


def main(config: Config) -> None:
    """Distil and save."""
    # 1. Run
    check_choice("objective", config.objective, OBJECTIVES)
    check_choice("optimizer", config.optimizer, OPTIMIZERS)
    run: Run[WooshTransformer] = Run(config.run, config)

    # 2. Data
    seed = config.run.seed
    source = batches_of(config)
    common = read_common(Path(config.data.latents))
    weight = common.channel_weight.to(run.device)
    weight = weight if config.channel_weights else torch.ones_like(weight)
    text = load_text(config.data, run.device)
    empty = empty_text(common, text, run.device)

    # 3. Models
    teacher = load_saved(WooshTransformer, config.teacher, torch.float32)
    teacher.eval().requires_grad_(False)
    model = build_student(config, teacher)
    torch.nn.Module.to(teacher, run.device)
    run.follow(model)
    for network in (model, teacher):
        prepare_blocks((*network.joint, *network.fused), False, config.compile)

    # 4. Optimisers and schedules
    optimizers = flow_optimizers(model, config.optimizer, config.learning_rate, config.weight_decay)
    schedules = [cosine_schedule(o, config.warmup_steps, config.run.steps) for o in optimizers]
    step = Objective(model, partial(training_step, teacher=teacher, config=config))
    objective, updates = run.updates(step, optimizers, schedules)
    judge = build_judge(run, config, teacher) if config.adversarial_weight else None
    listener = None
    if config.run.evaluate_every and run.is_main:
        listener = Listener(config.listen, text, seed)
    run.start()

    # 5. Loop
    for number, batch in run.batches(source, config.data.workers):
        latents = batch.latents.to(run.device)
        jumps = draw_jumps(latents, config.jumps, seed, number)
        fraction = config.difference if run.step < config.difference_steps else None
        with run.gathering(objective, *(() if judge is None else (judge.objective,))):
            with run.accelerator.autocast():
                prompts = prompts_of(batch, text, config, number, run.device)
                loss, reached, scalars = objective(latents, prompts, jumps, weight, empty, fraction)
                if judge is not None:
                    target = interpolate(latents, jumps.noise, jumps.times.next_time)
                    condition = teacher.prepare(*prompts)
                    verdict, found = judge.hear(
                        teacher, target, reached, jumps.times.next_time, condition, run.step, number
                    )
                    loss, scalars = loss - config.adversarial_weight * verdict, scalars | found
            updates.apply(loss, number)
            run.advance(scalars, len(latents), "clips")
        if run.due(config.run.evaluate_every):
            average = run.averaged()
            if listener is not None:
                listener.listen(run, average)
        if run.must_save:
            run.save()
            average = run.averaged()
            if run.is_main:
                average.save_pretrained(run.output / "transformer")


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
