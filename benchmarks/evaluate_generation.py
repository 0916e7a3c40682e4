"""How many generated sounds of ten classes a listener recognises, and whether they repeat the training data or each other.

    python benchmarks/evaluate_generation.py [--listener NAME] [--model NAME|DIR] [--save DIR] [--manifest FILE]
    python benchmarks/evaluate_generation.py [--listener NAME] --audio DIR

The first form generates clips of ten classes, the second judges files CLASS__SEED.wav, such as dog-bark__0.wav. The
listener is a tagger of AudioSet's labels: a clip counts as recognised if its class is the most probable of the ten, and
as heard if one of its labels is among the listener's first five of all. Originality is measured in two embeddings: the
listener's own, and plain statistics of the log-mel spectrum; the table of held-out recordings says what new recordings
of the same kind reach.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from woosh.audio import read_audio, resample, write_audio
from woosh.catalogue import DEFAULT_MODEL, DEFAULT_TAGGER, find_model
from woosh.data.manifests import Row, read_manifest
from woosh.embeddings import load_embedder
from woosh.embeddings.embedders import Embedder
from woosh.embeddings.tagging import Tagger, load_ear
from woosh.evaluation.ten_classes import LABELS, PROMPTS, TEN_CLASSES, class_scores
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.metrics.originality import Originality, originality, recording_distances
from woosh.metrics.tags import sigmoid_tags
from woosh.whole_files import write_text

RATE = 48_000
SECONDS = 5.0  # of a clip that are compared
SHORTEST = 0.1  # seconds; a shorter clip is filled up with silence
LONGEST = 600.0  # seconds of a training clip that are searched for copies
AUDIBLE = 0.001  # of a long clip's peak; a window below it holds nothing that could be copied
COLLAPSED_SPREAD = 0.5  # of the held-out recordings' spread
COPIED_EXCESS = 0.25  # over the share among held-out recordings
AMONG = 5


class Heard(NamedTuple):
    """Clips as the listener and the rule heard them."""

    probabilities: Tensor  # (N, C) of the listener's labels
    learnt: Tensor  # (N, D) the listener's embedding
    plain: Tensor  # (N, D') statistics of the log-mel spectrum


class ClassResult(NamedTuple):
    """Of the clips of one class."""

    clips: int
    recognised: float  # share, the ten classes competing
    heard: float  # share, one of the class's labels among the listener's first five
    taken_for: dict[str, int]  # the listener's first labels
    learnt: Originality
    plain: Originality


@dataclass(frozen=True)
class Ears:
    """Who judges."""

    listener: Tagger
    rule: Embedder

    def hear(self, sounds: Iterable[Tensor]) -> Heard:
        """Judge sounds (S,) at 48 kHz, of any length, by their first 5 s."""
        parts = [self._hear_one(sound) for sound in sounds]
        return Heard(*(torch.stack(column) for column in zip(*parts, strict=True)))

    def _hear_one(self, sound: Tensor) -> Heard:
        sound = sound[: round(SECONDS * RATE)]
        sound = functional.pad(sound, (0, max(0, round(SHORTEST * RATE) - len(sound))))
        rate = self.listener.embedder.sample_rate
        resampled = torch.from_numpy(resample(sound[None].numpy(), RATE, rate))[0]
        embedding, logits = self.listener.embedder.listen(resampled)
        probabilities = sigmoid_tags(cast(Tensor, logits))
        return Heard(probabilities, embedding, self.rule.embed(sound))


def windows(sound: Tensor) -> list[Tensor]:
    """A long sound (S,) in windows of 5 s, without those that are nearly silent."""
    quiet = AUDIBLE * sound.abs().max()
    return [part for part in sound.split(round(SECONDS * RATE)) if part.abs().max() > quiet]


def judge(
    ears: Ears, outputs: Heard, index: int, training: Heard, recordings: tuple[Heard, list[str]]
) -> ClassResult:
    """Judge the clips that should be of one class.

    Args:
        ears: who heard them.
        outputs: the clips.
        index: of the class.
        training: all training clips, of whatever class.
        recordings: all recordings of the class, and the name of the original that each was cut from.
    """
    labels = ears.listener.labels
    best = outputs.probabilities.topk(AMONG).indices
    own = torch.tensor([labels.index(tag) for tag in TEN_CLASSES[index].tags])
    counts = torch.bincount(best[:, 0], minlength=len(labels)).tolist()
    known, groups = recordings
    return ClassResult(
        clips=len(best),
        recognised=share(class_scores(labels, outputs.probabilities).argmax(dim=1) == index),
        heard=share(torch.isin(best, own).any(dim=1)),
        taken_for={labels[i]: count for i, count in enumerate(counts) if count},
        learnt=originality(
            outputs.learnt, training.learnt, recording_distances(known.learnt, groups)
        ),
        plain=originality(outputs.plain, training.plain, recording_distances(known.plain, groups)),
    )


def share(answers: Tensor) -> float:
    """Of answers that are true."""
    return answers.double().mean().item()


def remarks(result: ClassResult, reference: ClassResult) -> str:
    """Names embeddings with much less spread or many more copies than held-out recordings have."""
    found = []
    measures = {
        "listener": (result.learnt, reference.learnt),
        "log-mel": (result.plain, reference.plain),
    }
    for name, (measure, honest) in measures.items():
        if measure.spread < COLLAPSED_SPREAD * honest.spread:
            found.append(f"collapsed ({name})")
        if measure.copied > COPIED_EXCESS + honest.copied:
            found.append(f"copies ({name})")
    return ", ".join(found) or "-"


def table(results: dict[str, ClassResult], held_out: dict[str, ClassResult]) -> str:
    """The results as a Markdown table with a line of means."""
    heads = ("recognised", "heard", "< typical pair", "< typical nearest", "copies", "spread")
    lines = [
        f"| class | {' | '.join(heads)} | remarks |",
        "|---|" + "---|" * (len(heads) + 1),
    ]
    rows = {name: numbers(result) for name, result in results.items()}
    weights = torch.tensor([result.clips for result in results.values()], dtype=torch.float64)
    mean = (torch.tensor(list(rows.values()), dtype=torch.float64).T @ weights) / weights.sum()
    texts = {name: remarks(result, held_out[name]) for name, result in results.items()}
    for name, row in {**rows, "**all**": mean.tolist()}.items():
        shares = [f"{100 * value:.0f} %" for value in row[:2]]
        shares += [f"{100 * row[i]:.0f} / {100 * row[i + 1]:.0f} %" for i in (2, 4, 6)]
        shares.append(f"{row[8]:.2f} / {row[9]:.2f}")
        lines.append(f"| {name} | {' | '.join(shares)} | {texts.get(name, '')} |")
    return "\n".join(lines)


def numbers(result: ClassResult) -> list[float]:
    """A row of the table."""
    pairs = zip(result.learnt, result.plain, strict=True)
    return [result.recognised, result.heard, *(value for pair in pairs for value in pair)]


def generated(sampler: Sampler, options: argparse.Namespace) -> Iterator[tuple[int, int, Tensor]]:
    """Generate clips: class index, seed, audio (1, S)."""
    bar = tqdm(total=len(LABELS) * options.clips, desc="generating")
    for index, prompt in enumerate(options.prompts):
        for seed in range(options.clips):
            request = Request(
                prompt,
                seconds=options.seconds,
                steps=options.steps,
                guidance_scale=options.guidance,
                seed=seed,
            )
            audio = sampler(request)[0].cpu()
            bar.update()
            yield index, seed, audio
    bar.close()


def from_files(folder: Path) -> Iterator[tuple[int, int, Tensor]]:
    """Read files CLASS__SEED.EXTENSION: class index, seed, audio (1, S)."""
    names = {slug(label): index for index, label in enumerate(LABELS)}
    files = sorted(path for path in folder.iterdir() if "__" in path.stem)
    if not files:
        raise FileNotFoundError(f"no files CLASS__SEED.wav in {folder}")
    for path in files:
        name, _, seed = path.stem.partition("__")
        if slug(name) not in names or not seed.isdecimal():
            raise ValueError(f"{path.name}: expected CLASS__SEED, CLASS one of {sorted(names)}")
        yield names[slug(name)], int(seed), torch.from_numpy(read_audio(path, RATE))


def slug(label: str) -> str:
    """A label as it stands in file names: "dog bark" -> "dog-bark"."""
    return label.lower().replace(" ", "-").replace("_", "-")


def evaluate(
    ears: Ears, clips: Iterable[tuple[int, int, Tensor]], rows: Sequence[Row], folder: Path
) -> tuple[dict[str, ClassResult], dict[str, ClassResult]]:
    """Judge clips by class, and the held-out recordings in the same way.

    Args:
        ears: who judges.
        clips: class index, seed, audio (1, S); of each class none or at least two.
        rows: of the data set, splits "train" and "validation", at least two held out per class.
        folder: of the rows' files.

    Returns:
        Results of the clips and of the held-out recordings, by label.
    """
    outputs: list[list[Tensor]] = [[] for _ in LABELS]
    for index, _, audio in clips:
        outputs[index].append(audio[0])

    def sound(row: Row) -> Tensor:
        return torch.from_numpy(read_audio(folder / row.file, RATE, longest_seconds=LONGEST))[0]

    taught = tqdm([row for row in rows if row.split == "train"], desc="training clips", leave=False)
    training = ears.hear(part for row in taught for part in windows(sound(row)))
    results, held_out = {}, {}
    for index, label in enumerate(LABELS):
        own = [row for row in rows if row.label == label]
        recordings = ears.hear(sound(row) for row in own)
        known = (recordings, [row.group or row.file for row in own])
        kept = [number for number, row in enumerate(own) if row.split == "validation"]
        held = Heard(*(part[kept] for part in recordings))
        held_out[label] = judge(ears, held, index, training, known)
        if outputs[index]:
            results[label] = judge(ears, ears.hear(outputs[index]), index, training, known)
    return results, held_out


def saved(
    clips: Iterable[tuple[int, int, Tensor]], folder: Path
) -> Iterator[tuple[int, int, Tensor]]:
    """The same clips, each written into a folder as CLASS__SEED.wav."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, seed, audio in clips:
        path = folder / f"{slug(LABELS[index])}__{seed}.wav"
        write_audio(path, audio.numpy(), metadata={"seed": seed})
        yield index, seed, audio


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--listener", default=DEFAULT_TAGGER, help="such as tagger:mn04_as_mAP_432.pt")
    add("--model", default=DEFAULT_MODEL, help="built-in model or folder")
    add("--audio", type=Path, help="judge the files of this folder instead")
    add("--manifest", type=Path, default=Path("../shared/data/sfx/manifest.jsonl"))
    add("--clips", type=int, default=20, help="per class; seeds 0, 1, ...")
    add("--seconds", type=float, default=5.0)
    add("--steps", type=int, help="default: the model's own")
    add("--guidance", type=float, help="default: the model's own")
    add("--prompts", nargs=len(LABELS), default=PROMPTS, metavar="PROMPT")
    add("--save", type=Path, help="write the generated clips into this folder")
    add("--json", type=Path, help="write all results here")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate or read, judge and print."""
    options = parse(arguments)
    ears = Ears(load_ear(options.listener), load_embedder("log-mel"))
    class_scores(ears.listener.labels, torch.zeros(1, len(ears.listener.labels)))  # fails early
    if options.audio:
        clips = from_files(options.audio)
    else:
        clips = generated(load_sampler(find_model(options.model)), options)
    if options.save:
        clips = saved(clips, options.save)
    rows = read_manifest(options.manifest)
    results, held_out = evaluate(ears, clips, rows, options.manifest.parent)
    for title, part in (("Clips", results), ("Held-out recordings", held_out)):
        print(f"\n{title} (pairs of figures: the listener's embedding / log-mel statistics)\n")
        print(table(part, held_out))
    if options.json:
        parts = {"clips": results, "held_out": held_out}
        plain = {
            name: {label: as_plain(result) for label, result in part.items()}
            for name, part in parts.items()
        }
        write_text(options.json, json.dumps(plain, indent=1))


def as_plain(result: ClassResult) -> dict[str, object]:
    """For JSON."""
    measures = {"learnt": result.learnt._asdict(), "plain": result.plain._asdict()}
    return {**result._asdict(), **measures}


if __name__ == "__main__":
    main()
