"""Teach a tagger to take the device out of what it hears, as far as a control says (ConGater, arXiv 2306.08010).

    accelerate launch training/train_control.py configs/control_tiny.yaml [name=value ...]

It starts from a PaSST's tagger (training/train_tagger.py with `network: passt`) and gives it gates, which learn to hide
the device from heads that guess it, and to keep the labels. Sounds come with a device: rows of a manifest with the
field `device`, or `tau-scenes:FOLDER`. Use: `load_tagger(FOLDER, control={"device": 0.7})`. Output folder: tagger/,
evaluation.json (accuracy of the labels and of fresh probes for the device, by control), log.jsonl, config.yaml,
checkpoints/.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor

from woosh.taggers.congater import ConGater
from woosh.taggers.passt import Passt
from woosh.taggers.tagger import AudioTagger, load_tagger, save_tagger
from woosh.training import Run, RunConfig, TrainingStep, cosine_schedule
from woosh.training.command import run_recipe
from woosh.training.taggers.control import (
    ControlBatch,
    Controlled,
    ControlSettings,
    control_step,
    domain_numbers,
    probe_accuracy,
)
from woosh.training.taggers.examples import (
    ExampleBatch,
    ExampleBatches,
    ExampleSettings,
    ExampleVariation,
    label_matrix,
    load_examples,
)
from woosh.training.taggers.teaching import TaughtSound

DOMAIN = "device"
HEARD_AT_ONCE = 64  # sounds
CONTROLS = (0.0, 0.25, 0.5, 0.75, 1.0)  # at which the result is evaluated


@dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/control_tiny.yaml`."""

    run: RunConfig
    data: str  # a manifest whose rows name a device, or tau-scenes:FOLDER
    workers: int  # processes that prepare batches
    split: str
    validation_split: str
    tagger: str  # folder of a PaSST's tagger
    gate: str  # "T" or "L"
    gate_place: str  # "all" or "last"
    settings: ControlSettings
    hidden: int  # channels of the heads that guess the device
    crop_seconds: float
    variation: ExampleVariation  # without mixtures, whose device would be two
    batch_size: int
    gate_learning_rate: float
    head_learning_rate: float
    network_learning_rate: float  # where the network learns too
    warmup_steps: int
    final_fraction: float


def gated_network(config: Config, tagger: AudioTagger) -> ConGater:
    """The tagger's network with fresh gates.

    Raises:
        ValueError: it is no PaSST.
    """
    if not isinstance(tagger.network, Passt):
        raise ValueError(
            f"{config.tagger} is a {type(tagger.network).__name__}: train a tagger with `network: passt` first"
        )
    return ConGater(tagger.network.train(), (DOMAIN,), config.gate, config.gate_place)


def control_batch(
    batch: ExampleBatch, tagger: AudioTagger, devices: Sequence[str], device: torch.device
) -> ControlBatch:
    """What the training step sees of sounds."""
    log_mel = batch.heard(tagger.log_mel(batch.audio.to(device)))
    labels = cast(Tensor, batch.targets.labels).to(device)
    return ControlBatch(log_mel, labels, domain_numbers(batch.devices, devices).to(device))


@torch.no_grad()
def spectrograms(
    tagger: AudioTagger, sounds: Sequence[TaughtSound], seconds: float
) -> list[Tensor]:
    """Log-mel of the first seconds of sounds (B, 1, bands, frames), neighbours of one length together."""
    most = round(seconds * tagger.sample_rate)
    heard = [sound.samples(tagger.sample_rate)[:most] for sound in sounds]
    batches = []
    for _, alike in itertools.groupby(heard, len):
        stacked = torch.from_numpy(np.stack(list(alike)).astype(np.float32) / 32_768)
        batches += [tagger.log_mel(audio)[:, None] for audio in stacked.split(HEARD_AT_ONCE)]
    return batches


@torch.no_grad()
def hear_all(tagger: AudioTagger, log_mels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Logits (N, C) and features (N, W) of spectrograms."""
    outputs = [tagger.hear(log_mel) for log_mel in log_mels]
    logits = torch.cat([cast(Tensor, output.logits) for output in outputs])
    return logits, torch.cat([output.features for output in outputs])


def evaluate_control(
    tagger: AudioTagger,
    learned: Sequence[TaughtSound],
    held_out: Sequence[TaughtSound],
    config: Config,
) -> dict[str, dict[str, float]]:
    """Accuracy of the labels and of fresh probes for the device on sounds that were not learned from, by control."""
    devices = sorted({sound.device for sound in learned})
    parts = (learned, held_out)
    domains = [domain_numbers([sound.device for sound in part], devices) for part in parts]
    heard = [spectrograms(tagger, part, config.crop_seconds) for part in parts]
    right = label_matrix(held_out, tagger.labels).argmax(dim=1)
    result = {}
    for control in CONTROLS:
        controlled = AudioTagger(
            tagger.network, tagger.labels, tagger.front_end, {DOMAIN: control}
        ).eval()
        (_, features), (logits, others) = (hear_all(controlled, part) for part in heard)
        result[f"{control:g}"] = {
            "task": float((logits.argmax(dim=1) == right).float().mean()),
            "probe": probe_accuracy(
                (features, domains[0]), (others, domains[1]), len(devices), config.run.seed
            ),
        }
    return result


def main(config: Config) -> None:
    """Train, save and evaluate."""
    # 1. Run
    run: Run[Controlled] = Run(config.run, config)
    if config.variation.mixup:
        raise ValueError("mixup is above 0: a mixture of two sounds has no one device, set it to 0")

    # 2. Data
    tagger = load_tagger(config.tagger)
    rate = tagger.sample_rate
    sounds = load_examples(config.data, config.split, rate)
    held_out = load_examples(config.data, config.validation_split, rate)
    devices = sorted({sound.device for sound in sounds})
    if len(devices) < 2:
        raise ValueError(f"{config.data} has the devices {devices}: two or more are needed")
    samples = round(config.crop_seconds * rate)
    settings = ExampleSettings(
        tagger.labels, rate, True, samples, config.batch_size, config.variation, config.run.seed
    )
    source = ExampleBatches(sounds, np.ones(len(sounds)), settings)

    # 3. Model
    network = gated_network(config, tagger)
    model = Controlled(network, len(devices), config.hidden)
    network.passt.requires_grad_(config.settings.train_network)
    run.follow(model)

    # 4. Optimiser and schedule
    groups = [
        {"params": list(network.congater.parameters()), "lr": config.gate_learning_rate},
        {"params": list(model.guesses.parameters()), "lr": config.head_learning_rate},
    ]
    if config.settings.train_network:
        own = [value for value in network.passt.parameters() if value.requires_grad]
        groups.append({"params": own, "lr": config.network_learning_rate})
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
    schedule = cosine_schedule(
        optimizer, config.warmup_steps, config.run.steps, config.final_fraction
    )
    step = TrainingStep(model, partial(control_step, settings=config.settings))
    train_step, updates = run.updates(step, [optimizer], [schedule])
    run.start()

    def averaged_tagger() -> AudioTagger:
        return AudioTagger(run.averaged().network, tagger.labels, tagger.front_end).eval()

    # 5. Loop
    train_step.train()
    for number, batch in run.batches(source, config.workers):
        with run.gathering(train_step), run.accelerator.autocast():
            loss, scalars = train_step(control_batch(batch, tagger, devices, run.device))
            updates.apply(loss, number)
            run.advance(scalars, config.batch_size, "sounds")
        if run.must_save:
            run.save()
        if run.must_export:
            run.export("tagger", partial(save_tagger, averaged_tagger()))

    # 6. Save and evaluate
    run.export("tagger", partial(save_tagger, averaged_tagger()))
    if run.is_main and not run.stopping:
        result = evaluate_control(averaged_tagger().cpu(), sounds, held_out, config)
        (run.output / "evaluation.json").write_text(json.dumps(result, indent=1))
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
