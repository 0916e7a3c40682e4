"""How well a ConGater hides the device: what a fresh probe finds, and what the task loses, by control.

    python benchmarks/study_control.py [--work FOLDER] [--trials N] [--steps N] [--picture FILE]

Four kinds of sounds made by rule (noise and tone, slow and fast pulses), each heard by one of four devices, smooth
random filters. In every trial, with sounds, filters and weights of its own, a small PaSST learns the kinds by
training/train_tagger.py and gets gates by training/train_control.py. Printed are mean and spread over the trials, in
percent, on sounds that nothing learned from. A run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from woosh.data.augmentation import coloured

ROOT = Path(__file__).resolve().parents[1]
RATE, SECONDS = 32_000, 0.5
KINDS = ("slow noise", "slow tone", "fast noise", "fast tone")
DEVICES = 4
COLOUR = 10.0  # dB, standard deviation of a device's response
SOUNDS = {"train": 1200, "validation": 400}
WIDTH = 32


@dataclass(frozen=True)
class Row:
    """One way of training the gates."""

    name: str
    gate: str
    place: str
    rate: float
    weight: float  # of the reversed gradient


ROWS = (
    Row("published: rate 1e-4, weight 1", "T", "all", 1e-4, 1.0),
    Row("rate 1e-2, weight 1", "T", "all", 1e-2, 1.0),
    Row("rate 1e-2, weight 10", "T", "all", 1e-2, 10.0),
)


def pulses(kind: int, generator: np.random.Generator) -> np.ndarray:
    """A sound of a kind (S,): its carrier and its pace."""
    seconds = np.arange(round(RATE * SECONDS)) / RATE
    noise = generator.standard_normal(len(seconds))
    tone = np.sign(np.sin(2 * np.pi * generator.uniform(300, 1200) * seconds)) + 0.1 * noise
    pace = generator.uniform(2, 4) if kind < 2 else generator.uniform(9, 14)
    envelope = np.exp(-4 * ((seconds * pace + generator.uniform()) % 1))
    level = 0.1 * 10 ** (generator.uniform(-6, 6) / 20)
    return level * envelope * (tone if kind % 2 else noise)


def write_sounds(folder: Path, trial: int) -> Path:
    """The sounds of a trial with their manifest, unless they are there."""
    manifest, rows = folder / "manifest.jsonl", []
    if manifest.is_file():
        return manifest
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(trial)
    for split, count in SOUNDS.items():
        for number in range(count):
            kind, device = int(generator.integers(len(KINDS))), int(generator.integers(DEVICES))
            audio = pulses(kind, generator)
            if device:  # the first one colours nothing
                audio = coloured(audio, COLOUR, np.random.default_rng((trial, device)))
            name = f"{split}-{number}.wav"
            soundfile.write(folder / name, np.clip(audio, -1, 1), RATE)
            row = {"file": name, "captions": [KINDS[kind]], "seconds": SECONDS, "split": split}
            rows.append(json.dumps(row | {"label": KINDS[kind], "device": f"device {device}"}))
    manifest.write_text("\n".join(rows) + "\n")
    return manifest


def train(recipe: str, config: str, settings: Mapping[str, object]) -> None:
    """Run a recipe unless its evaluation is there."""
    output = Path(str(settings["output"]))
    if (output / "evaluation.json").is_file():
        return
    resume = any((output / "checkpoints").glob("*"))
    values = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    command = [sys.executable, str(ROOT / "training" / recipe), str(ROOT / "configs" / config)]
    subprocess.run([*command, *values, f"resume={str(resume).lower()}"], check=True, cwd=ROOT)


def results_of(work: Path, trial: int, steps: int) -> dict[str, dict[str, dict[str, float]]]:
    """The evaluations of all rows of a trial."""
    folder = work / f"trial-{trial}"
    manifest = write_sounds(folder / "sounds", trial)
    common = {"data": str(manifest), "crop_seconds": SECONDS, "seed": trial, "batch_size": 32}
    plain = {"output": str(folder / "plain"), "network": "passt", "initial": None, "width": WIDTH}
    sizes = {"depth": 2, "heads": 4, "patch_stride": 16, "longest_frames": 52}
    held = {"validation_data": str(manifest), "held_out_share": 0.0, "mixup": 0.0}
    rates = {
        "steps": 300,
        "learning_rate": 2e-3,
        "frequency_mask": 0,
        "time_mask": 0,
        "gain_decibels": 6.0,
    }
    train("train_tagger.py", "tagger_own.yaml", {**common, **plain, **sizes, **held, **rates})
    found = {}
    for number, row in enumerate(ROWS):
        output = folder / f"gates-{number}"
        gates = {"output": str(output), "tagger": str(folder / "plain" / "tagger"), "steps": steps}
        form: dict[str, object] = {
            "gate": row.gate,
            "gate_place": row.place,
            "gate_learning_rate": row.rate,
        }
        form["adversarial_weight"] = row.weight
        train("train_control.py", "control_tiny.yaml", {**common, **gates, **form})
        found[row.name] = json.loads((output / "evaluation.json").read_text())
    return found


def in_percent(values: list[float]) -> str:
    """Mean and standard deviation."""
    return (
        f"{100 * np.mean(values):.1f} +- {100 * np.std(values, ddof=min(1, len(values) - 1)):.1f}"
    )


def draw(trials: list[dict[str, dict[str, dict[str, float]]]], path: Path) -> None:
    """Task and probe by control, for every row."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharex=True)
    for axis, name, chance in zip(
        axes, ("probe", "task"), (1 / DEVICES, 1 / len(KINDS)), strict=True
    ):
        for row in ROWS:
            controls = list(trials[0][row.name])
            values = np.array([[t[row.name][c][name] for c in controls] for t in trials]) * 100
            spread = values.std(axis=0, ddof=min(1, len(trials) - 1))
            places = [float(control) for control in controls]
            axis.errorbar(
                places, values.mean(axis=0), spread, marker="o", capsize=3, label=row.name
            )
        axis.axhline(100 * chance, color="gray", linestyle=":", label="chance")
        axis.set(title=f"accuracy of the {name}", xlabel="control", ylabel="percent", ylim=(0, 100))
    axes[0].legend(fontsize=7, loc="lower left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Train what is missing, print the table, draw the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/study_control"))
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400, help="of the gates")
    parser.add_argument("--picture", type=Path, default=Path("docs/studies/control.png"))
    options = parser.parse_args()
    work = options.work.resolve()
    trials = [results_of(work, trial, options.steps) for trial in range(options.trials)]
    print("| gates | probe at 0 | at 0.5 | at 1 | task at 0 | at 0.5 | at 1 |")
    print("|---|---|---|---|---|---|---|")
    for row in ROWS:
        cells = [
            in_percent([trial[row.name][control][name] for trial in trials])
            for name in ("probe", "task")
            for control in ("0", "0.5", "1")
        ]
        print(f"| {row.name} | {' | '.join(cells)} |")
    draw(trials, options.picture)


if __name__ == "__main__":
    main()
