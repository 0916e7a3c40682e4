"""How often `woosh tag` names the kind of a held-out recording.

    python benchmarks/evaluate_tags.py --manifest FILE [--split NAME] [--model NAME|DIR]

A label is right if it is what the training clips of the same kind (`catid`) are mostly called. Clips of a kind that
no training clip has are left out. Printed are the shares of clips whose kind comes first, and among the first five.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from woosh.audio import read_audio
from woosh.catalogue import DEFAULT_ALIGNER
from woosh.data.clips import SHORTEST
from woosh.embeddings.tagging import load_tagger
from woosh.training.packaging import vocabulary

LABELS = 5


def main(arguments: argparse.Namespace) -> None:
    """Tag and count."""
    kinds = vocabulary(arguments.manifest, "train")
    tagger = load_tagger(arguments.model, None)
    first, among, clips = 0, 0, 0
    for row in map(json.loads, arguments.manifest.read_text(encoding="utf-8").splitlines()):
        right = kinds.get(row.get("catid"))
        path = arguments.manifest.parent / row["file"]
        if row["split"] != arguments.split or right is None:
            continue
        if read_audio(path).shape[1] < SHORTEST * 48_000:
            continue
        labels = [tag.label for tag in tagger.tag(path, LABELS)]
        clips += 1
        first += labels[0] == right
        among += right in labels
    print(f"{clips} clips, {len(tagger.labels)} labels")
    print(
        f"the kind comes first: {first / clips:.1%}; among the first {LABELS}: {among / clips:.1%}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--model", default=DEFAULT_ALIGNER)
    main(parser.parse_args())
