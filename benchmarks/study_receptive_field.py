"""How far a network should see: accuracy on ten classes over rho, and what one place of its last map sees.

    python benchmarks/study_receptive_field.py --results FILE [--plot FILE.png] [--manifest FILE]

As in arXiv 1907.01803, at small scale: CP-ResNets of width 8 that differ in rho alone. See docs/studies/receptive-field.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from woosh.evaluation.plots import plot_trials
from woosh.taggers.receptive_field import receptive_field
from woosh.taggers.tagger import AudioTagger
from woosh.training.taggers.networks import FieldConfig, NetworkConfig
from woosh.training.taggers.studies import (
    Material,
    Plan,
    accuracy,
    read_material,
    run_study,
    study_options,
    table,
)

WIDTH = 8


def plan(rho: int) -> Plan:
    """A network with so many wide convolutions after the second."""
    fields = FieldConfig(frequency_rho=rho, time_rho=rho)
    return Plan(NetworkConfig("cp-resnet", WIDTH, None, fields))


PLANS = {f"rho {rho}": plan(rho) for rho in (0, 2, 4, 7, 12, 20)}


def measure(tagger: AudioTagger, material: Material, trial: int) -> dict[str, Any]:
    """Accuracy on what was left out, beside the field and the size."""
    bands, frames = receptive_field(tagger.network)
    return {
        "field": f"{bands:.0f} x {frames:.0f}",
        "parameters": sum(value.numel() for value in tagger.network.parameters()),
        "accuracy": accuracy(tagger, material.split(trial)[1]),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, print and draw."""
    study = study_options(__doc__, arguments)
    rows = run_study(study, PLANS, read_material(study.manifest), measure)
    print(table(rows, ("accuracy",), ("field", "parameters")))
    if study.plot:
        plot_trials(rows, ("accuracy",), study.plot, ordered=True)


if __name__ == "__main__":
    main()
