"""Networks of few bytes: their sizes in several forms, and what they hear, in eight bits too.

    python benchmarks/study_low_complexity.py --results FILE [--plot FILE.png] [--manifest FILE]

As in arXiv 2011.02955 and 2503.11363, at small scale: decomposed convolutions, a CP-Mobile under 128,000 bytes in int8, and
a CP-ResNet under 500,000 bytes in float16, plain, damped and pruned. See docs/studies/low-complexity.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from woosh.evaluation.plots import plot_trials
from woosh.taggers.tagger import AudioTagger
from woosh.training.taggers.networks import FieldConfig, NetworkConfig
from woosh.training.taggers.pruning import PruningConfig, stored_sizes, with_int8_weights
from woosh.training.taggers.studies import (
    PRUNING_EPOCHS,
    Material,
    Plan,
    accuracy,
    read_material,
    run_study,
    study_options,
    table,
)

LARGER = Plan(NetworkConfig("cp-resnet", 48, None, FieldConfig(4, 4, (0, 1, 3))))
DAMPED = Plan(
    NetworkConfig("cp-resnet", 48, None, FieldConfig(4, 4, (0, 1, 3), frequency_damping=0.01))
)
PRUNED_SHARE = 0.75
DECOMPOSED = FieldConfig(3, 3, (0, 4, 4), decomposition=4)
PLANS = {
    "decomposed, 48": Plan(NetworkConfig("cp-resnet", 48, None, DECOMPOSED)),
    "CP-Mobile, 28": Plan(NetworkConfig("cp-mobile", 28, None)),
    "CP-ResNet, 48": LARGER,
    "damped": DAMPED,
    "damped, pruned": replace(
        DAMPED, pruning=PruningConfig(PRUNED_SHARE, prune_epochs=PRUNING_EPOCHS // 2)
    ),
}
FIGURES = ("accuracy", "accuracy in int8")
SIZES = ("parameters", "float16", "int8", "sparse float16")


def measure(tagger: AudioTagger, material: Material, trial: int) -> dict[str, Any]:
    """Bytes in all forms, and accuracy as trained and with weights in eight bits."""
    sizes, (_, sounds) = stored_sizes(tagger.network), material.split(trial)
    rounded = AudioTagger(with_int8_weights(tagger.network), tagger.labels, tagger.front_end)
    return {
        "parameters": sum(value.numel() for value in tagger.network.parameters()),
        "float16": sizes.float16,
        "int8": sizes.int8,
        "sparse float16": sizes.sparse_float16,
        "accuracy": accuracy(tagger, sounds),
        "accuracy in int8": accuracy(rounded.eval(), sounds),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, print and draw."""
    study = study_options(__doc__, arguments)
    rows = run_study(study, PLANS, read_material(study.manifest), measure)
    print(table(rows, FIGURES, SIZES))
    if study.plot:
        plot_trials(rows, FIGURES, study.plot, ordered=False)


if __name__ == "__main__":
    main()
