"""How much of the kind of a sound an embedding tells, to a plain classifier that was trained on it.

    python benchmarks/evaluate_embeddings.py --manifest FILE --embedding NAME [--embedding NAME ...]
        [--kind label|catid] [--least N] [--seconds S] [--penalty P ...]

Clips of the split "train" teach, those of "validation" are classified; kinds with fewer than --least training clips are
left out. Every number of an embedding is brought to mean 0 and deviation 1 by the training clips. Printed are the
shares of right answers of the nearest training clip (by cosine), and of logistic regression for each --penalty on the
squares of its weights.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from woosh.audio import read_audio
from woosh.data.manifests import read_objects
from woosh.embeddings import Embedder, load_embedder


class Clip(NamedTuple):
    """A row of the manifest."""

    path: Path
    kind: str
    split: str


def read_clips(manifest: Path, key: str, least: int) -> list[Clip]:
    """Rows whose kind has enough training clips."""
    rows = [row for _, row in read_objects(manifest) if row.get(key)]
    counts = Counter(row[key] for row in rows if row["split"] == "train")
    return [
        Clip(manifest.parent / row["file"], row[key], row["split"])
        for row in rows
        if counts[row[key]] >= least and row["split"] in ("train", "validation")
    ]


def embed(embedder: Embedder, clips: list[Clip], seconds: float) -> Tensor:
    """The beginnings of the clips as (N, D)."""
    vectors = []
    for clip in tqdm(clips, desc=embedder.name, leave=False):
        audio = read_audio(clip.path, embedder.sample_rate, longest_seconds=seconds)[0]
        vectors.append(embedder.embed(torch.from_numpy(audio)))
    return torch.stack(vectors)


def nearest(known: Tensor, answers: Tensor, asked: Tensor) -> Tensor:
    """The answer of the known vector with the largest cosine, for each asked one."""
    cosine = functional.normalize(asked, dim=1) @ functional.normalize(known, dim=1).T
    return answers[cosine.argmax(dim=1)]


def regression(known: Tensor, answers: Tensor, asked: Tensor, penalty: float) -> Tensor:
    """Answers of logistic regression, its weights held small by a penalty on their squares."""
    layer = nn.Linear(known.shape[1], int(answers.max()) + 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = functional.cross_entropy(layer(known), answers)
        value = value + penalty * layer.weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)  # type: ignore[arg-type]  # torch types the closure's result as a number
    return layer(asked).argmax(dim=1)


def main(options: argparse.Namespace) -> None:
    """Print a row for each embedding."""
    clips = read_clips(options.manifest, options.kind, options.least)
    kinds = sorted({clip.kind for clip in clips})
    answers = torch.tensor([kinds.index(clip.kind) for clip in clips])
    taught = torch.tensor([clip.split == "train" for clip in clips])
    print(
        f"{int(taught.sum())} training clips, {int((~taught).sum())} to classify, {len(kinds)} kinds"
    )
    regressions = " | ".join(f"regression, {penalty:g}" for penalty in options.penalty)
    print(f"| embedding | numbers | nearest clip | {regressions} |")
    print(f"|---|---|---|{'---|' * len(options.penalty)}")
    for name in options.embedding:
        embedder = load_embedder(name)
        vectors = embed(embedder, clips, options.seconds)
        mean, deviation = vectors[taught].mean(dim=0), vectors[taught].std(dim=0)
        scaled = (vectors - mean) / deviation.clamp(min=1e-6)
        known, asked = scaled[taught], scaled[~taught]
        found = [nearest(known, answers[taught], asked)]
        found += [regression(known, answers[taught], asked, p) for p in options.penalty]
        shares = [float((one == answers[~taught]).float().mean()) for one in found]
        cells = " | ".join(f"{share:.1%}" for share in shares)
        print(f"| {embedder.name} | {embedder.width} | {cells} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--manifest", type=Path, required=True)
    add("--embedding", action="append", required=True, metavar="NAME", help="may be repeated")
    add("--kind", choices=("label", "catid"), default="label", help="what is to be told")
    add("--least", type=int, default=10, help="training clips of a kind")
    add("--seconds", type=float, default=10.0, help="of each clip, from its beginning")
    add("--penalty", type=float, nargs="+", default=[1e-3, 1e-2, 1e-1])
    main(parser.parse_args())
