"""How well joins of recordings are found: the network of `woosh tag --breaks` against a plain novelty curve.

    python benchmarks/evaluate_breaks.py --manifest ../shared/data/sfx/manifest.jsonl --plot docs/studies/breaks.png

Recordings are joined from parts of as many clips, level against level. Each finder's threshold is the one with the best
F1 on recordings of the split `train`; what is printed is measured on those of the split `validation`. Every trial has
recordings of its own. The network that ships is measured where none is named.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch

from woosh.audio import write_audio
from woosh.command_line import run_to_exit_code
from woosh.data.clips import load_clips
from woosh.data.manifests import read_manifest
from woosh.data.splices import EDIT, KINDS, break_window, piece, spliced_recording
from woosh.metrics.novelty import novelty, novelty_peaks
from woosh.metrics.onsets import matched_pairs
from woosh.metrics.precision import roc_area
from woosh.taggers.splices import BROKEN, BUILT_IN, NEAREST_SECONDS, find_breaks, load_break_finder

RATE = 32_000
PIECE_SECONDS = 3.0  # clips are at least as long
PIECES = 8  # of a recording
WINDOWS = 10  # of every kind for each recording
TOLERANCES = (0.05, 0.1, 0.25)  # seconds
CHOSEN_AT = 0.1  # tolerance at which the threshold is chosen
Found = list[tuple[float, float]]  # seconds and strengths
Finder = Callable[[np.ndarray], Found]


def scores(truth: Sequence[list[float]], found: Sequence[Found], least: float, tolerance: float):
    """Precision, recall and F1 over all recordings of the places that reach a strength."""
    kept = [[second for second, strength in one if strength >= least] for one in found]
    pairs = zip(truth, kept, strict=True)
    hits = sum(len(matched_pairs(wanted, given, tolerance)) for wanted, given in pairs)
    given, wanted = sum(map(len, kept)), sum(map(len, truth))
    return hits / max(1, given), hits / wanted, 2 * hits / max(1, given + wanted)


def best_threshold(truth: Sequence[list[float]], found: Sequence[Found]) -> float:
    """The strength from which on places count for the best F1."""
    strengths = np.array([strength for one in found for _, strength in one])
    choices = np.unique(np.quantile(strengths, np.linspace(0, 1, 101)))
    return float(max(choices, key=lambda least: scores(truth, found, least, CHOSEN_AT)[2]))


def area_by_kind(
    folder: Path, clips: Sequence[np.ndarray], count: int, generator: np.random.Generator
) -> dict[str, float]:
    """Area below the ROC curve of windows with a break of each kind against windows without one."""
    model, samples = load_break_finder(folder), round(PIECE_SECONDS * RATE)

    def heard(windows: Sequence[np.ndarray]) -> torch.Tensor:
        audio = torch.from_numpy(np.stack(windows).astype(np.float32))
        with torch.no_grad():
            return model(audio).probabilities[:, BROKEN]

    chosen = generator.integers(len(clips), size=count)
    whole = heard([piece(clips[number], samples, generator) for number in chosen])
    found = {}
    for kind in (*KINDS, EDIT):
        drawn = [break_window(clips, kind, samples, RATE, generator)[0] for _ in range(count)]
        positive = torch.arange(2 * count) < count
        found[kind] = roc_area(torch.cat([heard(drawn), whole]), positive)
    return found


def by_network(folder: Path) -> Finder:
    """The network of a folder, which hears files."""
    model = load_break_finder(folder)

    def find(audio: np.ndarray) -> Found:
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "sound.wav"
            write_audio(path, audio[None], RATE)
            return [tuple(one) for one in find_breaks(model, path, least=0.0)]  # type: ignore[misc]

    return find


def by_novelty(audio: np.ndarray) -> Found:
    """Peaks of the novelty curve."""
    return novelty_peaks(novelty(torch.from_numpy(audio), RATE), NEAREST_SECONDS)


def plot(figures: dict[str, dict[float, list[float]]], path: Path) -> None:
    """F1 over tolerance with the spread of the trials."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for name, by_tolerance in figures.items():
        values = list(by_tolerance.values())
        spread = [max(v) - fmean(v) for v in values], [fmean(v) - min(v) for v in values]
        axis.errorbar(
            [1000 * tolerance for tolerance in by_tolerance],
            [fmean(v) for v in values],
            yerr=spread[::-1],
            fmt="o-",
            capsize=4,
            label=name,
        )
    axis.set(title="Joins found", xlabel="tolerance in ms", ylabel="F1", ylim=(0, 1))
    axis.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manifest", type=Path, required=True, help="with both splits")
    parser.add_argument("--model", type=Path, default=BUILT_IN, help="folder of train_breaks.py")
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--recordings", type=int, default=40, help="of each split and trial")
    parser.add_argument("--clips", type=int, default=400, help="of each split that are read")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    arguments = parser.parse_args()
    clips = {}
    for split in ("train", "validation"):
        rows = [r for r in read_manifest(arguments.manifest, split) if r.seconds >= PIECE_SECONDS]
        loaded = load_clips(rows[: arguments.clips], arguments.manifest.parent, RATE)
        clips[split] = [c.audio for c in loaded if len(c.audio) >= PIECE_SECONDS * RATE]
        print(f"{split}: {len(clips[split])} clips of {PIECE_SECONDS:g} s or more")
    figures: dict[str, dict[float, list[float]]] = {}
    finders: dict[str, Finder] = {"network": by_network(arguments.model), "novelty": by_novelty}
    for trial in range(arguments.trials):
        generator = np.random.default_rng(trial)
        sets = {
            split: [
                spliced_recording(own, PIECES, RATE, generator) for _ in range(arguments.recordings)
            ]
            for split, own in clips.items()
        }
        for name, find in finders.items():
            found = {split: [find(audio) for audio, _ in own] for split, own in sets.items()}
            truth = {split: [joins for _, joins in own] for split, own in sets.items()}
            least = best_threshold(truth["train"], found["train"])
            for tolerance in TOLERANCES:
                row = scores(truth["validation"], found["validation"], least, tolerance)
                print(
                    f"trial {trial}  {name}  threshold {least:.3f}  within {1000 * tolerance:g} ms: "
                    "precision {:.3f}  recall {:.3f}  F1 {:.3f}".format(*row)
                )
                figures.setdefault(name, {}).setdefault(tolerance, []).append(row[2])
        areas = area_by_kind(
            arguments.model, clips["validation"], WINDOWS * arguments.recordings, generator
        )
        texts = [f"{kind} {area:.3f}" for kind, area in areas.items()]
        print(f"trial {trial}  area below the ROC curve: {'  '.join(texts)}")
    for name, by_tolerance in figures.items():
        for tolerance, values in by_tolerance.items():
            spread = stdev(values) if len(values) > 1 else 0.0
            print(
                f"{name}, {1000 * tolerance:g} ms: F1 {fmean(values):.3f} +- {spread:.3f} ({len(values)} trials)"
            )
    if arguments.plot is not None:
        plot(figures, arguments.plot)


if __name__ == "__main__":
    sys.exit(run_to_exit_code("evaluate_breaks", main))
