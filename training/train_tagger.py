"""Train a tagger: from labels, from what teachers said of the sounds, or from both.

    accelerate launch training/train_tagger.py configs/tagger_tiny.yaml [name=value ...]
    accelerate launch training/train_tagger.py configs/tagger_own.yaml

Teachers hear the sounds beforehand (training/teach.py). A tagger may start from another one's weights, and then gets
a head for its own labels. Output folder: tagger/ (the moving average), evaluation.json, log.jsonl, config.yaml,
checkpoints/.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from woosh.data.augmentation import load_responses
from woosh.taggers.dynamic_mobilenet import DynamicMobileNet, kernel_temperature
from woosh.taggers.tagger import AudioTagger, FrontEnd, save_tagger
from woosh.training import Run, RunConfig, TrainingStep, WarmupAndDecay, adamw
from woosh.training.command import run_recipe
from woosh.training.randomness import batch_generator
from woosh.training.taggers.distillation import (
    DistillationSettings,
    constant_logits,
)
from woosh.training.taggers.evaluation import evaluate_tagger
from woosh.training.taggers.examples import (
    ExampleBatch,
    ExampleBatches,
    ExampleSettings,
    ExampleVariation,
    held_out,
    labels_of,
    load_examples,
    sampling_weights,
    streamed_examples,
)
from woosh.training.taggers.networks import NetworkConfig, build_network, measure_statistics
from woosh.training.taggers.parallel import ParallelConfig
from woosh.training.taggers.pruning import PruningConfig, cut, prune
from woosh.training.taggers.steps import BETAS, tagger_batch, training_step
from woosh.training.taggers.teaching import TaughtSound


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/tagger_tiny.yaml`."""

    run: RunConfig
    data: str  # taught shards, a folder with a sub-folder for each label, a manifest, hf:NAME, or a layout, such as openmic:FOLDER
    streamed: bool  # read shards as they are needed, every sound once in a pass, instead of all into memory
    workers: int  # processes that prepare batches
    split: str
    validation_data: str | None  # null: the sounds of `data` that are held out
    validation_split: str
    held_out_share: float  # of each label's sounds of `data`, for validation
    labels: tuple[str, ...]  # an empty list takes the teachers', or all that the sounds have
    architecture: NetworkConfig
    front_end: FrontEnd
    loss: DistillationSettings
    crop_seconds: float | None  # null takes whole sounds, as a teacher heard them
    variation: ExampleVariation
    responses: str | None  # folder of impulse responses
    frequency_mask: int  # widest, in bands
    time_mask: int  # longest, in frames
    sampling_offset: float | None  # 1 / (offset + sounds of a label); null draws all sounds alike
    batch_size: int  # sounds per process
    learning_rate: float
    weight_decay: float
    schedule: WarmupAndDecay
    epoch_steps: (
        int  # the kernels of a dynamic network cool down by 1; one more step of the ramp of pruning
    )
    statistics_batches: int  # from which the average's batch normalisation is measured
    pruning: PruningConfig
    parallel: ParallelConfig


@dataclass(frozen=True)
class Sounds:
    """What is trained on; none where it is streamed. What is evaluated on, and the labels."""

    training: list[TaughtSound]
    validation: list[TaughtSound]
    labels: tuple[str, ...]


def read_sounds(config: Config, sample_rate: int) -> Sounds:
    """Read what fits into memory.

    Raises:
        ValueError: streamed sounds without a list of labels, or of which some are to be held out; too few classes.
    """
    found = [] if config.streamed else load_examples(config.data, config.split, sample_rate)
    if config.streamed and config.held_out_share:
        raise ValueError("held_out_share is above 0: streamed sounds cannot be held out")
    found, validation = held_out(found, config.held_out_share)
    if config.validation_data is not None:
        validation = load_examples(config.validation_data, config.validation_split, sample_rate)
    labels = config.labels or labels_of(config.data, found)
    if config.loss.task == "multi-class" and config.loss.label_share > 0:
        check_classes(config, found, labels)
    return Sounds(found, validation, labels)


def check_classes(config: Config, found: list[TaughtSound], labels: tuple[str, ...]) -> None:
    """Check that there is something to tell apart.

    Raises:
        ValueError: fewer than two labels, or one without a sound.
    """
    if len(labels) < 2:
        raise ValueError(
            f"{config.data} has the labels {list(labels)}, and classes need two or more: add sounds of another kind, "
            "or set task to multi-label"
        )
    missing = sorted(set(labels) - {label for sound in found for label in sound.labels})
    if missing and not config.streamed:
        raise ValueError(
            f"{config.data} has no sounds of {', '.join(missing)}: add some, or leave the name out of labels"
        )


def batch_source(config: Config, sounds: Sounds, sample_rate: int, seed: int) -> Any:
    """Batches of sounds, from memory or as they are needed."""
    labelled = config.loss.label_share > 0
    samples = round(config.crop_seconds * sample_rate) if config.crop_seconds else None
    settings = ExampleSettings(
        sounds.labels,
        sample_rate,
        labelled,
        samples,
        config.batch_size,
        config.variation,
        seed,
        load_responses(Path(config.responses), sample_rate) if config.responses else (),
        config.parallel.parallel_sounds if config.parallel.parallel_weight else 0,
        config.parallel.parallel_codecs,
    )
    if config.streamed:
        return streamed_examples(config.data, config.split, settings)
    chances = np.ones(len(sounds.training))
    if config.sampling_offset is not None:
        chances = sampling_weights(sounds.training, config.sampling_offset)
    return ExampleBatches(sounds.training, chances, settings)


def further_batches(config: Config, sounds: Sounds, sample_rate: int) -> Iterable[ExampleBatch]:
    """Batches that the training does not see, not mixed."""
    plain = replace(config, variation=replace(config.variation, mixup=0.0))
    source = batch_source(plain, sounds, sample_rate, config.run.seed + 1)
    batches = (
        (batch for _, batch in source)
        if config.streamed
        else (source.batch(number) for number in range(config.statistics_batches))
    )
    return itertools.islice(batches, config.statistics_batches)


def main(config: Config) -> None:
    """Train, save and evaluate."""
    # 1. Run
    run: Run[torch.nn.Module] = Run(config.run, config)

    # 2. Data
    rate = config.front_end.log_mel().sample_rate
    sounds = read_sounds(config, rate)
    source = batch_source(config, sounds, rate, config.run.seed)

    # 3. Model
    known = (batch.targets for batch in further_batches(config, sounds, rate))
    head = constant_logits(known, config.loss)
    front_end, prunes = config.front_end.log_mel(), config.pruning.pruned_share > 0
    network = build_network(config.architecture, sounds.labels, head, front_end, prunes)
    tagger = AudioTagger(network, sounds.labels, config.front_end)
    run.follow(network)

    # 4. Optimiser and schedule
    optimizer = adamw(network.parameters(), config.learning_rate, config.weight_decay, BETAS)
    schedule = config.schedule.schedule(optimizer)
    step = TrainingStep(
        network, partial(training_step, settings=config.loss, parallel=config.parallel)
    )
    train_step, updates = run.updates(step, [optimizer], [schedule])
    run.start()

    def averaged_tagger() -> AudioTagger:
        average = run.averaged()
        cut(average)
        batches = further_batches(config, sounds, rate)
        measure_statistics(average, (batch.audio for batch in batches), tagger.log_mel)
        return AudioTagger(average, sounds.labels, config.front_end)

    # 5. Loop
    train_step.train()
    for number, batch in run.batches(source, config.workers):
        if isinstance(network, DynamicMobileNet):
            network.set_temperature(kernel_temperature(run.step // config.epoch_steps))
        if prunes and run.step % config.epoch_steps == 0:
            share = config.pruning.share_at(run.step // config.epoch_steps)
            prune(network, share, config.pruning.prune_scope)
        generator = batch_generator(config.run.seed, number, "spectrogram masks")
        with run.gathering(train_step), run.accelerator.autocast():
            masks = (config.frequency_mask, config.time_mask)
            loss, scalars = train_step(tagger_batch(batch, tagger, masks, generator))
            updates.apply(loss, number)
            run.advance(scalars, config.batch_size, "sounds")
        if run.must_save:
            run.save()
        due = run.due(config.run.evaluate_every)
        if run.must_export or due:
            average = averaged_tagger()
            if run.must_export:
                run.export("tagger", partial(save_tagger, average))
            if run.log is not None and due and sounds.validation:
                run.log.write(run.step, evaluate_tagger(average, sounds.validation, config.loss))

    # 6. Save and evaluate
    average = averaged_tagger()
    run.export("tagger", partial(save_tagger, average))
    if run.is_main and not run.stopping and sounds.validation:
        result = evaluate_tagger(average, sounds.validation, config.loss)
        (run.output / "evaluation.json").write_text(json.dumps(result, indent=1))
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
