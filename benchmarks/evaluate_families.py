"""How often a listener hears the families of sounds made by rule as what they are meant to be.

    python benchmarks/evaluate_families.py --listener tagger:FILE [--seeds N] [--seconds S] [--families NAME ...]
        [--model NAME|DIR] [--least SHARE] [--json FILE]

The labels that count stand in `woosh/evaluation/family_labels.py`. Every seed gives one sound. Printed are, for each
family, the shares of sounds in which the listener has a right label among its first five, and first, and the labels that
it most often names first; then the families that reach --least. With --model every sound is heard a second time, as that model's
autoencoder gives it back: a generator learns no more of a family than this, and both shares must reach --least.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from woosh.autoencoder import Autoencoder
from woosh.autoencoder.reconstruction import reconstruct_generated
from woosh.catalogue import find_model, part_folders
from woosh.embeddings.tagging import Tagger, load_ear
from woosh.evaluation.family_labels import FAMILY_LABELS
from woosh.evaluation.recognition import hear
from woosh.generation.loading import load_part
from woosh.procedural import FAMILIES, generate
from woosh.whole_files import write_text

RATE = 48_000
FIRST_SEED = 5_000_000  # of sounds that no training draws
NAMED = 3  # first labels that are shown


@dataclass(frozen=True)
class FamilyResult:
    """Of one family's sounds, the shares that were heard, and what was heard first, with its share.

    `through` is the share in five after an autoencoder, if there was one.
    """

    among_five: float
    first: float
    names: tuple[tuple[str, float], ...]
    through: float | None

    @property
    def least(self) -> float:
        """The lower of both shares in five."""
        return min(self.among_five, 1.0 if self.through is None else self.through)


def judge(
    listener: Tagger, family: str, options: argparse.Namespace, autoencoder: Autoencoder | None
) -> FamilyResult:
    """Let a listener hear a family, as it is and through an autoencoder."""
    wanted = set(FAMILY_LABELS[family])
    heard, again = [], []
    for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
        audio = generate(seed, family, options.seconds).audio[None]
        heard.append(hear(listener, torch.from_numpy(audio), RATE))
        if autoencoder is not None:
            passed = torch.from_numpy(reconstruct_generated(autoencoder, audio))
            again.append(hear(listener, passed / max(1.0, float(passed.abs().max())), RATE))
    first = Counter(labels[0] for labels in heard)
    return FamilyResult(
        share_in_five(heard, wanted),
        sum(labels[0] in wanted for labels in heard) / len(heard),
        tuple((label, count / len(heard)) for label, count in first.most_common(NAMED)),
        share_in_five(again, wanted) if again else None,
    )


def share_in_five(heard: Sequence[Sequence[str]], wanted: Collection[str]) -> float:
    """Share of sounds with a wanted label among their five."""
    return sum(not set(labels).isdisjoint(wanted) for labels in heard) / len(heard)


def autoencoder_of(model: str | None) -> Autoencoder | None:
    """That of a model, if one is named.

    Raises:
        ValueError: it works at another rate than the families' sounds have.
    """
    if model is None:
        return None
    autoencoder = load_part("autoencoder", part_folders(find_model(model))["autoencoder"]).eval()
    rate = autoencoder.config.sample_rate
    if rate != RATE:
        raise ValueError(
            f"the autoencoder of {model} works at {rate} Hz, and families at {RATE} Hz"
        )
    return autoencoder


def main(arguments: argparse.Namespace) -> None:
    """Judge every family, and print the table."""
    listener = load_ear(arguments.listener)
    unknown = {l for f in arguments.families for l in FAMILY_LABELS[f]} - set(listener.labels)
    if unknown:
        raise ValueError(f"the listener does not know {', '.join(sorted(unknown)[:5])}")
    autoencoder = autoencoder_of(arguments.model)
    results = {
        family: judge(listener, family, arguments, autoencoder)
        for family in tqdm(arguments.families, leave=False)
    }
    ordered = sorted(results.items(), key=lambda item: (-item[1].least, -item[1].first, item[0]))
    print("| family | heard in five | first | through the autoencoder | most often named first |")
    print("|---|---|---|---|---|")
    for family, result in ordered:
        names = ", ".join(f"{label} ({share:.0%})" for label, share in result.names)
        through = "-" if result.through is None else f"{result.through:.0%}"
        print(f"| {family} | {result.among_five:.0%} | {result.first:.0%} | {through} | {names} |")
    right = [family for family, result in ordered if result.least >= arguments.least]
    print(f"\n{len(right)} of {len(results)} reach {arguments.least:.0%}: {', '.join(right)}")
    if arguments.json is not None:
        plain = {family: vars(result) for family, result in results.items()}
        write_text(arguments.json, json.dumps(plain, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--listener", required=True, metavar="NAME", help="such as tagger:mn04_as_mAP_432.pt")
    add("--seeds", type=int, default=20)
    add("--seconds", type=float, default=4.0)
    add("--families", nargs="+", choices=FAMILIES, default=FAMILIES, metavar="NAME")
    add("--model", metavar="NAME|DIR", help="hear them through its autoencoder too")
    add("--least", type=float, default=0.7)
    add("--json", type=Path, help="write the figures here as well")
    main(parser.parse_args())
