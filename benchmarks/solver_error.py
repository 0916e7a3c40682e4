"""How far each solver ends from the converged latents, over the calls of the network: a table and a plot.

    python benchmarks/solver_error.py [--models NAME|DIR ...] [--steps N ...] [--out FILE.png]

The error is the distance to the latents of `--fine` multistep steps, divided by their length, on average over prompts.
One call evaluates the network with and without the words.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from woosh.catalogue import find_model
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler

PROMPTS = ["a dog barking", "rain on a tin roof", "a door creaks"]
SOLVERS = ("euler", "multistep")


def solved(sampler: Sampler, solver: str, steps: int, seconds: float) -> Tensor:
    """Latents (P, C, T) of all prompts."""
    request = Request(PROMPTS, seconds=seconds, seed=0, steps=steps, solver=solver)
    return sampler.latents(request)


def distance(latents: Tensor, converged: Tensor) -> float:
    """Mean over clips of |x - y| / |y|."""
    missing = (latents - converged).flatten(1).norm(dim=1)
    return float((missing / converged.flatten(1).norm(dim=1)).mean())


def main() -> None:
    """Print a row for each model and solver."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--models", nargs="+", default=["woosh-small", "woosh-tiny"], metavar="NAME|DIR")
    add("--steps", nargs="+", type=int, default=[6, 8, 12, 16, 25], metavar="N")
    add("--seconds", type=float, default=1.0)
    add("--fine", type=int, default=160, metavar="N")
    add("--out", type=Path, metavar="FILE.png", help="draw the curves")
    options = parser.parse_args()
    rows: dict[str, list[float]] = {}
    print(f"| model | solver | {' | '.join(f'{steps} calls' for steps in options.steps)} |")
    print(f"|---|---|{'---|' * len(options.steps)}")
    for name in options.models:
        sampler = load_sampler(find_model(name))
        with torch.inference_mode():
            converged = solved(sampler, "multistep", options.fine, options.seconds)
            for solver in SOLVERS:
                errors = [
                    distance(solved(sampler, solver, steps, options.seconds), converged)
                    for steps in options.steps
                ]
                rows[f"{name}, {solver}"] = errors
                shown = " | ".join(f"{error:.3f}" for error in errors)
                print(f"| {name} | {solver} | {shown} |", flush=True)
    if options.out is not None:
        draw(options.steps, rows, options.out)


def draw(steps: list[int], rows: dict[str, list[float]], path: Path) -> None:
    """A curve for each model and solver, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, errors in rows.items():
        axes.loglog(steps, errors, "o-", label=name)
    axes.set_xlabel("calls of the network")
    axes.set_ylabel("error of the latents")
    axes.set_xticks(steps, [str(count) for count in steps])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
