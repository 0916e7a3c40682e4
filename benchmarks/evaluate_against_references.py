"""How near a generator comes to sounds that it never heard, by the metric suite.

    python benchmarks/evaluate_against_references.py --manifest FILE [--split NAME] [--model NAME|DIR]
    python benchmarks/evaluate_against_references.py --procedural N [--first-seed N]

One sound is generated for every reference, from its first caption and of its length (0.3 to 10 s), and
both sets go through `woosh evaluate generation`: distances between the sets, tags of the pairs where
there is a tagger, CLAP score. References are a manifest's clips, or procedural sounds of seeds that no
training drew (training uses 0 to 999 and 100,000 to 101,999). For comparison the references' own
halves are measured against each other, too, and what the CLAP score is with captions that were shuffled.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from woosh.audio import write_audio
from woosh.catalogue import DEFAULT_ALIGNER, DEFAULT_MODEL, describe_model, find_model
from woosh.commands.evaluate import generation_table
from woosh.data.clips import Clip, load_clips, procedural_clips
from woosh.data.manifests import read_manifest
from woosh.embeddings.cache import EmbeddingCache
from woosh.embeddings.embedders import Embedder, load_embedder
from woosh.evaluation.clip_sets import Reading
from woosh.evaluation.generation import evaluate_generation
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request

SHORTEST_SECONDS = 0.3
SPLIT_SEED = 0  # of the halves and of the shuffled captions


def references(arguments: argparse.Namespace, sample_rate: int) -> list[Clip]:
    """The sounds to come near to, mono."""
    if arguments.manifest is not None:
        rows = read_manifest(arguments.manifest, arguments.split)
        return load_clips(rows, arguments.manifest.parent, sample_rate)
    return procedural_clips(arguments.procedural, arguments.first_seed, sample_rate=sample_rate)


def write_sets(clips: Sequence[Clip], arguments: argparse.Namespace, work: Path) -> None:
    """Write references and generated sounds under equal names, their captions, and both halves."""
    info = describe_model(find_model(arguments.model))
    sampler = load_sampler(info.folder, torch.device("cpu"), torch.float32)
    longest = round(min(10.0, info.longest) * info.sample_rate)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(clips))
    half = {int(row): ("first" if place % 2 else "second") for place, row in enumerate(order)}
    for name in ("reference", "generated", "first", "second"):
        (work / name).mkdir(parents=True)
    captions = []
    for row, clip in enumerate(tqdm(clips, "generating")):
        audio = clip.audio[:longest]
        audio = audio * min(1.0, 1.0 / max(np.abs(audio).max(), 1e-9))
        seconds = max(SHORTEST_SECONDS, len(audio) / info.sample_rate)
        made = sampler(Request(clip.captions[0], seconds=seconds, seed=row))[0].numpy()
        made = made / max(1.0, np.abs(made).max())
        for folder, sound in (
            ("reference", audio[None]),
            (half[row], audio[None]),
            ("generated", made),
        ):
            write_audio(work / folder / f"{row:05d}.wav", sound, info.sample_rate)
        other = clips[int(order[(list(order).index(row) + 1) % len(clips)])]
        captions.append((f"{row:05d}.wav", clip.captions[0], other.captions[0]))
    for name, place in (("captions", 1), ("shuffled", 2)):
        rows = [json.dumps({"file": line[0], "caption": line[place]}) for line in captions]
        (work / f"{name}.jsonl").write_text("\n".join(rows), encoding="utf-8")


def measure(
    generated: Path, reference: Path, embedders: Sequence[Embedder], captions: Path, work: Path
) -> dict[str, object]:
    """The suite's result for two folders."""
    return evaluate_generation(
        generated,
        reference,
        embedders,
        torch.Generator().manual_seed(0),
        captions=captions,
        reading=Reading(cache=EmbeddingCache(work / "cache")),
    )


def clap_scores(result: dict, embedder: str) -> dict[str, float]:
    """The CLAP scores of a result by an embedder."""
    part = next(part for part in result["embeddings"] if part["name"] == embedder)
    return part["metrics"]["clap_score"]


def main(arguments: argparse.Namespace) -> None:
    """Generate, measure, print."""
    clips = references(arguments, describe_model(find_model(arguments.model)).sample_rate)
    embedders = [
        load_embedder(name) for name in arguments.embedding or [DEFAULT_ALIGNER, "log-mel"]
    ]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_sets(clips, arguments, work)
        captions = work / "captions.jsonl"
        result = measure(work / "generated", work / "reference", embedders, captions, work)
        print(generation_table(result))
        halves = measure(work / "first", work / "second", embedders, captions, work)
        print("\nhalves of the references against each other\n" + generation_table(halves))
        shuffled = measure(
            work / "generated", work / "reference", embedders, work / "shuffled.jsonl", work
        )
        print(f"\nCLAP score with shuffled captions: {clap_scores(shuffled, embedders[0].name)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--manifest", type=Path)
    source.add_argument("--procedural", type=int)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--first-seed", type=int, default=900_000)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--embedding", action="append")
    main(parser.parse_args())
