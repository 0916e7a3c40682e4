"""Deep SNP on simulated arrays: whether windows with a break are told from others, and where its head says the break is.

    python benchmarks/evaluate_snp.py --results FILE --margin 1250 [--margin 2500 ...] --trials 3 --plot docs/studies/snp.png

The network learns from labels of windows alone. Then it hears two further sets of windows: each way of reading the place is
measured on both, so that one can be chosen on the first and told of the second. With --also a network hears windows of further
margins that it was not trained with. A call goes on where one before was ended; results are of one setting, those without recurrent
layers (--without-memory) of another file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from woosh.command_line import run_to_exit_code
from woosh.metrics.precision import roc_area
from woosh.taggers.breakpoints import Breaks, DeepSnp, attention_places, break_places
from woosh.taggers.snp_arrays import MARGINS, normalised, simulated_windows
from woosh.training.taggers.breaks import learn_breaks

NEAR = 0.02  # of the window: a place within it is right
SETS = ("first set", "second set")
BROKEN = 1


def steepest(strength: Tensor, places: Tensor) -> Tensor:
    """Between the two steps of (B, T) that differ most, as a share of the window (B,)."""
    first = strength.diff(dim=1).abs().argmax(dim=1)
    return (places[first] + places[first + 1]) / 2


# What is heard, and the places of its steps (T,) -> where windows break (B,).
READINGS: dict[str, Callable[[Breaks, Tensor], Tensor]] = {
    "peak of attention": lambda heard, places: attention_places(heard.attention, places),
    "peak of attention x localisation": lambda heard, places: attention_places(
        heard.attention * heard.localisation, places
    ),
    "largest change of attention": lambda heard, places: steepest(
        heard.attention[:, :, BROKEN].logit(), places
    ),
    "largest change of localisation": lambda heard, places: break_places(
        heard.localisation, places
    ),
    "largest difference between sides": lambda heard, places: sides(
        heard.localisation[:, :, BROKEN], places
    ),
}


def sides(probability: Tensor, places: Tensor) -> Tensor:
    """Where (B, T) splits into two parts whose means of log-odds explain most of it, as a share of the window (B,).

    The sum of squares between both parts is n_1 n_2 / n (m_1 - m_2)^2, largest at the change of a step function.
    """
    odds = probability.clamp(1e-4, 1 - 1e-4).logit()
    count = odds.shape[1]
    first = torch.arange(1, count)
    total = odds.cumsum(dim=1)
    means = total[:, :-1] / first, (total[:, -1:] - total[:, :-1]) / (count - first)
    between = first * (count - first) / count * (means[0] - means[1]) ** 2
    last = between.argmax(dim=1)  # step of the first part
    return (places[last] + places[last + 1]) / 2


def trained(arguments: argparse.Namespace, margin: int, seed: int) -> DeepSnp:
    """A network that has learned from windows of one margin."""
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    model = DeepSnp(margin, memory=not arguments.without_memory)

    def draw() -> tuple[Tensor, Tensor]:
        windows = simulated_windows(arguments.batch, margin, arguments.noise, generator)
        return torch.from_numpy(normalised(windows.tracks)), torch.from_numpy(windows.broken)

    for step, loss in learn_breaks(model, draw, arguments.steps, 1e-3):
        print(f"step {step}  loss {loss:.3f}", file=sys.stderr)
    return model


def measured(
    arguments: argparse.Namespace, trained_model: DeepSnp, margin: int, seed: int
) -> dict[str, list[float]]:
    """Area below the ROC curve and share of places that are right, for both sets of windows of a margin."""
    model = DeepSnp(margin, memory=not arguments.without_memory).eval()
    model.load_state_dict(trained_model.state_dict())
    found: dict[str, list[float]] = {}
    for number in range(len(SETS)):
        fresh = np.random.default_rng([seed, number + 1])
        windows = simulated_windows(arguments.windows, margin, arguments.noise, fresh)
        with torch.no_grad():
            parts = [
                model(torch.from_numpy(part))
                for part in np.array_split(
                    normalised(windows.tracks), max(1, arguments.windows // 8)
                )
            ]
        heard = Breaks(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
        broken = torch.from_numpy(windows.broken)
        area = roc_area(heard.probabilities[:, BROKEN], broken)
        found.setdefault("area below the ROC curve", []).append(area)
        truth = torch.from_numpy(windows.points)[broken] / (MARGINS * margin)
        positives = Breaks(*(tensor[broken] for tensor in heard))
        places = model.step_places(heard.attention.shape[1])
        for name, read in READINGS.items():
            near = (read(positives, places) - truth).abs() <= NEAR
            found.setdefault(name, []).append(float(near.float().mean()))
    return found


def tell(margin: int, heard: int, trials: list[dict[str, list[float]]]) -> None:
    """Print a row for each measure."""
    for name in trials[0]:
        cells = [
            f"{title} {' '.join(f'{trial[name][number]:.3f}' for trial in trials)}"
            for number, title in enumerate(SETS)
        ]
        asked = f"margin {margin}" + (f", heard {heard}" if heard != margin else "")
        print(f"{asked}  {name}: {'  '.join(cells)}", flush=True)


def plot(found: dict[int, list[dict[str, list[float]]]], path: Path) -> None:
    """Shares of the second set over the margin that is heard, a line for each reading."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for name in next(iter(found.values()))[0]:
        means = [fmean(trial[name][-1] for trial in trials) for trials in found.values()]
        axis.plot(list(found), means, "o-", label=name)
    axis.set_xscale("log")
    axis.set_xticks(list(found), [str(margin) for margin in found])
    axis.minorticks_off()
    axis.set(title="Second set", xlabel="margin", ylabel="share", ylim=(0, 1.02))
    axis.legend(fontsize=7)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Train, print, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--margin", type=int, action="append", help="positions; default 1250")
    add("--also", type=int, action="append", default=[], help="margins that are heard besides")
    add("--noise", type=float, default=0.1, help="of the log-R ratio")
    add("--steps", type=int, default=42)
    add("--batch", type=int, default=10)
    add("--windows", type=int, default=80, help="of each set that is measured")
    add("--trials", type=int, default=1)
    add("--without-memory", action="store_true", help="steps that hear for themselves")
    add("--results", type=Path, required=True, help="file of lines that a later call goes on with")
    add("--plot", type=Path, metavar="FILE.png")
    arguments = parser.parse_args()
    lines = arguments.results.read_text("utf-8").splitlines() if arguments.results.is_file() else []
    known = {
        (row["margin"], row.get("heard", row["margin"]), row["trial"]): row["found"]
        for row in map(json.loads, lines)
    }
    found: dict[int, list[dict[str, list[float]]]] = {}
    for margin in arguments.margin or [1250]:
        heard = (margin, *arguments.also)
        for trial in range(arguments.trials):
            wanted = [other for other in heard if (margin, other, trial) not in known]
            model = trained(arguments, margin, trial) if wanted else None
            for other in wanted:
                assert model is not None
                made = known[margin, other, trial] = measured(arguments, model, other, trial)
                row = {"margin": margin, "heard": other, "trial": trial, "found": made}
                with arguments.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
        for other in heard:
            trials = [known[margin, other, trial] for trial in range(arguments.trials)]
            tell(margin, other, trials)
            found[other] = trials
    if arguments.plot is not None:
        plot(found, arguments.plot)


if __name__ == "__main__":
    sys.exit(run_to_exit_code("evaluate_snp", main))
