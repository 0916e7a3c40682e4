"""How well a tagger of AudioSet's labels agrees with a teacher on recordings that it never heard, and knows ten classes.

    python benchmarks/evaluate_tagger.py --manifest FILE --teacher tagger:FILE [--model NAME|DIR|tagger:FILE]

Of the recordings of a split, each heard whole up to its first minute: mean average precision against the teacher's
labels (those of a probability of 0.3 or more count as true), how often the first label is the same, and how often the
teacher's first label is among the first five. Of those with one of ESC-10's labels: how often the class is right whose
own AudioSet labels are together the most probable, for model and teacher.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from woosh.catalogue import DEFAULT_TAGGER
from woosh.data.clips import SHORTEST
from woosh.data.manifests import read_manifest
from woosh.embeddings.embedders import read_to_embed
from woosh.embeddings.tagging import Tagger, load_tagger
from woosh.evaluation.ten_classes import LABELS, class_scores
from woosh.metrics.precision import agreement, right_among


def probabilities(tagger: Tagger, paths: list[Path]) -> Tensor:
    """Probability of each label for each file (N, C)."""
    return torch.stack([tagger.scores(read_to_embed(path, tagger.embedder)) for path in paths])


def ten_class_accuracy(tagger: Tagger, scores: Tensor, labels: list[str]) -> tuple[int, int]:
    """Of the files with a label of `TEN_CLASSES`, how many are classified right, and how many there are."""
    answers = class_scores(tagger.labels, scores).argmax(dim=1).tolist()
    known = [
        (LABELS[answer], label)
        for answer, label in zip(answers, labels, strict=True)
        if label in LABELS
    ]
    return sum(answer == label for answer, label in known), len(known)


def main(arguments: argparse.Namespace) -> None:
    """Listen, and print the figures."""
    rows = [
        row for row in read_manifest(arguments.manifest, arguments.split) if row.seconds >= SHORTEST
    ]
    paths = [arguments.manifest.parent / row.file for row in rows]
    labels = [row.label for row in rows]
    model, teacher = load_tagger(arguments.model, None), load_tagger(arguments.teacher, None)
    if model.labels != teacher.labels:
        raise ValueError(f"{arguments.model} and {arguments.teacher} have different labels")
    own, other = probabilities(model, paths), probabilities(teacher, paths)
    found = agreement(own, other)
    first = torch.zeros_like(other).scatter(1, other.argmax(dim=1, keepdim=True), 1.0)
    print(f"{len(rows)} recordings of {arguments.split}, {len(model.labels)} labels")
    print(
        f"mean average precision {found.mean_average_precision:.3f} over {found.labels} labels; "
        f"same first label {found.same_first:.1%}; "
        f"the teacher's first among five {right_among(own, first > 0, 5):.1%}"
    )
    for name, tagger, scores in (("model", model, own), ("teacher", teacher, other)):
        right, clips = ten_class_accuracy(tagger, scores, labels)
        if clips:
            print(f"ESC-10 by the {name}: {right} of {clips} right, {right / clips:.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--model", default=DEFAULT_TAGGER)
    main(parser.parse_args())
