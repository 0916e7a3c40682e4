"""What width, depth and groups do for devices that training has seen and has not.

    python benchmarks/study_width.py --results FILE [--plot FILE.png] [--manifest FILE] [--responses FOLDER]

As in arXiv 2107.08933, at small scale: CP-ResNets of rho 5, a quarter of whose training sounds each comes from one of three
devices. Pairs of equal size (within 2 %) differ in depth or groups. See docs/studies/width.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from woosh.evaluation.plots import plot_trials
from woosh.taggers.tagger import AudioTagger
from woosh.training.taggers.networks import FieldConfig, NetworkConfig
from woosh.training.taggers.studies import (
    Material,
    Plan,
    device_accuracies,
    read_material,
    run_study,
    study_options,
    table,
)

FIGURES = ("as recorded", "seen devices", "unseen devices")


def plan(width: int, removed: tuple[int, int, int] = (0, 0, 0), groups: int = 1) -> Plan:
    """A network of so many channels, without the last blocks of its stages, in groups of channels."""
    fields = FieldConfig(removed_blocks=removed, groups=groups)
    return Plan(NetworkConfig("cp-resnet", width, None, fields), several_devices=True)


PLANS = {
    **{str(width): plan(width) for width in (4, 8, 16, 32)},
    "24, half as deep": plan(24, removed=(0, 3, 3)),  # as large as 16
    "17": plan(17),
    "24, two groups": plan(24, groups=2),  # as large as 17
}


def measure(tagger: AudioTagger, material: Material, trial: int) -> dict[str, Any]:
    """Accuracies by device, beside the size."""
    parameters = sum(value.numel() for value in tagger.network.parameters())
    return {"parameters": parameters, **device_accuracies(tagger, material, trial)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, print and draw."""
    study = study_options(__doc__, arguments)
    material = read_material(study.manifest, study.responses)
    rows = run_study(study, PLANS, material, measure)
    print(table(rows, FIGURES, ("parameters",)))
    if study.plot:
        plot_trials(rows, FIGURES, study.plot, ordered=False)


if __name__ == "__main__":
    main()
