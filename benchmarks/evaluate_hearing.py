"""What a listener hears of recordings that went through an autoencoder, and how near they come to the recordings.

    python benchmarks/evaluate_hearing.py --listener tagger:FILE --manifest FILE [--model MODEL ...] [--seconds S]
        [--every N] [--json FILE]

Every clip of a split is heard as it is, through the whole autoencoder, and, unless that is the same, through those
latents alone that a generator makes. "Agrees" is how often the listener's first label of the recording is among its first five, and first, for the
reconstruction; clips of the ten classes count as heard if a label of their class is. Distances are means over clips:
MelDist, the error of the loudness in LU, and the F measure of onsets.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from woosh.audio import read_audio
from woosh.autoencoder import WooshAutoencoder, load_autoencoder
from woosh.autoencoder.reconstruction import reconstruct, reconstruct_generated
from woosh.catalogue import find_model, part_folders
from woosh.data.manifests import Row, read_manifest
from woosh.embeddings.tagging import Tagger, load_ear
from woosh.evaluation.recognition import hear
from woosh.evaluation.ten_classes import TEN_CLASSES
from woosh.metrics.onsets import onset_f_measure, onset_times
from woosh.metrics.reconstruction import loudness_error, mel_distance, scale_peak
from woosh.whole_files import write_text

SHORTEST = 0.1  # seconds to which shorter clips are filled up
Way = Callable[[np.ndarray], np.ndarray]
LABELS_OF_CLASS = {kind.label: set(kind.tags) for kind in TEN_CLASSES}


class Heard(NamedTuple):
    """Of one clip and one way: what was heard, and how near it came to the recording."""

    clip: str
    labels: list[str]
    mel: float
    loudness: float
    onsets: float


def folder_of(model: str) -> Path:
    """An autoencoder's own folder, or that of a built-in model or a pipeline folder."""
    alone = (Path(model) / "config.json").is_file()
    return Path(model) if alone else part_folders(find_model(model))["autoencoder"]


def ways_of(models: Sequence[str]) -> tuple[dict[str, Way], int]:
    """How recordings go through each model, by name, and the models' sample rate.

    Raises:
        SystemExit: the models have different rates.
    """
    ways: dict[str, Way] = {"recordings": lambda audio: audio}
    rates = set()
    for model in models:
        autoencoder = load_autoencoder(folder_of(model), torch.float32).eval()
        rates.add(autoencoder.config.sample_rate)
        ways[model] = partial(reconstruct, autoencoder)
        if isinstance(autoencoder, WooshAutoencoder):
            ways[f"{model}, generated channels"] = partial(reconstruct_generated, autoencoder)
    if len(rates) != 1:
        raise SystemExit(
            f"the models have the sample rates {sorted(rates)}: take one rate at a time"
        )
    return ways, rates.pop()


def judge(listener: Tagger, name: str, way: Way, reference: Tensor, sample_rate: int) -> Heard:
    """One clip (S,) through one way."""
    passed = torch.from_numpy(way(reference[None].numpy()))[0]
    passed = passed / max(1.0, float(passed.abs().max()))
    times = (onset_times(reference, sample_rate), onset_times(passed, sample_rate))
    return Heard(
        name,
        hear(listener, passed[None], sample_rate),
        float(mel_distance(reference, passed, sample_rate)),
        float(loudness_error(reference, passed, sample_rate)),
        float(onset_f_measure(*times)),
    )


def summary(heard: Sequence[Heard], originals: Sequence[Heard], rows: Sequence[Row]) -> dict:
    """Shares and means of one way."""
    pairs = list(zip(heard, originals, strict=True))
    classes = [
        (one, LABELS_OF_CLASS[row.label])
        for one, row in zip(heard, rows, strict=True)
        if row.label in LABELS_OF_CLASS
    ]

    def mean(values: Sequence[float]) -> float:
        numbers = [value for value in values if value == value]  # silence has no loudness
        return fmean(numbers) if numbers else float("nan")

    return {
        "clips": len(pairs),
        "agrees in five": mean([old.labels[0] in new.labels for new, old in pairs]),
        "agrees first": mean([old.labels[0] == new.labels[0] for new, old in pairs]),
        "ten classes": len(classes),
        "heard in five": mean([bool(tags & set(one.labels)) for one, tags in classes]),
        "heard first": mean([one.labels[0] in tags for one, tags in classes]),
        "MelDist": mean([one.mel for one in heard]),
        "loudness": mean([one.loudness for one in heard]),
        "onsets": mean([one.onsets for one in heard]),
    }


def table(results: dict[str, dict]) -> str:
    """The summaries as a Markdown table."""
    heads = list(next(iter(results.values())))
    lines = ["| way | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for way, result in results.items():
        cells = [f"{v:d}" if isinstance(v, int) else f"{v:.3f}" for v in result.values()]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge every clip in every way, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--listener", required=True, help="tagger:FILE or a tagger's name; one that knows AudioSet")
    add("--manifest", type=Path, required=True)
    add("--split", default="validation")
    add("--model", nargs="+", default=["woosh-tiny"], help="built-in models or folders")
    add("--seconds", type=float, default=5.0, help="longest part of a clip")
    add("--every", type=int, default=1, help="only every N-th clip of the split")
    add("--json", type=Path, help="write the summaries and every clip here")
    options = parser.parse_args(arguments)

    listener = load_ear(options.listener)
    ways, rate = ways_of(options.model)
    rows = read_manifest(options.manifest, options.split)[:: options.every]
    if not rows:
        raise SystemExit(f"no clip of split {options.split!r} in {options.manifest}")
    heard: dict[str, list[Heard]] = {name: [] for name in ways}
    for row in tqdm(rows, desc="clips"):
        path = options.manifest.parent / row.file
        audio = torch.from_numpy(read_audio(path, rate, longest_seconds=options.seconds))[0]
        missing = max(0, round(SHORTEST * rate) - len(audio))
        reference = scale_peak(torch.nn.functional.pad(audio, (0, missing)))
        for name, way in ways.items():
            heard[name].append(judge(listener, row.file, way, reference, rate))
    results = {name: summary(own, heard["recordings"], rows) for name, own in heard.items()}
    print(table(results))
    if options.json:
        clips = {name: [one._asdict() for one in own] for name, own in heard.items()}
        write_text(options.json, json.dumps({"summary": results, "clips": clips}, indent=1))


if __name__ == "__main__":
    main()
