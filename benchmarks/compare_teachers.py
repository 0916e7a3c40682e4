"""What makes a good teacher: the same small student, for as many steps, taught by networks of several kinds.

    python benchmarks/compare_teachers.py --manifest FILE --responses FOLDER [--work FOLDER] [--trials N] [--rows N ...]

As in arXiv 2503.11363, at small scale: ten classes of ESC-10, whose fifth with the trial's number is left out; teachers
are trained on the rest, students learn from labels and the teachers' mean logits on the very same sounds. Every other
impulse response trains the teachers that hear devices; the rest play the devices that nobody heard. Printed are mean
and spread over the trials of the accuracy on what was left out, as recorded and through unheard devices. A run that
was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from woosh.data.augmentation import load_responses, through_response
from woosh.data.clips import Clip, load_clips
from woosh.data.manifests import Row, read_objects
from woosh.taggers import AudioTagger, load_tagger
from woosh.training.taggers.studies import ESC10, FOLDS, fold_of

ROOT = Path(__file__).resolve().parents[1]
RATE = 32_000
SECONDS = 2.5  # of a training crop


@dataclass(frozen=True)
class Teacher:
    """A network to be trained: its width, whether it hears devices, and its seed."""

    width: float
    devices: bool
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"width-{self.width}{'-devices' if self.devices else ''}-seed-{self.seed}"


def plain(width: float, seed: int = 0) -> Teacher:
    """A teacher that hears sounds as they were recorded."""
    return Teacher(width, False, seed)


# What each student learns from, beside the labels.
STUDENTS: dict[str, tuple[Teacher, ...]] = {
    "labels alone": (),
    "one of the student's size, 0.1": (plain(0.1),),
    "one of width 0.2": (plain(0.2),),
    "one of width 0.4": (plain(0.4),),
    "two of width 0.2": (plain(0.2), plain(0.2, 1)),
    "three of width 0.2": (plain(0.2), plain(0.2, 1), plain(0.2, 2)),
    "one of width 0.2 that hears devices": (Teacher(0.2, True, 0),),
}


def write_folds(manifest: Path, folder: Path) -> dict[int, Path]:
    """A manifest for every fold that is left out: the others train, with paths from the root of the file system."""
    values = [row for _, row in read_objects(manifest) if row.get("source") == ESC10]
    if not values:
        raise ValueError(f"{manifest} has no rows of ESC-10")
    paths = {}
    for left_out in range(1, FOLDS + 1):
        lines = []
        for row in values:
            split = "validation" if fold_of(row["file"]) == left_out else "train"
            file = str((manifest.parent / row["file"]).resolve())
            lines.append(json.dumps(row | {"file": file, "split": split}))
        paths[left_out] = folder / f"fold-{left_out}.jsonl"
        paths[left_out].write_text("\n".join(lines) + "\n", encoding="utf-8")
    return paths


def split_responses(source: Path, folder: Path) -> tuple[Path, Path]:
    """Every other impulse response for training, the rest for devices that nobody heard."""
    halves = folder / "responses-training", folder / "responses-unheard"
    paths = sorted(path for path in source.rglob("*") if path.is_file())
    for place, half in enumerate(halves):
        half.mkdir(exist_ok=True)
        for path in paths[place::2]:
            shutil.copy(path, half / path.name)
    return halves


def recipe(name: str, config: str, output: Path, *settings: str) -> None:
    """Run a recipe, unless it has run to its end; one that was ended goes on."""
    if (output / "done").is_file():
        return
    resume = ["resume=true"] if any(output.glob("checkpoints/step-*")) else []
    arguments = [str(ROOT / "configs" / config), f"output={output}", *settings, *resume]
    subprocess.run(
        [sys.executable, str(ROOT / "training" / f"{name}.py"), *arguments],
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    (output / "done").touch()


def train(output: Path, data: Path, seed: int, settings: Sequence[str], steps: int) -> None:
    """Train a network for so many steps with the schedule of a fine-tuning."""
    common = (
        f"steps={steps}",
        f"save_every={steps}",
        f"warmup_steps={max(1, steps // 10)}",
        f"decay_start={steps // 4}",
        f"decay_steps={steps - steps // 4}",
        f"data={data}",
        f"seed={seed}",
        "initial=null",
        "held_out_share=0.0",
        "sampling_offset=null",
        "learning_rate=3.0e-3",
        "temperature=2.0",
        "gain_decibels=6.0",
    )
    recipe("train_tagger", "tagger_own.yaml", output, *common, *settings)


@torch.no_grad()
def accuracy(tagger: AudioTagger, clips: Sequence[Clip], response: np.ndarray | None) -> float:
    """Share of the clips whose class is right, as recorded or through a device."""
    right = 0
    for clip in clips:
        audio = clip.audio if response is None else through_response(clip.audio, response)
        logits = tagger(torch.from_numpy(audio.astype(np.float32))[None]).logits
        right += tagger.labels[int(logits.argmax())] == clip.label
    return right / len(clips)


def run_trial(trial: int, manifest: Path, work: Path, options: argparse.Namespace) -> dict:
    """Accuracy of every student of one trial: as recorded, and the mean over unheard devices."""
    training, unheard = split_responses(options.responses, work)
    rows = [
        Row(r["file"], ("x",), 0.0, r["split"], "", r["label"]) for _, r in read_objects(manifest)
    ]
    left_out = load_clips([row for row in rows if row.split == "validation"], "/", RATE)
    devices = load_responses(unheard, RATE)[: options.devices]
    crop = f"crop_seconds={SECONDS}"
    students = [(number, *list(STUDENTS.items())[number]) for number in options.rows]
    heard_first = (plain(0.1),)  # by what "labels alone" learns from, whose answers do not count
    for teacher in {t.name: t for _, _, own in students for t in own or heard_first}.values():
        heard = (f"responses={training}", "response_share=0.6") if teacher.devices else ()
        settings = (f"width={teacher.width}", crop, *heard)
        seed = 100 * trial + teacher.seed
        train(work / f"teacher-{teacher.name}", manifest, seed, settings, options.steps)
    results = {}
    for number, name, teachers in students:
        taught = work / f"taught-{number}"
        names = [work / f"teacher-{t.name}" / "tagger" for t in teachers or heard_first]
        recipe(
            *("teach", "teach_tiny.yaml", taught, f"data=[{manifest}]", "procedural_clips=0"),
            f"teachers={json.dumps([f'tagger:{path}' for path in names])}",
            *(f"sounds={options.sounds}", f"seconds=[{SECONDS}]", "speed=0.0", "responses=null"),
            *("colour_decibels=0.0", "mixed_share=0.0", "joined_share=0.0", "response_share=0.0"),
            f"seed={trial}",
        )
        share = "label_share=0.02" if teachers else "label_share=1.0"
        student = work / f"student-{number}"
        settings = ("width=0.1", "crop_seconds=null", share)
        train(student, taught, 1_000 + trial, settings, options.steps)
        tagger = load_tagger(student / "tagger")
        through = [accuracy(tagger, left_out, device) for device in devices]
        results[name] = (accuracy(tagger, left_out, None), float(np.mean(through)))
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all trials, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--responses", type=Path, required=True, help="folder of devices")
    parser.add_argument("--work", type=Path, default=Path("runs/teachers"))
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--sounds", type=int, default=1_000, help="that the teachers hear")
    parser.add_argument("--devices", type=int, default=5, help="unheard ones to judge by")
    parser.add_argument("--rows", type=int, nargs="+", default=list(range(len(STUDENTS))))
    options = parser.parse_args(arguments)
    trials = []
    for trial in range(1, options.trials + 1):
        work = options.work.resolve() / f"trial-{trial}"
        work.mkdir(parents=True, exist_ok=True)
        manifest = write_folds(options.manifest, work)[(trial - 1) % FOLDS + 1]
        trials.append(run_trial(trial, manifest, work, options))
        print(json.dumps({"trial": trial, **trials[-1]}), flush=True)
    print("| teachers | as recorded | through unheard devices |\n|---|---|---|")
    for name in trials[0]:
        values = np.array([trial[name] for trial in trials]) * 100  # (trials, 2)
        cells = (f"{m:.1f} +- {s:.1f}" for m, s in zip(values.mean(0), values.std(0), strict=True))
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
