"""What an aligner knows of recordings that it never heard: labels zero-shot, and captions finding their clips.

    python benchmarks/evaluate_aligner.py --manifest FILE [--model NAME|DIR] [--split NAME] [--part N]

Every caption is a query, and clips that share a caption are right for it. A clip's label counts as known if it is the
nearest of all labels that the clips have. --part keeps the rows of a manifest whose field `part` has that value.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, cast

from woosh.catalogue import DEFAULT_ALIGNER
from woosh.data.clips import load_clips
from woosh.data.manifests import read_manifest, read_objects
from woosh.embeddings.clap import load_clap
from woosh.evaluation.aligner import evaluate_aligner


def main(arguments: argparse.Namespace) -> None:
    """Measure, and print the figures."""
    clap = load_clap(arguments.model)
    rows = read_manifest(arguments.manifest, arguments.split)
    if arguments.part is not None:
        kept = {
            row["file"]
            for _, row in read_objects(arguments.manifest)
            if row.get("part") == arguments.part
        }
        rows = [row for row in rows if row.file in kept]
    clips = load_clips(rows, arguments.manifest.parent, clap.sample_rate)
    found = cast(dict[str, Any], evaluate_aligner(clap, clips))
    print(f"{arguments.model}: {found['clips']} clips of {arguments.split}")
    if found["labelled"]:
        print(f"zero-shot: {found['zero_shot_accuracy']:.1%} of {found['labelled']} labelled clips")
    print(
        "| way | R@1 | R@5 | R@10 | R@10 by chance | mAP@10 | median rank |\n|---|---|---|---|---|---|---|"
    )
    for way in ("text_to_audio", "audio_to_text"):
        scores, chance = found[way], found["chance"][way]
        recalls = " | ".join(f"{scores[f'recall_at_{n}']:.1%}" for n in (1, 5, 10))
        print(
            f"| {way.replace('_', ' ')} | {recalls} | {chance['recall_at_10']:.1%} | {scores['map_at_10']:.3f} | "
            f"{scores['median_rank']:g} |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_ALIGNER, metavar="NAME|DIR")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--part", type=int)
    main(parser.parse_args())
