"""How far a network should see: accuracy on ten classes over rho, and what one place of its last map sees.

    python benchmarks/study_receptive_field.py --results FILE [--plot FILE.png] [--manifest FILE]

As in arXiv 1907.01803, at small scale: CP-ResNets of width 8 that differ in rho alone, and networks of the VGG and the
DenseNet form that see as far. See docs/studies/receptive-field.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

WIDTH = 8  # of a ResNet, and of a VGG network, which is 1 to 6 % smaller
GROWTHS = {0: 5, 4: 4, 20: 6}  # of a DenseNet by its rho, nearest to a ResNet's size
RESNET, VGG, DENSENET = FORMS = ("ResNet", "VGG", "DenseNet")


def plan(form: str, rho: int, width: int) -> Plan:
    """A network with so many wide convolutions after the second."""
    fields = FieldConfig(frequency_rho=rho, time_rho=rho)
    return Plan(NetworkConfig(f"cp-{form.lower()}", width, None, fields))


def kind(form: str, rho: int) -> str:
    """How a table names a network."""
    return f"{form}, rho {rho}"


PLANS = {
    **{kind(RESNET, rho): plan(RESNET, rho, WIDTH) for rho in (0, 2, 4, 7, 12, 20)},
    **{kind(VGG, rho): plan(VGG, rho, WIDTH) for rho in GROWTHS},
    **{kind(DENSENET, rho): plan(DENSENET, rho, growth) for rho, growth in GROWTHS.items()},
}


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
        plot_trials(by_rho(rows), FORMS, study.plot, ordered=True)


def by_rho(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with rho for a kind, and accuracy under the name of the form."""
    parts = [(*row["kind"].split(", "), row["accuracy"]) for row in rows]
    return [{"kind": rho, form: accuracy} for form, rho, accuracy in parts]


if __name__ == "__main__":
    main()
