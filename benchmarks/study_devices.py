"""What device responses and Freq-MixStyle do for devices that training has seen and has not.

    python benchmarks/study_devices.py --results FILE [--plot FILE.png] [--manifest FILE] [--responses FOLDER]

As in arXiv 2305.07499, at small scale: a CP-ResNet of width 16, a quarter of whose training sounds each comes from one of
three devices. See docs/studies/devices.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from woosh.evaluation.plots import plot_trials
from woosh.training.taggers.networks import FieldConfig, NetworkConfig
from woosh.training.taggers.studies import (
    Plan,
    device_accuracies,
    read_material,
    run_study,
    study_options,
    table,
)

PLAIN = Plan(NetworkConfig("cp-resnet", 16, None, FieldConfig()), several_devices=True)
RESPONSES, STYLES, ALPHA = 0.4, 0.8, 0.4  # the published shares for CP-ResNet
PLANS = {
    "none": PLAIN,
    "responses": PLAIN.through_devices(RESPONSES),
    "Freq-MixStyle": PLAIN.styled(STYLES, ALPHA),
    "both": PLAIN.through_devices(RESPONSES).styled(STYLES, ALPHA),
}
FIGURES = ("as recorded", "seen devices", "unseen devices")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, print and draw."""
    study = study_options(__doc__, arguments)
    material = read_material(study.manifest, study.responses)
    rows = run_study(study, PLANS, material, device_accuracies)
    print(table(rows, FIGURES, ()))
    if study.plot:
        plot_trials(rows, FIGURES, study.plot, ordered=False)


if __name__ == "__main__":
    main()
