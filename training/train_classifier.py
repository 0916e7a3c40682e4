"""Train a classifier of sounds: the one that counts how many generated clips are recognised, or one of your own labels.

    accelerate launch training/train_classifier.py configs/classifier.yaml [name=value ...]

Log-mel spectra of the whole data set are computed once; augmentation bends them. Output folder:
config.json, model weights in half precision, log.jsonl, evaluation.json, settings.yaml.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from woosh.taggers.classifier import (
    LABELS,
    Recording,
    SoundClassifier,
    padded,
    read_labels,
    read_recordings,
)
from woosh.training.batches import to_device
from woosh.training.command import run_recipe
from woosh.training.taggers.augmentation import SpectrumAugmentation, augment, fill


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of one training; see `configs/classifier.yaml`."""

    data: str  # folder with manifest.jsonl, or with a sub-folder of sounds for each label
    output: str
    widths: tuple[int, ...]
    embedding_width: int
    members: int  # networks of the ensemble
    dropout: float
    seconds: float  # of a training crop
    clip_seconds: float  # longest part of a recording that is used
    steps: int
    batch_size: int
    other_share: float  # of a batch
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    label_smoothing: float
    precision: str  # "no" or "bf16"
    seed: int
    log_every: int
    labels: tuple[str, ...] = LABELS  # of the classes; an empty list takes all that the data have


@dataclasses.dataclass(frozen=True)
class SpectrumBatch:
    """What a training step sees; all members see the same.

    Attributes:
        decibels: spectra (B, bands, T).
        targets: class probabilities (B, classes).
    """

    decibels: Tensor
    targets: Tensor


def draw_batch(
    by_class: Sequence[Sequence[Tensor]], config: Config, frames: int, generator: torch.Generator
) -> SpectrumBatch:
    """Draws classes first and then one of the class's spectra, and bends them.

    Args:
        by_class: Spectra (bands, T) of each class, those of "other" last; it may have none.
        config: Of the batch.
        frames: T of the batch.
        generator: Of all draws.
    """
    count, other = config.batch_size, len(by_class) - 1
    is_other = torch.rand(count, generator=generator) < config.other_share
    classes = torch.randint(0, other, (count,), generator=generator)
    if by_class[other]:
        classes = torch.where(is_other, other, classes)
    decibels = []
    for index in classes.tolist():
        spectra = by_class[index]
        row = int(torch.randint(0, len(spectra), (), generator=generator))
        decibels.append(fill(spectra[row], frames, generator))
    targets = functional.one_hot(classes, other + 1).float()
    return SpectrumBatch(
        *augment(torch.stack(decibels), targets, SpectrumAugmentation(), generator)
    )


def training_step(
    model: nn.Module, batch: SpectrumBatch, label_smoothing: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum of the members' cross-entropies: each learns alone, from its own start and dropout."""
    verdict = model(batch.decibels)
    losses = torch.stack(
        [
            functional.cross_entropy(logits, batch.targets, label_smoothing=label_smoothing)
            for logits in verdict.member_logits
        ]
    )
    right = verdict.logits.argmax(dim=-1) == batch.targets.argmax(dim=-1)
    return losses.sum(), {
        "loss": losses.mean().detach(),
        "accuracy": right.float().mean().detach(),
    }


def learning_rate(step: int, config: Config) -> float:
    """Linear warm-up, then a cosine down to zero at the last step."""
    warmup = min(1.0, (step + 1) / config.warmup_steps)
    return config.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * step / config.steps))


def share(right: Tensor) -> float | None:
    """How many of some answers (N,) are right, or None if there are none."""
    return right.float().mean().item() if len(right) else None


@torch.inference_mode()
def evaluate(
    model: SoundClassifier, clips: Sequence[Recording], frames: int
) -> dict[str, float | dict | None]:
    """Accuracy on the first seconds of each clip, forced to the labels and with "other"; None where there is no clip."""
    model.eval()
    other = len(model.labels)
    spectra = torch.stack([padded(clip.decibels, frames) for clip in clips])
    logits = torch.cat([model(part).logits for part in spectra.split(32)])
    model.train()
    wanted = torch.tensor([clip.index for clip in clips])
    judged = wanted != other
    forced = (logits[:, :other].argmax(dim=-1) == wanted)[judged]
    free = logits.argmax(dim=-1) == wanted
    return {
        "clips": int(judged.sum()),
        "forced_accuracy": share(forced),
        "accuracy_with_other": share(free[judged]),
        "other_rejected": share(free[~judged]),
        "forced_accuracy_per_class": {
            label: share(forced[wanted[judged] == index])
            for index, label in enumerate(model.labels)
        },
    }


def spectra_by_class(clips: Sequence[Recording], labels: Sequence[str]) -> list[list[Tensor]]:
    """Spectra (bands, T) of each class, those of "other" last.

    Raises:
        ValueError: If a label has no clip.
    """
    found = [
        [clip.decibels for clip in clips if clip.index == index] for index in range(len(labels) + 1)
    ]
    missing = [label for label, spectra in zip(labels, found, strict=False) if not spectra]
    if missing:
        raise ValueError(
            f"no clip to train on has the labels {', '.join(missing)}: name the labels of your data as labels, or "
            "an empty list to take all"
        )
    return found


def main(config: Config) -> None:
    """Train, save and evaluate."""
    # Accelerator
    accelerator = Accelerator(mixed_precision=config.precision)
    generator = torch.Generator().manual_seed(config.seed)
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    (output / "settings.yaml").write_text(yaml.safe_dump(dataclasses.asdict(config)))

    # Model
    data = Path(config.data)
    labels = config.labels or read_labels(data)
    set_seed(config.seed)  # of initial weights and dropout; the data have their own generator
    model = SoundClassifier(
        widths=config.widths,
        embedding_width=config.embedding_width,
        members=config.members,
        dropout=config.dropout,
        labels=labels,
    )
    frames = 1 + round(config.seconds * model.sample_rate / model.hop_length)

    # Data
    train = read_recordings(data, model, config.clip_seconds, ("train",))
    validation = read_recordings(data, model, config.seconds, ("validation",))
    by_class = spectra_by_class(train, labels)

    # Optimiser
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=config.weight_decay,
    )

    # Prepare
    # torch's annotations of `to` leave memory_format out.
    model.networks.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    model, optimiser = accelerator.prepare(model, optimiser)
    model.train()

    # Loop
    bar = tqdm(range(config.steps), disable=not accelerator.is_local_main_process)
    with (output / "log.jsonl").open("w", buffering=1) as log:
        for step in bar:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, config)
            batch = draw_batch(by_class, config, frames, generator)
            batch = to_device(batch, accelerator.device)
            loss, logs = training_step(model, batch, config.label_smoothing)
            accelerator.backward(loss)
            optimiser.step()
            optimiser.zero_grad()
            if (step + 1) % config.log_every == 0:
                scalars = {name: value.item() for name, value in logs.items()}
                bar.set_postfix(scalars)
                log.write(json.dumps({"step": step + 1, **scalars}) + "\n")

    # Save
    classifier = accelerator.unwrap_model(model, keep_fp32_wrapper=False).cpu()
    classifier = classifier.to(torch.float16).to(torch.float32)  # judged as it is stored
    if validation:
        result = evaluate(classifier, validation, frames)
        (output / "evaluation.json").write_text(json.dumps(result, indent=1))
        print(json.dumps(result, indent=1))
    classifier.to(torch.float16).save_pretrained(output)


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
