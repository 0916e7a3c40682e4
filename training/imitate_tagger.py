"""Train a tagger that imitates another one of its shape, map by map.

    accelerate launch training/imitate_tagger.py configs/imitate_tiny_blocks.yaml [name=value ...]
    accelerate launch training/imitate_tagger.py configs/imitate_tiny.yaml
    accelerate launch training/imitate_tagger.py configs/imitate_tiny_order.yaml

First every block learns by itself, on the teacher's maps; then all blocks in a row learn on their own, at last with the
teacher's first labels before all else. The teacher hears every sound as the learner does, so the sounds need neither
labels nor answers. Output folder: tagger/ (the moving average), evaluation.json, log.jsonl, config.yaml, checkpoints/.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from woosh.data.augmentation import load_responses
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.tagger import AudioTagger, load_tagger, save_tagger
from woosh.training import Run, RunConfig, TrainingStep, adamw, cosine_schedule
from woosh.training.command import run_recipe
from woosh.training.taggers.distillation import DistillationSettings
from woosh.training.taggers.evaluation import LONGEST_SECONDS, evaluate_tagger
from woosh.training.taggers.examples import (
    ExampleBatches,
    ExampleSettings,
    ExampleVariation,
    load_examples,
)
from woosh.training.taggers.imitation import (
    ImitationSettings,
    imitation_loss,
    keep_statistics,
    learner_for,
    without_dropout,
)
from woosh.training.taggers.networks import measure_statistics
from woosh.training.taggers.teaching import TaughtSound

FURTHER = 10**9  # a number of a batch that no training reaches
BETAS = (0.9, 0.999)
ANSWERS = DistillationSettings("multi-label", label_share=0.0, temperature=1.0)  # for evaluation


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/imitate_tiny.yaml`."""

    run: RunConfig
    data: str  # taught or other shards, a folder, a manifest, or hf:NAME; only the sounds count
    workers: int  # processes that prepare batches
    split: str
    validation_data: str  # likewise
    validation_split: str
    teacher: str  # a tagger's name or folder, or a file of published weights
    initial: str | None  # a tagger of the teacher's shape to go on from; null starts fresh
    imitation: ImitationSettings
    fixed_statistics: bool  # batch normalisation keeps those of `initial`, as the teacher its own
    crop_seconds: float | None  # null takes whole sounds, of one length in a batch
    variation: ExampleVariation
    responses: str | None  # folder of impulse responses
    batch_size: int  # sounds per process
    learning_rate: float
    warmup_steps: int
    final_fraction: float  # of the learning rate, at the last step
    statistics_batches: (
        int  # from which the average's statistics are measured, unless they are fixed
    )


def training_step(
    network: MobileNet, log_mel: Tensor, teacher: MobileNet, settings: ImitationSettings
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss for log-mels (B, 1, bands, T), and its terms."""
    terms = imitation_loss(network, teacher, log_mel, settings)
    return terms["loss"], {name: value.detach() for name, value in terms.items()}


def mobilenet_of(tagger: AudioTagger, name: str) -> MobileNet:
    """The network of a tagger.

    Raises:
        ValueError: it is of another kind.
    """
    if not isinstance(tagger.network, MobileNet):
        raise ValueError(f"{name} is a {type(tagger.network).__name__}: name a MobileNet")
    return tagger.network


def first_network(config: Config, teacher: AudioTagger) -> MobileNet:
    """The network that is trained, as it is before the first step.

    Raises:
        FileNotFoundError: there is no such tagger to go on from.
        ValueError: it or the teacher is no MobileNet, or it has another shape or other labels.
    """
    wanted = mobilenet_of(teacher, config.teacher)
    if config.initial is None and config.fixed_statistics:
        raise ValueError("fixed_statistics is true, and there are none: name the tagger `initial`")
    if config.initial is None:
        return learner_for(wanted)
    initial = load_tagger(config.initial)
    network = mobilenet_of(initial, config.initial)
    shapes = [{name: t.shape for name, t in n.state_dict().items()} for n in (network, wanted)]
    if shapes[0] != shapes[1] or initial.labels != teacher.labels:
        raise ValueError(
            f"initial {config.initial} has another shape or other labels than teacher {config.teacher}: name a tagger "
            "that imitated it before, or set initial to null"
        )
    without_dropout(network)
    return network.train()


def batch_source(config: Config, learner: AudioTagger) -> ExampleBatches:
    """Batches of sounds, without labels and answers."""
    rate = learner.sample_rate
    # What a teacher said of whole sounds does not count: this one hears them anew.
    found = load_examples(config.data, config.split, rate)
    sounds = [replace(sound, teacher=None) for sound in found]
    settings = ExampleSettings(
        labels=learner.labels,
        sample_rate=rate,
        labelled=False,
        samples=round(config.crop_seconds * rate) if config.crop_seconds else None,
        batch_size=config.batch_size,
        variation=config.variation,
        seed=config.run.seed,
        responses=load_responses(Path(config.responses), rate) if config.responses else (),
    )
    return ExampleBatches(sounds, np.ones(len(sounds)), settings)


def further_audio(config: Config, source: ExampleBatches) -> Iterator[Tensor]:
    """Batches (B, S) that a process does not train on."""
    for number in range(config.statistics_batches):
        yield source.batch(FURTHER + number).audio


@torch.no_grad()
def heard_sounds(config: Config, teacher: AudioTagger) -> list[TaughtSound]:
    """The sounds for validation, with the teacher's logits."""

    def logits(audio: np.ndarray) -> np.ndarray:
        heard = torch.from_numpy(audio.astype(np.float32) / 32_768)[None]
        return teacher(heard).logits[0].numpy()

    rate = teacher.sample_rate
    return [
        replace(sound, audio=audio, labels=(), teacher=logits(audio))
        for sound in load_examples(config.validation_data, config.validation_split, rate)
        for audio in [sound.samples(rate)[: LONGEST_SECONDS * rate]]
    ]


def main(config: Config) -> None:
    """Train, save and evaluate."""
    # 1. Run
    run: Run[MobileNet] = Run(config.run, config)

    # 2. Model
    teacher = load_tagger(config.teacher)
    network = first_network(config, teacher)
    wanted = mobilenet_of(teacher, config.teacher)
    learner = AudioTagger(network, teacher.labels, teacher.front_end)
    run.follow(network)

    # 3. Data
    source = batch_source(config, learner)
    validation = heard_sounds(config, teacher)

    # 4. Optimiser and schedule
    optimizer = adamw(network.parameters(), config.learning_rate, 0.0, BETAS)
    schedule = cosine_schedule(
        optimizer, config.warmup_steps, config.run.steps, config.final_fraction
    )
    teacher.to(run.device)
    step = TrainingStep(network, partial(training_step, teacher=wanted, settings=config.imitation))
    train_step, updates = run.updates(step, [optimizer], [schedule])
    run.start()

    def averaged_tagger() -> AudioTagger:
        average = run.averaged()
        if not config.fixed_statistics:
            measure_statistics(average, further_audio(config, source), learner.log_mel)
        return AudioTagger(average, learner.labels, learner.front_end)

    # 5. Loop
    train_step.train()
    if config.fixed_statistics:
        keep_statistics(network)
    for number, batch in run.batches(source, config.workers):
        log_mel = learner.log_mel(batch.audio.to(run.device))
        with run.gathering(train_step), run.accelerator.autocast():
            loss, scalars = train_step(batch.heard(log_mel))
            updates.apply(loss, number)
            run.advance(scalars, config.batch_size, "sounds")
        if run.must_save:
            run.save()
        due = run.due(config.run.evaluate_every)
        if run.must_export or due:
            average = averaged_tagger()
            if run.must_export:
                run.export("tagger", partial(save_tagger, average))
            if run.log is not None and due:
                run.log.write(run.step, evaluate_tagger(average, validation, ANSWERS))

    # 6. Save and evaluate
    average = averaged_tagger()
    run.export("tagger", partial(save_tagger, average))
    if run.is_main and not run.stopping:
        result = evaluate_tagger(average, validation, ANSWERS)
        (run.output / "evaluation.json").write_text(json.dumps(result, indent=1))
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
