"""What small studies of taggers share: ten everyday classes in folds, devices, a training in memory, results that stay.

A study trains several kinds of networks, each in several trials. Trial n leaves out the n-th of ESC-10's folds and draws from seed n,
so that kinds are compared on the same sounds. Results are lines of JSON: a study that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from woosh.data.augmentation import load_responses, through_response
from woosh.data.clips import load_clips
from woosh.data.manifests import read_manifest
from woosh.taggers.tagger import AudioTagger, FrontEnd
from woosh.training.randomness import batch_generator
from woosh.training.styles import StyleConfig
from woosh.training.taggers.distillation import DistillationSettings, constant_logits
from woosh.training.taggers.examples import ExampleBatches, ExampleSettings, ExampleVariation
from woosh.training.taggers.networks import NetworkConfig, build_network
from woosh.training.taggers.parallel import ParallelConfig
from woosh.training.taggers.pruning import PruningConfig, cut, prune
from woosh.training.taggers.steps import BETAS, tagger_batch, training_step
from woosh.training.taggers.teaching import TaughtSound, whole_numbers
from woosh.training.updates import adamw, cosine_schedule

ESC10 = "karoldvl/ESC-10"  # source of the rows in a manifest
FOLDS = 5
RATE = 16_000
FRONT_END = FrontEnd(
    hop_length=320, bands=64, sample_rate=RATE, n_fft=1024, window_length=640
)  # 20 ms
CROP_SECONDS = 2.0  # of a sound in training; whole sounds are judged
LONGEST_SECONDS = 5.0
BATCH = 32
LEARNING_RATE, WEIGHT_DECAY, CLIP_NORM = 3e-3, 1e-2, 1.0
MASKS = (8, 16)  # bands and frames
PLAIN = ExampleVariation(mixup=0.3, roll_seconds=0.1, gain_decibels=6.0, response_share=0.0)
LABELS_ALONE = DistillationSettings("multi-class", 1.0, 1.0)
PRUNING_EPOCHS = 20  # in which the ramp of pruning may rise during a training
RECORDING_DEVICES = 3  # that recorded training sounds, where sounds of several are trained on


@dataclass(frozen=True)
class Plan:
    """One kind of network and of training in a study.

    Attributes:
        architecture: of the network.
        variation: of training sounds; responses are drawn from the devices that are seen.
        pruning: its ramp is counted in 20ths of the training.
        parallel: the term of parallel recordings.
        several_devices: a quarter of the training sounds each was recorded by one of three devices that are seen.
        loss: of labels, and of a teacher where sounds have its logits.
        crop_seconds: of a sound in training; None takes whole ones, as a teacher heard them.
    """

    architecture: NetworkConfig
    variation: ExampleVariation = PLAIN
    pruning: PruningConfig = PruningConfig(prune_epochs=PRUNING_EPOCHS // 2)
    parallel: ParallelConfig = ParallelConfig()
    several_devices: bool = False
    loss: DistillationSettings = LABELS_ALONE
    crop_seconds: float | None = CROP_SECONDS

    def styled(self, share: float, alpha: float) -> Plan:
        """The same with Freq-MixStyle."""
        styles = StyleConfig(share, alpha)
        return replace(self, variation=replace(self.variation, styles=styles))

    def through_devices(self, share: float) -> Plan:
        """The same with a share of the sounds through responses."""
        return replace(self, variation=replace(self.variation, response_share=share))


@dataclass(frozen=True)
class Material:
    """What studies are made from.

    Attributes:
        folds: sounds of ten classes, by fold, two or more; takes of one recording lie in one fold.
        labels: of all sounds.
        seen: responses (R,) of devices that training may hear; none where a study is of sounds as recorded.
        unseen: of devices that it does not.
    """

    folds: Sequence[Sequence[TaughtSound]]
    labels: tuple[str, ...]
    seen: Sequence[np.ndarray] = ()
    unseen: Sequence[np.ndarray] = ()

    def split(self, trial: int) -> tuple[list[TaughtSound], list[TaughtSound]]:
        """Sounds for the training of a trial counted from 1, and those that are left out."""
        left_out = (trial - 1) % len(self.folds)
        rest = [sound for n, fold in enumerate(self.folds) if n != left_out for sound in fold]
        return rest, list(self.folds[left_out])

    @property
    def recording(self) -> list[np.ndarray]:
        """Responses of the seen devices that record, spread over all."""
        places = np.linspace(0, len(self.seen) - 1, RECORDING_DEVICES).round().astype(int)
        return [self.seen[place] for place in places]


def fold_of(file: str) -> int:
    """ESC-10's own fold, 1 to 5, with which the names of its files begin."""
    return int(Path(file).stem.split("__")[-1].split("-")[0])


def read_material(manifest: Path, responses: Path | None = None) -> Material:
    """ESC-10 by folds, and the responses below a folder: the first half of their names is seen, the other is not.

    Halves of the alphabet keep most devices of one maker on one side.

    Raises:
        FileNotFoundError: no such manifest or folder.
        ValueError: a manifest without rows of two folds of ESC-10, or fewer than two responses for every seen device that records.
    """
    rows = [row for row in read_manifest(manifest) if row.source == ESC10]
    if not rows:
        raise ValueError(f"{manifest} has no rows of {ESC10}: name the manifest of its recordings")
    by_fold = {
        number: [row for row in rows if fold_of(row.file) == number]
        for number in range(1, FOLDS + 1)
    }
    folds = [
        [
            TaughtSound(whole_numbers(clip.audio), (clip.label,), None)
            for clip in load_clips(own, manifest.parent, RATE, strict=True)
        ]
        for own in by_fold.values()
        if own
    ]
    if len(folds) < 2:
        raise ValueError(
            f"{manifest} has one fold of {ESC10}: studies leave one out and need two or more"
        )
    labels = tuple(sorted({row.label for row in rows}))
    if responses is None:
        return Material(folds, labels)
    known = load_responses(responses, RATE)
    if len(known) < 2 * RECORDING_DEVICES:
        raise ValueError(
            f"{responses} has {len(known)} responses; studies of devices need {2 * RECORDING_DEVICES} or more"
        )
    half = len(known) // 2
    return Material(folds, labels, known[:half], known[half:])


def recorded_by(sounds: Sequence[TaughtSound], response: np.ndarray) -> list[TaughtSound]:
    """Sounds as another device would have recorded them, at their own level unless it would clip."""
    made = []
    for sound in sounds:
        audio = through_response(sound.samples(RATE).astype(np.float64) / 32_768, response)
        made.append(replace(sound, audio=whole_numbers(audio / max(1.0, np.abs(audio).max()))))
    return made


def by_several_devices(
    sounds: Sequence[TaughtSound], responses: Sequence[np.ndarray]
) -> list[TaughtSound]:
    """Of R + 1 sounds in a row one stays as it is, and each of the R devices records one."""
    groups = [
        sounds[place :: len(responses) + 1] for place in range(len(responses) + 1)
    ]  # of one device each
    changed = [
        recorded_by(group, response) for group, response in zip(groups[1:], responses, strict=True)
    ]
    return [*groups[0], *(sound for group in changed for sound in group)]


def train(plan: Plan, material: Material, trial: int, steps: int) -> AudioTagger:
    """Train a network in memory by the step of the tagger's recipe, with AdamW and half a cosine."""
    sounds, _ = material.split(trial)
    if plan.several_devices:
        sounds = by_several_devices(sounds, material.recording)
    versions = plan.parallel.parallel_sounds if plan.parallel.parallel_weight else 0
    samples = None if plan.crop_seconds is None else round(plan.crop_seconds * RATE)
    settings = ExampleSettings(
        *(material.labels, RATE, True, samples, BATCH, plan.variation, trial),
        responses=material.seen,
        parallel_sounds=versions,
        parallel_codecs=plan.parallel.parallel_codecs,
    )
    source = ExampleBatches(sounds, np.ones(len(sounds)), settings)
    head = constant_logits([source.batch(0).targets], LABELS_ALONE)
    prunes = plan.pruning.pruned_share > 0
    with torch.random.fork_rng():
        torch.manual_seed(trial)
        front_end = FRONT_END.log_mel()
        network = build_network(plan.architecture, material.labels, head, front_end, prunes)
    tagger = AudioTagger(network, material.labels, FRONT_END)
    optimizer = adamw(network.parameters(), LEARNING_RATE, WEIGHT_DECAY, BETAS)
    schedule = cosine_schedule(optimizer, max(1, steps // 10), steps)
    network.train()
    for number in range(steps):
        if prunes:
            share = plan.pruning.share_at(PRUNING_EPOCHS * number / steps)
            prune(network, share, plan.pruning.prune_scope)
        generator = batch_generator(trial, number, "spectrogram masks")
        batch = tagger_batch(source.batch(number), tagger, MASKS, generator)
        loss, _ = training_step(network, batch, plan.loss, plan.parallel)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    cut(network)
    return tagger.eval()


@torch.no_grad()
def answers(tagger: AudioTagger, sounds: Sequence[TaughtSound]) -> torch.Tensor:
    """The class of each sound (N,), heard up to its first 5 s; shorter ones end in silence."""
    samples = round(LONGEST_SECONDS * RATE)
    found = []
    for start in range(0, len(sounds), BATCH):
        cuts = [sound.samples(RATE)[:samples] for sound in sounds[start : start + BATCH]]
        longest = max(map(len, cuts))
        whole = [np.pad(audio, (0, longest - len(audio))) for audio in cuts]
        logits = tagger(torch.from_numpy(np.stack(whole).astype(np.float32) / 32_768)).logits
        found.append(logits.argmax(dim=1))
    return torch.cat(found)


def accuracy(tagger: AudioTagger, sounds: Sequence[TaughtSound]) -> float:
    """Share of the sounds whose class is right."""
    right = torch.tensor([tagger.labels.index(sound.labels[0]) for sound in sounds])
    return float((answers(tagger, sounds) == right).double().mean())


def device_accuracies(tagger: AudioTagger, material: Material, trial: int) -> dict[str, float]:
    """Accuracy on what a trial left out: as recorded, and the mean over seen and over as many unseen devices."""
    _, sounds = material.split(trial)
    unseen = replace(material, seen=material.unseen).recording
    result = {"as recorded": accuracy(tagger, sounds)}
    for name, devices in (("seen devices", material.recording), ("unseen devices", unseen)):
        through = [accuracy(tagger, recorded_by(sounds, device)) for device in devices]
        result[name] = float(np.mean(through))
    return result


@dataclass(frozen=True)
class Study:
    """How much of a study is done, and where its results are."""

    manifest: Path
    responses: Path
    results: Path
    plot: Path | None
    trials: int
    steps: int
    kinds: tuple[str, ...]  # none are all


def study_options(description: str | None, arguments: Sequence[str] | None) -> Study:
    """Read what every study's command takes."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    add = parser.add_argument
    data = Path("../shared/data")
    add("--manifest", type=Path, default=data / "sfx/manifest.jsonl", help="with ESC-10's rows")
    add("--responses", type=Path, default=data / "ir/device", help="folder of devices")
    add("--results", type=Path, required=True, help="file of lines that a later call goes on with")
    add("--plot", type=Path, help="write a picture here")
    add("--trials", type=int, default=3)
    add("--steps", type=int, default=300, help="of each training")
    add("--kinds", nargs="+", default=[], metavar="NAME", help="train these alone")
    found = parser.parse_args(arguments)
    return Study(
        *(found.manifest, found.responses, found.results, found.plot, found.trials, found.steps),
        kinds=tuple(found.kinds),
    )


Measure = Callable[[AudioTagger, Material, int], Mapping[str, Any]]


def run_study(
    study: Study, plans: Mapping[str, Plan], material: Material, measure: Measure
) -> list[dict[str, Any]]:
    """Train and measure every plan in every trial, unless the results have it already.

    Args:
        study: how much of it.
        plans: by the name of the kind.
        material: sounds and devices.
        measure: figures of a trained tagger in a trial.

    Returns:
        A row for each plan and trial: "kind", "trial", "steps" and the figures.

    Raises:
        ValueError: a kind that the study does not have.
    """
    unknown = sorted(set(study.kinds) - set(plans))
    if unknown:
        raise ValueError(f"no kind {', '.join(unknown)}; there are {', '.join(plans)}")
    found = []
    if study.results.is_file():
        found = [json.loads(line) for line in study.results.read_text("utf-8").splitlines()]
    done = {(row["kind"], row["trial"], row["steps"]): row for row in found}
    rows = []
    for trial in range(1, study.trials + 1):
        for kind in study.kinds or plans:
            key = (kind, trial, study.steps)
            if key not in done:
                tagger = train(plans[kind], material, trial, study.steps)
                facts = dict(zip(("kind", "trial", "steps"), key, strict=True))
                done[key] = facts | dict(measure(tagger, material, trial))
                with study.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(done[key]) + "\n")
            rows.append(done[key])
    return rows


def table(rows: Sequence[Mapping[str, Any]], shares: Sequence[str], facts: Sequence[str]) -> str:
    """Markdown: for every kind its facts, and mean and standard deviation over the trials of its shares, in percent.

    Args:
        rows: of `run_study`.
        shares: figures from 0 to 1 that differ between trials.
        facts: figures that do not.
    """
    lines = [
        f"| kind | {' | '.join((*facts, *shares))} |",
        "|---" * (1 + len(facts) + len(shares)) + "|",
    ]
    for kind in dict.fromkeys(row["kind"] for row in rows):
        own = [row for row in rows if row["kind"] == kind]
        cells = [
            f"{own[0][fact]:,}" if isinstance(own[0][fact], int) else own[0][fact] for fact in facts
        ]
        for share in shares:
            values = 100 * np.array([row[share] for row in own])
            cells.append(f"{values.mean():.1f} +- {values.std(ddof=min(1, len(values) - 1)):.1f}")
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)
