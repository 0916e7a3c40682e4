"""What a second stage of training does for retrieval: correspondences that trained aligners estimate in place of pairs.

    python benchmarks/study_retrieval.py --work FOLDER [--plot FILE.png] [--manifest FILE] [--trials N] [--steps N] [--clips N]

As in arXiv 2408.11641, with the losses of training/train_clap.py, at a size of minutes: ear and text encoder are heard once and
stay as they are, heads alone learn. Every trial trains three aligners by contrast, whose mean cosines are the correspondences;
one of them learns on for as many steps, by contrast or from these.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from woosh.audio import read_audio
from woosh.data.clips import Clip
from woosh.data.manifests import read_manifest
from woosh.embeddings.clap import ClapHead, load_clap, normalise_text
from woosh.evaluation.plots import plot_trials
from woosh.generation.text_encoder import tokenize
from woosh.metrics.retrieval import audio_to_text, caption_set, cosine_scores, text_to_audio
from woosh.taggers import load_tagger
from woosh.training.aligner.caption_pairs import caption_groups
from woosh.training.aligner.contrastive import (
    contrastive_loss,
    distillation_loss,
    same_group,
    similarity,
)
from woosh.training.taggers.studies import table
from woosh.training.updates import adamw, cosine_schedule

EAR, ALIGNER = "woosh-tiny-tagger", "woosh-tiny-clap"  # of the aligner the text encoder alone
SECONDS = 5.0  # of each clip that are heard
SHORTEST_SECONDS = 0.5  # a shorter sound is repeated, as an aligner does
WIDTH = 128
TEACHERS = 3
BATCH = 64
TEMPERATURE = 0.05
LEARNING_RATE, WEIGHT_DECAY, BETAS = 1e-3, 0.05, (0.9, 0.98)
NOISE = 0.3  # deviation of what is added to features in training, as a share of their own
FIGURES = ("mAP@10", "R@1", "R@5", "R@10", "R@10 of captions")


@dataclass(frozen=True)
class Pairs:
    """Clips as frozen networks hear and read them.

    Attributes:
        audio: features (N, F), about 0 and about as wide as 1.
        captions: of each clip, rows of `text`.
        text: mean states of different captions (M, W).
        words: these captions.
        groups: numbers (N,) that clips with a caption in common share.
    """

    audio: Tensor
    captions: tuple[tuple[int, ...], ...]
    text: Tensor
    words: tuple[str, ...]
    groups: Tensor


def read_pairs(manifest: Path, split: str, count: int, work: Path) -> Pairs:
    """Hear clips of a split, spread over it, and read their captions, unless a call before did."""
    rows = [row for row in read_manifest(manifest) if row.split == split and row.captions]
    places = np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)
    rows = [rows[place] for place in places]
    words = tuple(dict.fromkeys(caption for row in rows for caption in row.captions))
    file = work / f"{split}-{len(rows)}.safetensors"
    if not file.is_file():
        paths = [manifest.parent / row.file for row in rows]
        save_file({"audio": heard(paths), "text": read(words)}, file)
    known = load_file(file)
    numbers = {caption: number for number, caption in enumerate(words)}
    clips = [Clip(np.zeros(0), row.captions, row.file) for row in rows]
    return Pairs(
        known["audio"],
        tuple(tuple(numbers[caption] for caption in row.captions) for row in rows),
        known["text"],
        words,
        torch.from_numpy(caption_groups(clips)),
    )


@torch.no_grad()
def heard(paths: Sequence[Path]) -> Tensor:
    """Features (N, F) of the first seconds of files."""
    ear = load_tagger(EAR)
    features = []
    for path in paths:
        audio = read_audio(path, ear.sample_rate, longest_seconds=SECONDS)
        least = round(SHORTEST_SECONDS * ear.sample_rate)
        sound = np.resize(audio[0], max(least, audio.shape[1]))
        features.append(ear(torch.from_numpy(sound)[None]).features[0])
    return torch.stack(features)


@torch.no_grad()
def read(captions: Sequence[str]) -> Tensor:
    """The text encoder's mean states (M, W) of captions."""
    clap = load_clap(ALIGNER)
    states = []
    for start in range(0, len(captions), BATCH):
        texts = [normalise_text(caption) for caption in captions[start : start + BATCH]]
        ids, mask = tokenize(clap.tokenizer, texts, clap.text_encoder.config.max_tokens)
        weight = mask[..., None].float()
        made = clap.text_encoder(ids, mask)
        states.append((made * weight).sum(dim=1) / weight.sum(dim=1))
    return torch.cat(states)


def embed(head: ClapHead, audio: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
    """Features (B, F) and mean states (B, W) -> unit embeddings (B, D) of both."""
    return functional.normalize(head.audio(audio), dim=-1), functional.normalize(
        head.text(text), dim=-1
    )


def learn(
    head: ClapHead, pairs: Pairs, steps: int, seed: int, teachers: Sequence[ClapHead]
) -> ClapHead:
    """A copy of a head after so many steps, by contrast where there is no teacher."""
    head = deepcopy(head)
    generator, noise = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    optimizer = adamw(head.parameters(), LEARNING_RATE, WEIGHT_DECAY, BETAS)
    schedule = cosine_schedule(optimizer, max(1, steps // 10), steps)
    for _ in range(steps):
        drawn = generator.choice(len(pairs.audio), BATCH, replace=len(pairs.audio) < BATCH)
        audio = pairs.audio[drawn]
        text = pairs.text[[generator.choice(pairs.captions[row]) for row in drawn]]
        varied = audio + NOISE * torch.randn(audio.shape, generator=noise)
        scores = similarity(*embed(head, varied, text), TEMPERATURE)
        if teachers:
            with torch.no_grad():
                known = [similarity(*embed(t, audio, text), TEMPERATURE) for t in teachers]
            loss = distillation_loss(scores, torch.stack(known).mean(dim=0))
        else:
            loss = contrastive_loss(scores, same_group(pairs.groups[drawn]).float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return head


@torch.no_grad()
def measured(heads: Sequence[ClapHead], pairs: Pairs) -> dict[str, float]:
    """Shares of `FIGURES`, by the mean of the heads' cosines: every caption of every clip is a query."""
    known = caption_set([[pairs.words[n] for n in own] for own in pairs.captions])
    queries = pairs.text[[n for own in pairs.captions for n in own]]
    scores = torch.stack(
        [cosine_scores(*reversed(embed(head, pairs.audio, queries))) for head in heads]
    ).mean(dim=0)
    found = text_to_audio(scores, known.relevant)
    back = audio_to_text(scores, known.relevant).recall_at_10
    recalls = (found.recall_at_1, found.recall_at_5, found.recall_at_10)
    return dict(zip(FIGURES, (found.map_at_10, *recalls, back), strict=True))


def run_trial(training: Pairs, held_out: Pairs, steps: int, trial: int) -> list[dict[str, Any]]:
    """Both stages; a row for each kind."""
    seeds = [TEACHERS * trial + number for number in range(TEACHERS)]
    first = []
    for seed in seeds:
        torch.manual_seed(seed)
        sizes = (training.audio.shape[1], training.text.shape[1], WIDTH)
        fresh = ClapHead(*sizes, text_pooling="mean", padding="repeat", released_mean=False)
        first.append(learn(fresh, training, steps, seed, ()))
    own = first[0]
    kinds = {
        "one stage": [own],
        "second stage, contrast": [learn(own, training, steps, 100 + trial, ())],
        "second stage, correspondences": [learn(own, training, steps, 100 + trial, first)],
        "the three teachers together": first,
    }
    return [
        {"kind": kind, "trial": trial} | measured(heads, held_out) for kind, heads in kinds.items()
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Hear, train, measure, print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--manifest", type=Path, default=Path("../shared/data/sfx/manifest.jsonl"))
    add(
        "--work",
        type=Path,
        required=True,
        help="folder of what was heard, which a later call takes",
    )
    add("--plot", type=Path, metavar="FILE.png")
    add("--trials", type=int, default=3)
    add("--steps", type=int, default=300, help="of each stage")
    add("--clips", type=int, default=600, help="of the training split, and of the validation split")
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    training = read_pairs(options.manifest, "train", options.clips, options.work)
    held_out = read_pairs(options.manifest, "validation", options.clips, options.work)
    deviation, mean = torch.std_mean(training.audio, dim=0)
    training, held_out = (
        replace(pairs, audio=(pairs.audio - mean) / deviation.clamp_min(1e-6))
        for pairs in (training, held_out)
    )
    rows = []
    for trial in range(1, options.trials + 1):
        rows += run_trial(training, held_out, options.steps, trial)
    print(f"{len(training.audio)} clips to learn from, {len(held_out.audio)} to find")
    print(table(rows, FIGURES, ()))
    if options.plot:
        plot_trials(rows, FIGURES, options.plot, ordered=False)


if __name__ == "__main__":
    main()
