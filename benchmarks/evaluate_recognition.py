"""How often a listener recognises what was asked for: of recordings, through the autoencoder, and generated.

    python benchmarks/evaluate_recognition.py --listener tagger:FILE [--model NAME|DIR] [--seeds N] [--seconds S]
        [--manifest FILE] [--split NAME] [--folders DIR ...] [--best-of N] [--prompts N] [--json FILE]

The prompts and the labels that count stand in `woosh/evaluation/recognition_prompts.py`. The listener is a tagger of
AudioSet's labels that training never used, with its list of labels beside it. Without --manifest only generated sounds are
judged; with it also the recordings of the same prompts, as they are, through the model's autoencoder, and through those of
its channels that the generator makes. Each folder is one more stage: its sounds are of the prompt that they carry, as
`woosh generate` writes it. With --best-of, N sounds are drawn for each of the seeds; "generated" then are all of them, and one
more stage has the best of each N by the built-in ears, as `woosh generate --best-of N` keeps it. The gain is printed with its
standard error over prompts. --prompts takes so many of the prompts, evenly over all.

Printed are, for each stage, the shares of sounds in which the listener has a right label among its first five, and first;
then the counts by category of UCS, and by prompt.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from woosh.audio import SUFFIXES, read_audio, read_metadata
from woosh.autoencoder import Autoencoder
from woosh.autoencoder.reconstruction import reconstruct, reconstruct_generated
from woosh.catalogue import DEFAULT_MODEL, find_model
from woosh.embeddings.tagging import load_tagger
from woosh.evaluation.recognition import (
    Recognition,
    by_category,
    check_labels,
    recognise,
    recordings_of,
    short_name,
    total,
)
from woosh.evaluation.recognition_prompts import PROMPTS, RecognitionPrompt
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.studio.choosing import Judge, load_judge
from woosh.whole_files import write_text

LONGEST = 10.0  # seconds of a recording that are heard
SHORTEST = 0.1  # seconds; a shorter recording is filled up with silence
Sound = tuple[RecognitionPrompt, Callable[[], Tensor]]


def generated(options: argparse.Namespace, sampler: Sampler) -> dict[str, list[Sound]]:
    """Every chosen prompt with every seed, and the best of each N; what is drawn for both is kept."""
    places = np.linspace(0, len(PROMPTS) - 1, options.prompts).round().astype(int)
    prompts, drawn = [PROMPTS[place] for place in places], options.best_of

    @cache
    def make(prompt: str, seed: int) -> Tensor:
        return sampler(Request(prompt, seconds=options.seconds, seed=seed))[0].cpu()

    def best(judge: Judge, prompt: str, first: int) -> Tensor:
        takes = [make(prompt, seed).numpy() for seed in range(first, first + drawn)]
        kept = judge.best(judge.wish_of_words(prompt), takes, sampler.sample_rate)
        return torch.from_numpy(takes[kept])

    seeds = range(options.seeds * drawn)
    stages = {"generated": [(p, partial(make, p.prompt, seed)) for p in prompts for seed in seeds]}
    if drawn > 1:
        judge = load_judge()
        stages[f"best of {drawn}"] = [
            (p, partial(best, judge, p.prompt, first)) for p in prompts for first in seeds[::drawn]
        ]
    return stages


def show_gain(counts: dict[str, Recognition], best: dict[str, Recognition]) -> None:
    """Print by how much more often the best are heard, and the standard error of that over prompts."""
    for name, place in (("in five", 1), ("first", 2)):
        gains = [
            best[prompt][place] / best[prompt].sounds
            - counts[prompt][place] / counts[prompt].sounds
            for prompt in counts
        ]
        error = np.std(gains, ddof=1) / math.sqrt(len(gains))
        print(f"gain, heard {name}: {np.mean(gains):+.3f}, standard error {error:.3f}")


def read(path: Path, sample_rate: int) -> Tensor:
    """The beginning of a recording, (1, S)."""
    audio = torch.from_numpy(read_audio(path, sample_rate, longest_seconds=LONGEST))
    missing = max(0, round(SHORTEST * sample_rate) - audio.shape[1])
    return torch.nn.functional.pad(audio, (0, missing))


def through(autoencoder: Autoencoder, part: bool, path: Path, sample_rate: int) -> Tensor:
    """A recording's reconstruction (1, S), from all channels or from those that a generator makes."""
    way = reconstruct_generated if part else reconstruct
    decoded = torch.from_numpy(way(autoencoder, read(path, sample_rate).numpy()))
    return decoded / max(1.0, float(decoded.abs().max()))


def in_folder(folder: Path, sample_rate: int) -> Iterator[Sound]:
    """The sounds of a folder that carry one of the prompts."""
    known = {prompt.prompt: prompt for prompt in PROMPTS}
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        prompt = known.get(str((read_metadata(path) or {}).get("prompt")))
        if prompt is not None:
            yield prompt, partial(read, path, sample_rate)


def stages_of(options: argparse.Namespace, sampler: Sampler) -> dict[str, list[Sound]]:
    """What is judged, by name."""
    rate, autoencoder = sampler.sample_rate, sampler.autoencoder
    stages: dict[str, list[Sound]] = {}
    if options.manifest is not None:
        found = recordings_of(options.manifest, options.split)
        ways: dict[str, Callable[[Path], Tensor]] = {
            "recordings": partial(read, sample_rate=rate),
            "autoencoder": partial(through, autoencoder, False, sample_rate=rate),
            "its generated channels": partial(through, autoencoder, True, sample_rate=rate),
        }
        for name, way in ways.items():
            stages[name] = [(sound.prompt, partial(way, sound.path)) for sound in found]
    given = {str(folder): list(in_folder(folder, rate)) for folder in options.folders}
    return stages | generated(options, sampler) | given


def show(stages: dict[str, dict[str, Recognition]]) -> None:
    """Print a table of the stages, one of the prompts' categories, and one of the prompts."""
    print("| stage | prompts | sounds | heard in five | first |\n|---|---|---|---|---|")
    for name, counts in stages.items():
        if not counts:
            print(f"| {name} | 0 | 0 | - | - |")
            continue
        whole = total(counts)
        shares = f"{whole.among_five / whole.sounds:.3f} | {whole.first / whole.sounds:.3f}"
        print(f"| {name} | {len(counts)} | {whole.sounds} | {shares} |")
    grouped = {name: by_category(counts) for name, counts in stages.items()}
    categories = list(dict.fromkeys(short_name(prompt.category) for prompt in PROMPTS))
    show_counts("category", categories, grouped)
    show_counts("prompt", [prompt.prompt for prompt in PROMPTS], stages)


def show_counts(
    title: str, names: Sequence[str], stages: dict[str, dict[str, Recognition]]
) -> None:
    """Print a table with a row of counts for each name and a column for each stage."""
    print(f"\n| {title} | {' | '.join(stages)} |\n|---|{'---|' * len(stages)}")
    for name in names:
        of_stages = [counts.get(name) for counts in stages.values()]
        cells = [f"{c.among_five}, {c.first} of {c.sounds}" if c else "-" for c in of_stages]
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """Judge every stage."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--listener", required=True, metavar="NAME", help="such as tagger:mn04_as_mAP_432.pt")
    add("--model", default=DEFAULT_MODEL, metavar="NAME|DIR")
    add("--seeds", type=int, default=5)
    add("--seconds", type=float, default=4.0)
    add("--manifest", type=Path, help="recordings of the same prompts")
    add("--split", default="validation")
    add("--folders", type=Path, nargs="*", default=[], help="sounds with their prompts in them")
    add("--best-of", type=int, default=1, help="sounds that are drawn for each seed")
    add("--prompts", type=int, default=len(PROMPTS), help="how many of the prompts")
    add("--json", type=Path, help="write the counts here as well")
    options = parser.parse_args()
    listener = load_tagger(options.listener, None)
    check_labels(listener.labels)
    sampler = load_sampler(find_model(options.model))
    counted = {
        name: recognise(listener, tqdm(sounds, desc=name, leave=False), sampler.sample_rate)
        for name, sounds in stages_of(options, sampler).items()
    }
    if options.json is not None:
        plain = {n: {p: c._asdict() for p, c in counts.items()} for n, counts in counted.items()}
        write_text(options.json, json.dumps(plain, indent=1))
    show(counted)
    if options.best_of > 1:
        show_gain(counted["generated"], counted[f"best of {options.best_of}"])


if __name__ == "__main__":
    main()
