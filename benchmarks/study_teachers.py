"""Which teachers help a small network with acoustic scenes: convolutions, transformers, both, or none.

    python benchmarks/study_teachers.py --work FOLDER [--plot FILE.png] [--trials N] [--steps N]

As in arXiv 2503.11363, on a toy copy of the layout of TAU Urban Acoustic Scenes: ten scenes made by rule, one second each, heard by
devices that are smooth random filters, three of which training never hears. Students are CP-Mobiles that learn for as many steps
each, from labels alone or from labels and the mean logits of teachers. A run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import torch

from woosh.data.augmentation import coloured
from woosh.data.layouts import read_layout
from woosh.evaluation.plots import plot_trials
from woosh.taggers import AudioTagger, load_tagger, save_tagger
from woosh.training.taggers.distillation import DistillationSettings
from woosh.training.taggers.networks import FieldConfig, NetworkConfig, TransformerConfig
from woosh.training.taggers.studies import RATE, Material, Plan, accuracy, table, train
from woosh.training.taggers.teaching import TaughtSound

CARRIERS = ("noise", "hum", "clicks", "tones", "rumble")
SCENES = (
    *("airport", "bus", "metro", "metro_station", "park"),
    *("public_square", "shopping_mall", "street_pedestrian", "street_traffic", "tram"),
)  # slow ones first, each with the next of the carriers
PACES = (2.0, 5.0), (4.0, 9.0)  # Hz, which overlap
SEEN, UNSEEN = ("a", "b", "c", "s1", "s2", "s3"), ("s4", "s5", "s6")
MAIN_SHARE = 0.6  # of the training clips, by device a
COLOUR = 8.0  # dB, standard deviation of a device's response; the main one colours nothing
CLIPS = {"train": 300, "evaluate": 270}
DISTILLED = DistillationSettings("multi-class", 0.02, 2.0)
CNN = Plan(
    NetworkConfig("cp-resnet", 8, None, FieldConfig(frequency_rho=4, time_rho=4)), crop_seconds=None
)
TRANSFORMER = Plan(
    NetworkConfig(
        *("passt", 48, None),
        transformer=TransformerConfig(depth=2, heads=4, patch_stride=16, longest_frames=64),
    ),
    crop_seconds=None,
)
STUDENT = Plan(NetworkConfig("cp-mobile", 8, None), crop_seconds=None)
TEACHERS = {"CNN": CNN, "transformer": TRANSFORMER}
FIGURES = ("seen devices", "unseen devices")


@dataclass(frozen=True)
class Kind:
    """Which teachers a student has: their kinds, with a seed each."""

    name: str
    teachers: tuple[tuple[str, int], ...]


KINDS = (
    Kind("labels alone", ()),
    Kind("two CNNs", (("CNN", 0), ("CNN", 1))),
    Kind("two transformers", (("transformer", 0), ("transformer", 1))),
    Kind("one of each", (("CNN", 0), ("transformer", 0))),
    Kind("two of each", tuple((name, seed) for name in TEACHERS for seed in (0, 1))),
)


def scene(number: int, generator: np.random.Generator) -> np.ndarray:
    """A second of a scene (S,): its carrier and its pace, louder and quieter."""
    seconds = np.arange(RATE) / RATE
    noise = generator.standard_normal(RATE)
    carrier = CARRIERS[number % len(CARRIERS)]
    if carrier == "noise":
        sound = noise
    elif carrier == "hum":
        base = generator.uniform(60, 140)
        sound = sum(np.sin(2 * np.pi * base * n * seconds) / n for n in range(1, 9)) + 0.3 * noise
    elif carrier == "clicks":
        sound = noise * (generator.random(RATE) < 0.003) * 8 + 0.1 * noise
    elif carrier == "tones":
        pitch = np.repeat(generator.uniform(300, 3000, 8), RATE // 8)
        sound = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) + 0.3 * noise
    else:
        sound = np.cumsum(noise - noise.mean()) / 20 + 0.1 * noise
    pace = generator.uniform(*PACES[number // len(CARRIERS)])
    depth = generator.uniform(0.4, 1.0)
    envelope = 1 - depth * ((seconds * pace + generator.uniform()) % 1)
    sound = sound * envelope + 0.3 * generator.standard_normal(RATE)
    return 0.1 * 10 ** (generator.uniform(-6, 6) / 20) * sound / np.sqrt(np.mean(sound**2))


def write_scenes(folder: Path, trial: int) -> None:
    """The toy data set of a trial, in TAU's layout, unless it is there."""
    if (folder / "meta.csv").is_file():
        return
    for name in ("audio", "evaluation_setup"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(trial)
    meta = ["filename\tscene_label\tidentifier\tsource_label"]
    for split, count in CLIPS.items():
        lines = ["filename\tscene_label"]
        for number in range(count):
            kind = number % len(SCENES)
            if split == "train":
                main = generator.random() < MAIN_SHARE
                device = "a" if main else str(generator.choice(SEEN[1:]))
            else:
                device = (*SEEN, *UNSEEN)[number // len(SCENES) % 9]
            audio = scene(kind, generator)
            if device != "a":
                place = (*SEEN, *UNSEEN).index(device)
                audio = coloured(audio, COLOUR, np.random.default_rng((trial, place)))
            name = f"audio/{SCENES[kind]}-toy-{number}-{split}-{device}.wav"
            soundfile.write(folder / name, np.clip(audio, -1, 1), RATE)
            meta.append(f"{name}\t{SCENES[kind]}\ttoy-{number}\t{device}")
            lines.append(f"{name}\t{SCENES[kind]}")
        (folder / "evaluation_setup" / f"fold1_{split}.csv").write_text("\n".join(lines) + "\n")
    (folder / "meta.csv").write_text("\n".join(meta) + "\n")


def read_scenes(folder: Path) -> tuple[list[TaughtSound], list[TaughtSound]]:
    """Sounds to learn from and to be judged by, in memory."""
    found = []
    for split in CLIPS:
        sounds = [
            TaughtSound(file.path, file.labels, None, file.absent, file.device)
            for file in read_layout(f"tau-scenes:{folder}", split)
        ]
        found.append([replace(sound, audio=sound.samples(RATE)) for sound in sounds])
    return found[0], found[1]


def learned(plan: Plan, sounds: Sequence[TaughtSound], seed: int, steps: int) -> AudioTagger:
    """A network after so many steps of sounds of which none is left out."""
    return train(plan, Material(([], sounds), SCENES), seed * 2 + 1, steps)


def teacher(
    name: str, sounds: Sequence[TaughtSound], seed: int, steps: int, folder: Path
) -> AudioTagger:
    """A teacher that is trained, or was before."""
    if not (folder / "model_index.json").is_file():
        save_tagger(learned(TEACHERS[name], sounds, seed, steps), folder)
    return load_tagger(folder)


@torch.no_grad()
def taught(sounds: Sequence[TaughtSound], teachers: Sequence[AudioTagger]) -> list[TaughtSound]:
    """Sounds with the mean of the teachers' logits."""
    audio = torch.from_numpy(np.stack([sound.samples(RATE) for sound in sounds]) / 32_768).float()
    logits = torch.stack([tagger(audio).logits for tagger in teachers]).mean(dim=0)
    rows = logits.numpy().astype(np.float16)
    return [replace(sound, teacher=row) for sound, row in zip(sounds, rows, strict=True)]


def measured(tagger: AudioTagger, judged: Sequence[TaughtSound]) -> dict[str, float]:
    """Accuracy over the devices that training heard, and over the others."""
    groups = ([s for s in judged if s.device in devices] for devices in (SEEN, UNSEEN))
    return {name: accuracy(tagger, group) for name, group in zip(FIGURES, groups, strict=True)}


def run_trial(work: Path, trial: int, steps: int, done: dict) -> None:
    """Train and measure what `done` does not have yet, by kind and trial, and write it there and beside."""
    folder = work / f"trial-{trial}"
    write_scenes(folder / "tau", trial)
    sounds, judged = read_scenes(folder / "tau")

    def keep(kind: str, tagger: AudioTagger) -> None:
        row = {"kind": kind, "trial": trial, "steps": steps} | measured(tagger, judged)
        done[kind, trial, steps] = row
        with (work / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def known(name: str, seed: int) -> AudioTagger:
        place = folder / f"{name}-{seed}-{steps}"
        return teacher(name, sounds, 10 * trial + seed, steps, place)

    for name in TEACHERS:
        if (f"teacher: {name}", trial, steps) not in done:
            keep(f"teacher: {name}", known(name, 0))
    for kind in KINDS:
        if (kind.name, trial, steps) in done:
            continue
        teachers = [known(*named) for named in kind.teachers]
        own = taught(sounds, teachers) if teachers else sounds
        plan = replace(STUDENT, loss=DISTILLED) if teachers else STUDENT
        keep(kind.name, learned(plan, own, 100 + trial, steps))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--work", type=Path, required=True, help="folder of scenes, teachers and results")
    add("--plot", type=Path, metavar="FILE.png")
    add("--trials", type=int, default=3)
    add("--steps", type=int, default=200, help="of each training")
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    results, done = options.work / "results.jsonl", {}
    if results.is_file():
        rows = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
        done = {(row["kind"], row["trial"], row["steps"]): row for row in rows}
    for trial in range(1, options.trials + 1):
        run_trial(options.work, trial, options.steps, done)
    names = [*(f"teacher: {name}" for name in TEACHERS), *(kind.name for kind in KINDS)]
    trials = range(1, options.trials + 1)
    rows = [done[name, trial, options.steps] for name in names for trial in trials]
    print(table(rows, FIGURES, ()))
    if options.plot:
        plot_trials(rows, FIGURES, options.plot, ordered=False)


if __name__ == "__main__":
    main()
