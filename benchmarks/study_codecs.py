"""Whether the built-in ears hear the same through codecs and low rates, before and after they learned to.

    python benchmarks/study_codecs.py --results FILE [--plot FILE.png] [--manifest FILE] [--trials N] [--steps N] [--clips N]

A few steps with the loss of parallel recordings (arXiv 1909.02869) between three versions of a sound of the training split: what
the ear makes of it, what it makes of it through a codec, and what it made of it at first. The last one keeps what it knows, so
that no labels are needed. Agreement is measured on the validation split, which no built-in ear has trained on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from woosh.audio import read_audio
from woosh.catalogue import find_aligner
from woosh.data.augmentation import crop
from woosh.data.codecs import CODECS, through_codec
from woosh.data.manifests import read_manifest
from woosh.embeddings.clap import embed_texts, load_clap
from woosh.evaluation.plots import plot_trials
from woosh.evaluation.ten_classes import LABELS, PROMPTS, class_scores
from woosh.taggers import load_tagger
from woosh.taggers.labels import read_labels
from woosh.training.taggers.parallel import parallel_loss
from woosh.training.taggers.studies import ESC10, table
from woosh.training.updates import adamw, cosine_schedule

RATE = 32_000
SECONDS = {
    "woosh-tiny-tagger": 2.5,
    "woosh-tiny-clap": 5.0,
}  # of a crop, by ear; an aligner hears no less
HEARD_SECONDS = 5.0  # of a clip that is judged
TAUGHT_SECONDS = 20.0  # of a clip that crops are drawn from
BATCH = 6
LEARNING_RATE, WEIGHT_DECAY, BETAS = 3e-4, 1e-2, (0.9, 0.999)
FIGURES = (*CODECS, "cosine", "ten classes", "ten classes, coded")


@dataclass(frozen=True)
class Ear:
    """An ear that learns.

    Attributes:
        network: whose weights change; normalised by statistics that stay.
        embed: audio (B, S) -> what is to stay the same (B, D): a tagger's logits, an aligner's unit embeddings.
        labels: embeddings (B, D) -> how well each label fits (B, C).
        classes: likewise each of ten classes (B, 10).
    """

    network: nn.Module
    embed: Callable[[Tensor], Tensor]
    labels: Callable[[Tensor], Tensor]
    classes: Callable[[Tensor], Tensor]


def load_ear(name: str) -> Ear:
    """A built-in ear: a tagger with its labels, or an aligner with its list of them."""
    if name == "woosh-tiny-tagger":
        tagger = load_tagger(name)
        return Ear(
            tagger.network,
            lambda audio: tagger(audio).logits,
            lambda logits: logits,
            lambda logits: class_scores(tagger.labels, logits.sigmoid()),
        )
    clap = load_clap(name)
    words = embed_texts(clap, read_labels(find_aligner(name) / "labels.txt")).clone()
    prompts = embed_texts(clap, PROMPTS).clone()
    towers = nn.ModuleList([clap.audio_encoder, clap.head]).requires_grad_(True)
    return Ear(towers, clap.embed_audio, lambda x: x @ words.T, lambda x: x @ prompts.T)


def learn(name: str, clips: Sequence[np.ndarray], steps: int, trial: int) -> Ear:
    """An ear after so many steps between versions of sounds (S,); it stays in evaluation mode."""
    ear, first = load_ear(name), load_ear(name)
    samples, codecs = round(SECONDS[name] * RATE), list(CODECS)
    optimizer = adamw(ear.network.parameters(), LEARNING_RATE, WEIGHT_DECAY, BETAS)
    schedule = cosine_schedule(optimizer, max(1, steps // 10), steps)
    generator = np.random.default_rng(trial)
    for _ in range(steps):
        drawn = generator.choice(len(clips), BATCH, replace=len(clips) < BATCH)
        sounds = [crop(clips[row], samples, generator) for row in drawn]
        coded = [through_codec(sound, RATE, str(generator.choice(codecs))) for sound in sounds]
        own, other = (
            torch.from_numpy(np.stack(rows).astype(np.float32)) for rows in (sounds, coded)
        )
        with torch.no_grad():
            before = first.embed(own)
        loss = parallel_loss([ear.embed(own), ear.embed(other), before])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return ear


@torch.no_grad()
def embeddings(ear: Ear, sounds: Sequence[np.ndarray]) -> Tensor:
    """Of sounds (S,) of any length, one by one (N, D)."""
    return torch.cat([ear.embed(torch.from_numpy(sound)[None]) for sound in sounds])


def measured(
    ear: Ear, versions: dict[str, list[np.ndarray]], kinds: Sequence[str]
) -> dict[str, float]:
    """Shares of `FIGURES`.

    Args:
        ear: to be judged.
        versions: the clips as recorded under "" and through each codec.
        kinds: label of each clip; of one that is none of ten classes it does not count.
    """
    heard = {name: embeddings(ear, sounds) for name, sounds in versions.items()}
    own = heard.pop("")
    classed = torch.tensor([kind in LABELS for kind in kinds])
    right = torch.tensor([LABELS.index(kind) for kind in kinds if kind in LABELS])

    def accuracy(rows: Tensor) -> float:
        return float((ear.classes(rows[classed]).argmax(dim=1) == right).float().mean())

    first = ear.labels(own).argmax(dim=1)
    same = {
        n: float((ear.labels(x).argmax(dim=1) == first).float().mean()) for n, x in heard.items()
    }
    mean = own.mean(
        dim=0
    )  # all clips have in common what it is; without it a cosine tells clips apart
    cosines = [functional.cosine_similarity(own - mean, x - mean).mean() for x in heard.values()]
    return same | {
        "cosine": float(torch.stack(cosines).mean()),
        "ten classes": accuracy(own),
        "ten classes, coded": float(np.mean([accuracy(x) for x in heard.values()])),
    }


def read_sounds(
    manifest: Path, split: str, count: int, seconds: float
) -> list[tuple[np.ndarray, str]]:
    """The first seconds (S,) of clips of a split, with their labels.

    In the validation split half of them are of ESC-10, so that there are ten classes to judge; all are spread over their list.
    """
    rows = [row for row in read_manifest(manifest) if row.split == split]
    classed = [row for row in rows if row.source == ESC10 and split == "validation"]
    rest = [row for row in rows if row not in classed]
    chosen = []
    for part, number in ((classed, min(len(classed), count // 2)), (rest, count)):
        wanted = min(len(part), number - len(chosen)) if part is rest else number
        chosen += [part[place] for place in np.linspace(0, len(part) - 1, wanted).astype(int)]
    return [
        (read_audio(manifest.parent / row.file, RATE, longest_seconds=seconds)[0], row.label)
        for row in chosen
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, train, measure again, print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--manifest", type=Path, default=Path("../shared/data/sfx/manifest.jsonl"))
    add("--results", type=Path, required=True, help="file of lines that a later call goes on with")
    add("--plot", type=Path, metavar="FILE.png")
    add("--trials", type=int, default=3)
    add("--steps", type=int, default=30, help="of each training")
    add("--clips", type=int, default=80, help="of the validation split")
    add("--training-clips", type=int, default=150)
    options = parser.parse_args(arguments)
    found = options.results.read_text("utf-8").splitlines() if options.results.is_file() else []
    done = {(row["kind"], row["trial"]): row for row in map(json.loads, found)}
    heard = read_sounds(options.manifest, "validation", options.clips, HEARD_SECONDS)
    versions = {"": [audio for audio, _ in heard]} | {
        name: [through_codec(audio, RATE, name) for audio, _ in heard] for name in CODECS
    }
    training = [
        audio
        for audio, _ in read_sounds(
            options.manifest, "train", options.training_clips, TAUGHT_SECONDS
        )
    ]
    rows = []
    for trial in range(options.trials + 1):  # 0 is what an ear is before
        for name in SECONDS:
            key = (f"{name}, {'after' if trial else 'before'}", trial)
            if key not in done:
                ear = learn(name, training, options.steps, trial) if trial else load_ear(name)
                own = measured(ear, versions, [kind for _, kind in heard])
                done[key] = {"kind": key[0], "trial": trial} | own
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(done[key]) + "\n")
            rows.append(done[key])
    rows.sort(key=lambda row: list(SECONDS).index(row["kind"].split(", ")[0]))
    print(table(rows, FIGURES, ()))
    if options.plot:
        plot_trials(rows, FIGURES, options.plot, ordered=False)


if __name__ == "__main__":
    main()
