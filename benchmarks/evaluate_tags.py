"""How often `woosh tag` names the kind of a held-out recording, or proposes its category.

    python benchmarks/evaluate_tags.py --manifest FILE [--split NAME] [--model NAME|DIR] [--labels FILE]

A tagger of AudioSet's labels proposes categories of the Universal Category System. Printed are how many recordings get a
proposal, and in how many of these, and of all, it has the right CatID (`catid` of the manifest) and the right category,
whatever the sub-category.

With any other model a label is right if it is what the training clips of the same kind (`catid`) are mostly called. Clips of
a kind that no training clip has are left out. Printed are the shares of clips whose kind comes first, and among the first
five.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from woosh.audio import read_audio
from woosh.catalogue import DEFAULT_ALIGNER
from woosh.data.clips import SHORTEST
from woosh.data.manifests import read_objects
from woosh.embeddings.tagging import Tagger, load_tagger
from woosh.training.packaging import vocabulary

LABELS = 5
# CatIDs that do not begin with their category's letters, and what stands for these categories here.
ALONE = {"HAIL": "WTHR", "STORM": "WTHR", "THUN": "WTHR", "SWSH": "WHSH"}


def category(catid: str) -> str:
    """The part of a CatID before that of its sub-category: its first capitals, such as ANML of ANMLDog."""
    head = catid.rstrip("abcdefghijklmnopqrstuvwxyz")
    return ALONE.get(catid, catid) if head == catid else head[:-1]


def show_categories(tagger: Tagger, rows: list[dict[str, Any]], folder: Path) -> None:
    """Propose and count."""
    proposed, same, alike = 0, 0, 0
    for row in rows:
        proposal = tagger.propose(tagger.hear(folder / row["file"]))
        if proposal is None:
            continue
        catid = proposal.category.catid
        proposed += 1
        same += catid == row["catid"]
        alike += category(catid) == category(row["catid"])
    print(f"{len(rows)} clips, {proposed} with a proposal: {proposed / len(rows):.1%}")
    for name, right in (("CatID", same), ("category", alike)):
        print(
            f"right {name}: {right}, {right / max(proposed, 1):.1%} of the proposals, "
            f"{right / len(rows):.1%} of the clips"
        )


def show_kinds(tagger: Tagger, rows: list[dict[str, Any]], manifest: Path) -> None:
    """Tag and count."""
    kinds = vocabulary(manifest, "train")
    first, among, clips = 0, 0, 0
    for row in rows:
        right = kinds.get(row["catid"])
        path = manifest.parent / row["file"]
        if right is None or read_audio(path).shape[1] < SHORTEST * 48_000:
            continue
        labels = [tag.label for tag in tagger.tag(path, LABELS)]
        clips += 1
        first += labels[0] == right
        among += right in labels
    print(f"{clips} clips, {len(tagger.labels)} labels")
    print(
        f"the kind comes first: {first / clips:.1%}; among the first {LABELS}: {among / clips:.1%}"
    )


def main(arguments: argparse.Namespace) -> None:
    """Read the split, and listen."""
    manifest = arguments.manifest
    rows = [row for _, row in read_objects(manifest)]
    held = [row for row in rows if row.get("split") == arguments.split and row.get("catid")]
    if not held:
        raise SystemExit(f"{manifest} has no row with a catid in its split {arguments.split!r}")
    tagger = load_tagger(arguments.model, arguments.labels)
    if tagger.proposes:
        show_categories(tagger, held, manifest.parent)
    else:
        show_kinds(tagger, held, manifest)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--model", default=DEFAULT_ALIGNER)
    parser.add_argument("--labels", type=Path)
    main(parser.parse_args())
