"""How often a listener hears the families of sounds made by rule as what they are meant to be.

    python benchmarks/evaluate_families.py --listener tagger:FILE [--seeds N] [--seconds S] [--families NAME ...]
        [--least SHARE] [--json FILE]

The labels that count stand in `woosh/evaluation/family_labels.py`. Every seed gives one sound. Printed are, for each
family, the shares of sounds in which the listener has a right label among its first five, and first, and the labels that
it most often names first; then the families that reach --least.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from woosh.embeddings.tagging import Tagger, load_ear
from woosh.evaluation.family_labels import FAMILY_LABELS
from woosh.evaluation.recognition import hear
from woosh.procedural import FAMILIES, generate

RATE = 48_000
FIRST_SEED = 5_000_000  # of sounds that no training draws
NAMED = 3  # first labels that are shown


@dataclass(frozen=True)
class FamilyResult:
    """Of one family's sounds, the shares that were heard, and what was heard first, with its share."""

    among_five: float
    first: float
    names: tuple[tuple[str, float], ...]


def judge(listener: Tagger, family: str, seeds: int, seconds: float) -> FamilyResult:
    """Let a listener hear a family."""
    wanted = set(FAMILY_LABELS[family])
    heard = []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        audio = torch.from_numpy(generate(seed, family, seconds).audio)
        heard.append(hear(listener, audio[None], RATE))
    first = Counter(labels[0] for labels in heard)
    return FamilyResult(
        sum(bool(wanted & set(labels)) for labels in heard) / seeds,
        sum(labels[0] in wanted for labels in heard) / seeds,
        tuple((label, count / seeds) for label, count in first.most_common(NAMED)),
    )


def main(arguments: argparse.Namespace) -> None:
    """Judge every family, and print the table."""
    listener = load_ear(arguments.listener)
    unknown = {l for f in arguments.families for l in FAMILY_LABELS[f]} - set(listener.labels)
    if unknown:
        raise ValueError(f"the listener does not know {', '.join(sorted(unknown)[:5])}")
    results = {
        family: judge(listener, family, arguments.seeds, arguments.seconds)
        for family in tqdm(arguments.families, leave=False)
    }
    ordered = sorted(
        results.items(), key=lambda item: (-item[1].among_five, -item[1].first, item[0])
    )
    print("| family | heard in five | first | most often named first |\n|---|---|---|---|")
    for family, result in ordered:
        names = ", ".join(f"{label} ({share:.0%})" for label, share in result.names)
        print(f"| {family} | {result.among_five:.0%} | {result.first:.0%} | {names} |")
    right = [family for family, result in ordered if result.among_five >= arguments.least]
    print(f"\n{len(right)} of {len(results)} reach {arguments.least:.0%}: {', '.join(right)}")
    if arguments.json is not None:
        plain = {family: vars(result) for family, result in results.items()}
        arguments.json.write_text(json.dumps(plain, indent=1), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--listener", required=True, metavar="NAME", help="such as tagger:mn04_as_mAP_432.pt")
    add("--seeds", type=int, default=20)
    add("--seconds", type=float, default=4.0)
    add("--families", nargs="+", choices=FAMILIES, default=FAMILIES, metavar="NAME")
    add("--least", type=float, default=0.7)
    add("--json", type=Path, help="write the figures here as well")
    main(parser.parse_args())
