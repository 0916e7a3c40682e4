"""How far the built-in ears can be trusted: `woosh evaluate robustness` on recordings that they never learned from.

    python benchmarks/evaluate_robustness.py --manifest ../shared/data/sfx/manifest.jsonl --plot docs/studies/robustness.png

Recordings of the split `validation` that have a label, drawn anew for every trial.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from woosh.catalogue import DEFAULT_ALIGNER, DEFAULT_TAGGER
from woosh.command_line import run_to_exit_code
from woosh.data.manifests import read_manifest
from woosh.embeddings.embedders import load_embedder
from woosh.evaluation.plots import plot_robustness
from woosh.evaluation.robustness import evaluate_robustness


def link_labelled(manifest: Path, split: str, folder: Path) -> None:
    """Give every labelled recording a link below a folder of its label."""
    for number, row in enumerate(read_manifest(manifest, split)):
        if row.label:
            place = folder / row.label.replace("/", " ")
            place.mkdir(parents=True, exist_ok=True)
            path = (manifest.parent / row.file).resolve()
            (place / f"{number}-{path.name}").symlink_to(path)


def ears_of(trials: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """What was found of each ear, trial by trial."""
    return [list(found) for found in zip(*(trial["ears"] for trial in trials), strict=True)]


def mean_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    """One ear's shares as means over the trials."""
    levels = []
    for rows in zip(*(one["levels"] for one in found), strict=True):
        kinds = rows[0]["mistaken"]
        means = {kind: fmean(row["mistaken"][kind] for row in rows) for kind in kinds}
        levels.append({"decibels_below": rows[0]["decibels_below"], "mistaken": means})
    return {
        "name": found[0]["name"],
        "clips": f"{len(found)} x {found[0]['clips']}",
        "levels": levels,
    }


def spread(values: list[float]) -> str:
    """Mean and deviation as text."""
    return f"{fmean(values):.3f} +- {stdev(values) if len(values) > 1 else 0.0:.3f}"


def main() -> None:
    """Attack, print, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--ear", action="append", help="default: both built-in ones")
    parser.add_argument("--clips", type=int, default=20, help="of each trial")
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    arguments = parser.parse_args()
    ears = [load_embedder(name) for name in arguments.ear or [DEFAULT_TAGGER, DEFAULT_ALIGNER]]
    with tempfile.TemporaryDirectory() as place:
        link_labelled(arguments.manifest, "validation", Path(place))
        trials = [
            evaluate_robustness(
                Path(place), ears, arguments.clips, torch.Generator().manual_seed(seed)
            )
            for seed in range(arguments.trials)
        ]
    for found in ears_of(trials):
        print(found[0]["name"])
        for number, row in enumerate(found[0]["levels"]):
            cells = [
                f"{kind} {spread([one['levels'][number]['mistaken'][kind] for one in found])}"
                for kind in row["mistaken"]
            ]
            print(f"  {row['decibels_below']:g} dB below: {'  '.join(cells)}")
        print(f"  stress {spread([one['stress'] for one in found])}")
        for one in found[0]["influence"]:
            print(f"  influence {one['influence']:+.5f}  {one['file']}")
    if arguments.plot is not None:
        plot_robustness({"ears": [mean_of(found) for found in ears_of(trials)]}, arguments.plot)


if __name__ == "__main__":
    sys.exit(run_to_exit_code("evaluate_robustness", main))
