"""What a loss between parallel recordings does, at the output and at a hidden layer, and a discrepancy of distributions.

    python benchmarks/study_parallel.py --results FILE [--plot FILE.png] [--manifest FILE] [--responses FOLDER]

As in arXiv 1909.02869, at small scale: labels belong to sounds of one device; a few sounds of every batch are heard
through a seen device beside. See docs/studies/parallel.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from woosh.evaluation.plots import plot_trials
from woosh.taggers.tagger import AudioTagger
from woosh.training.taggers.networks import FieldConfig, NetworkConfig
from woosh.training.taggers.parallel import ParallelConfig
from woosh.training.taggers.studies import (
    Material,
    Plan,
    answers,
    device_accuracies,
    read_material,
    recorded_by,
    run_study,
    study_options,
    table,
)

SOUNDS = 8  # of 32, in two versions
WEIGHT, HIGH_WEIGHT = 0.1, 1.0  # the published one, and ten times as much
HIDDEN = "stage2.block4"
PLAIN = Plan(NetworkConfig("cp-resnet", 16, None, FieldConfig()))


def plan(weight: float, layer: str, distance: str) -> Plan:
    """The plain training with a term of so much weight."""
    return replace(PLAIN, parallel=ParallelConfig(weight, SOUNDS, layer, distance))


PLANS = {
    "none": PLAIN,
    "squared, output, 0.1": plan(WEIGHT, "feed_forward", "squared"),
    "squared, output, 1": plan(HIGH_WEIGHT, "feed_forward", "squared"),
    "squared, hidden, 1": plan(HIGH_WEIGHT, HIDDEN, "squared"),
    "discrepancy, output, 1": plan(HIGH_WEIGHT, "feed_forward", "discrepancy"),
}
FIGURES = ("as recorded", "unseen devices", "same answer")


def measure(tagger: AudioTagger, material: Material, trial: int) -> dict[str, float]:
    """Accuracies, and how often an unseen device leaves the answer as it is, right or wrong."""
    _, sounds = material.split(trial)
    own = answers(tagger, sounds)
    unseen = replace(material, seen=material.unseen).recording
    same = [(answers(tagger, recorded_by(sounds, d)) == own).double().mean() for d in unseen]
    return device_accuracies(tagger, material, trial) | {"same answer": float(np.mean(same))}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, print and draw."""
    study = study_options(__doc__, arguments)
    material = read_material(study.manifest, study.responses)
    rows = run_study(study, PLANS, material, measure)
    print(table(rows, FIGURES, ()))
    if study.plot:
        plot_trials(rows, FIGURES, study.plot, ordered=False)


if __name__ == "__main__":
    main()
