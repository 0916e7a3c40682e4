"""What a linear classifier learns from what each ear makes of a sound: ten classes, and categories of held-out recordings.

    python benchmarks/evaluate_representations.py --manifest FILE --results FILE [--ear NAME ...] [--least N] [--penalty P]
        [--plot FILE.png]

Scene embeddings through the HEAR interface (`woosh.embeddings.hear`) of recordings' first 10 s, beside statistics of the
log-mel spectrum (`log-mel`). A linear layer under a penalty on the squares of its weights learns four folds of five and is
asked about the fifth, recordings of one source in one fold: ESC-10's own folds and its ten classes, and the validation
split's UCS categories of --least clips or more. Printed are mean and deviation over the folds, and apart the folds of ESC-10 that
lie in the validation split, which no built-in ear has heard; chance is the share of the largest class. See
docs/studies/representations.md.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from woosh.audio import read_audio
from woosh.data.manifests import read_objects
from woosh.embeddings import load_embedder
from woosh.embeddings.hear import get_scene_embeddings, load_model
from woosh.evaluation.plots import plot_trials
from woosh.evaluation.ten_classes import LABELS

FOLDS = 5
SECONDS = 10.0
ESC_10 = "karoldvl/ESC-10"
BUILT_IN = ("log-mel", "woosh-tiny-clap", "woosh-tiny-tagger", "tagger-mid:woosh-tiny-tagger")


class Task(NamedTuple):
    """Clips to tell apart."""

    name: str
    paths: list[Path]
    kinds: list[str]
    folds: list[int]
    held_out: frozenset[int]  # folds of the validation split alone, of a task that has others too

    @property
    def chance(self) -> float:
        """Share of the largest class."""
        return max(Counter(self.kinds).values()) / len(self.kinds)


def ten_classes(manifest: Path) -> Task:
    """ESC-10 in its own folds, with which the names of its files begin."""
    rows = [row for _, row in read_objects(manifest)]
    rows = [row for row in rows if row.get("source") == ESC_10 and row.get("label") in LABELS]
    folds = [int(Path(row["file"]).stem.split("__")[-1].split("-")[0]) - 1 for row in rows]
    paths = [manifest.parent / row["file"] for row in rows]
    trained_on = {fold for row, fold in zip(rows, folds, strict=True) if row["split"] == "train"}
    held_out = frozenset(set(folds) - trained_on if trained_on else ())
    return Task("ESC-10", paths, [row["label"] for row in rows], folds, held_out)


def categories(manifest: Path, least: int) -> Task:
    """The validation split's categories with clips enough, recordings of one group in one fold."""
    rows = [row for _, row in read_objects(manifest)]
    rows = [row for row in rows if row["split"] == "validation" and row.get("catid")]
    counts = Counter(row["catid"] for row in rows)
    rows = [row for row in rows if counts[row["catid"]] >= least]
    folds = spread(
        [row["catid"] for row in rows], [row.get("group") or row["file"] for row in rows]
    )
    paths = [manifest.parent / row["file"] for row in rows]
    return Task("validation categories", paths, [row["catid"] for row in rows], folds, frozenset())


def spread(kinds: Sequence[str], groups: Sequence[str]) -> list[int]:
    """A fold for each clip: largest groups first, each to the fold that has the fewest clips of its kind, then of all."""
    fold_of: dict[str, int] = {}
    own: Counter[tuple[int, str]] = Counter()
    total: Counter[int] = Counter()
    for group, size in Counter(groups).most_common():
        kind = kinds[groups.index(group)]
        fold = min(range(FOLDS), key=lambda number: (own[number, kind], total[number]))
        fold_of[group] = fold
        own[fold, kind] += size
        total[fold] += size
    return [fold_of[group] for group in groups]


def listener(name: str) -> tuple[int, Callable[[Tensor], Tensor]]:
    """Rate, and mono audio (S,) -> embedding (D,), of an ear's name."""
    if name == "log-mel":
        embedder = load_embedder(name)
        return embedder.sample_rate, embedder.embed
    model: Any = load_model(name)
    return model.sample_rate, lambda audio: get_scene_embeddings(audio[None], model)[0]


def accuracies(vectors: Tensor, task: Task, penalty: float) -> dict[int, float]:
    """Share of right answers in each fold, taught by the others."""
    kinds = sorted(set(task.kinds))
    answers = torch.tensor([kinds.index(kind) for kind in task.kinds])
    folds, found = torch.tensor(task.folds), {}
    for fold in sorted(set(task.folds)):
        taught, asked = folds != fold, folds == fold
        deviation, mean = torch.std_mean(vectors[taught], dim=0)
        scaled = (vectors - mean) / deviation.clamp(min=1e-6)
        layer = probe(scaled[taught], answers[taught], len(kinds), penalty)
        with torch.no_grad():
            right = layer(scaled[asked]).argmax(dim=1) == answers[asked]
        found[fold] = float(right.float().mean())
    return found


def probe(vectors: Tensor, answers: Tensor, classes: int, penalty: float) -> nn.Linear:
    """Logistic regression of vectors (N, D) onto answers (N,)."""
    layer = nn.Linear(vectors.shape[1], classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = functional.cross_entropy(layer(vectors), answers)
        value = value + penalty * layer.weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)  # type: ignore[arg-type]  # torch types the closure's result as a number
    return layer


def columns(task: Task, found: Mapping[int, float]) -> Iterator[tuple[str, list[float]]]:
    """What a table tells of a task: all its folds, and those apart that no built-in ear has heard."""
    yield task.name, list(found.values())
    if task.held_out:
        yield f"{task.name}, held out", [found[fold] for fold in sorted(task.held_out)]


def measured(name: str, tasks: Sequence[Task], penalty: float) -> dict[str, Any]:
    """How many numbers an ear makes of a sound, and the accuracies of each column."""
    rate, embed = listener(name)
    found: dict[str, list[float]] = {}
    width = 0
    for task in tasks:
        vectors = []
        for path in tqdm(task.paths, desc=name, leave=False):
            audio = read_audio(path, rate, longest_seconds=SECONDS)[0]
            vectors.append(embed(torch.from_numpy(audio)))
        width = len(vectors[0])
        found |= columns(task, accuracies(torch.stack(vectors), task, penalty))
    shown = ":".join(Path(part).name for part in name.split(":"))
    return {"ear": name, "kind": shown, "numbers": width, "accuracies": found}


def main(options: argparse.Namespace) -> None:
    """Print a row for each ear, and draw."""
    tasks = [ten_classes(options.manifest), categories(options.manifest, options.least)]
    tasks = [task for task in tasks if task.paths]
    if not tasks:
        raise ValueError(
            f"{options.manifest} has neither clips of ESC-10 nor {options.least} validation clips of a category"
        )
    for task in tasks:
        count = len(set(task.kinds))
        print(f"{task.name}: {len(task.paths)} clips, {count} kinds, chance {task.chance:.1%}")
    titles = [title for task in tasks for title, _ in columns(task, dict.fromkeys(task.folds, 0.0))]
    print(f"| ear | numbers | {' | '.join(titles)} |")
    print(f"|---|---|{'---|' * len(titles)}")
    lines = options.results.read_text("utf-8").splitlines() if options.results.is_file() else []
    known = {row["ear"]: row for row in map(json.loads, lines)}
    drawn = []
    for name in options.ear or BUILT_IN:
        if name not in known:
            known[name] = measured(name, tasks, options.penalty)
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(known[name]) + "\n")
        row, cells = known[name], []
        for title, values in row["accuracies"].items():
            drawn += [{"kind": row["kind"], title: value} for value in values]
            spread = f" +- {100 * np.std(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{100 * np.mean(values):.1f}{spread}")
        print(f"| {row['kind']} | {row['numbers']} | {' | '.join(cells)} |", flush=True)
    if options.plot:
        plot_trials(drawn, titles, options.plot, ordered=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--manifest", type=Path, required=True)
    add("--results", type=Path, required=True, help="file of lines that a later call goes on with")
    add(
        "--ear",
        action="append",
        metavar="NAME",
        help="as load_model takes it, or log-mel; may be repeated",
    )
    add("--least", type=int, default=5, help="validation clips of a category")
    add("--penalty", type=float, default=1e-2, help="on the squares of the weights")
    add("--plot", type=Path, metavar="FILE.png")
    main(parser.parse_args())
