"""Pictures of evaluation results; they need matplotlib."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from woosh.command_line import missing_extra


def plot_generation(result: dict[str, Any], path: Path) -> None:
    """Draw the result of `evaluation.evaluate_generation`: a row of panels per embedding.

    Left, clips of both sets in the plane of the reference's two largest components; right, how the
    Frechet distance falls with the number of clips and where its line meets infinity.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    figure, axes = _panels(len(result["embeddings"]), 2)
    for (left, right), part in zip(axes, result["embeddings"], strict=True):
        _draw_sets(left, part["picture"])
        left.set(title=part["name"], xlabel="component 1", ylabel="component 2")
        _draw_extrapolation(right, part["metrics"]["frechet_distance_infinity"])
    figure.savefig(path, dpi=120)


def _draw_sets(axis: Any, picture: dict[str, list[list[float]]] | None) -> None:
    if picture is None:
        axis.text(0.5, 0.5, "too few clips", ha="center", transform=axis.transAxes)
        return
    for name, marker in (("reference", "o"), ("generated", "x")):
        horizontal, vertical = zip(*picture[name], strict=True)
        axis.scatter(horizontal, vertical, s=14, marker=marker, alpha=0.6, label=name)
    axis.legend()


def _draw_extrapolation(axis: Any, found: dict[str, Any] | None) -> None:
    axis.set(title="Frechet distance by number of clips", xlabel="1 / clips", ylabel="distance")
    if found is None:
        axis.text(0.5, 0.5, "too few clips", ha="center", transform=axis.transAxes)
        return
    inverse = [1.0 / size for size, _ in found["points"]]
    axis.plot(inverse, [distance for _, distance in found["points"]], "o", label="subsets")
    ends = [0.0, max(inverse)]
    line = [found["value"] + found["slope"] * x for x in ends]
    axis.plot(ends, line, "-", label=f"infinity: {found['value']:.4g}")
    axis.legend()


def plot_autoencoder(result: dict[str, Any], path: Path) -> None:
    """Draw the result of `evaluation_autoencoder.evaluate_autoencoder`: one histogram per metric.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    names = list(result["metrics"])
    figure, axes = _panels(-(-len(names) // 3), 3)
    for axis, name in zip(axes.flat, names, strict=False):
        values = [clip[name] for clip in result["clips"] if clip[name] is not None]
        axis.hist(values, bins=30)
        if values:
            axis.axvline(result["metrics"][name]["mean"], color="black", linestyle="--")
        unit = result["metrics"][name]["unit"]
        axis.set(title=name.replace("_", " "), xlabel=unit, ylabel="clips")
    figure.savefig(path, dpi=120)


def plot_robustness(result: dict[str, Any], path: Path) -> None:
    """Draw the result of `robustness.evaluate_robustness`: clips that are mistaken over the level, a panel for each ear.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    figure, axes = _panels(1, len(result["ears"]))
    for axis, ear in zip(axes[0], result["ears"], strict=True):
        levels = [row["decibels_below"] for row in ear["levels"]]
        for name in ear["levels"][0]["mistaken"]:
            shares = [row["mistaken"][name] for row in ear["levels"]]
            axis.plot(levels, shares, "o-", label=name)
        axis.set(
            title=f"{ear['name']}, {ear['clips']} clips",
            xlabel="change in dB below the sound",
            ylabel="clips taken for another",
            ylim=(-0.02, 1.02),
        )
        axis.legend()
    figure.savefig(path, dpi=120)


def plot_objectives(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the results of `benchmarks/compare_objectives.py`: distances over steps, a line for each run.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    figure, axes = _panels(1, 2)
    runs = list(dict.fromkeys(row["run"] for row in rows))
    steps = sorted({row["steps"] for row in rows})
    for axis, name in zip(axes[0], ("frechet_distance", "kernel_distance"), strict=True):
        for run in runs:
            points = [(row["steps"], row[name]) for row in rows if row["run"] == run]
            axis.plot(*zip(*points, strict=True), "o-", label=run)
        axis.set_xscale("log", base=2)
        axis.set_xticks(steps, [str(step) for step in steps])
        axis.set(xlabel="steps", ylabel=name.replace("_", " "), ylim=(0, None))
        axis.legend()
    figure.savefig(path, dpi=120)


def plot_trials(
    rows: Sequence[Mapping[str, Any]], figures: Sequence[str], path: Path, ordered: bool
) -> None:
    """Draw the rows of a study: a point for every trial, and mean and standard deviation of each kind.

    Args:
        rows: each with "kind" and one or more of the figures, which are shares from 0 to 1.
        figures: a colour each.
        path: of the picture.
        ordered: whether kinds stand in a natural order, so that a line joins their means.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    figure, axes = _panels(1, 1)
    figure.set_size_inches(8, 4.2)
    axis = axes[0][0]
    for number, name in enumerate(figures):
        shift = 0.16 * (number - (len(figures) - 1) / 2)
        found = [
            [100 * row[name] for row in rows if row["kind"] == kind and name in row]
            for kind in kinds
        ]
        places = [place + shift for place, own in enumerate(found) if own]
        values = [own for own in found if own]
        means = [statistics.fmean(own) for own in values]
        spread = [statistics.stdev(own) if len(own) > 1 else 0.0 for own in values]
        style = "o-" if ordered else "o"
        axis.errorbar(places, means, spread, fmt=style, color=f"C{number}", capsize=3, label=name)
        for place, own in zip(places, values, strict=True):
            axis.plot([place] * len(own), own, "_", color=f"C{number}", alpha=0.6)
    wrapped = [textwrap.fill(kind, 15) for kind in kinds]
    axis.set_xticks(range(len(kinds)), wrapped, fontsize=8)
    axis.set_ylabel("sounds (%)")
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def _panels(rows: int, columns: int) -> tuple[Any, Any]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("plots need matplotlib", "plot") from error
    figure = Figure(figsize=(5 * columns, 4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)
