"""How many generated clips are recognised, and whether they repeat the training data or each other.

    python benchmarks/evaluate_generation.py --classifier DIR [--model woosh-tiny|DIR] [--save DIR]
    python benchmarks/evaluate_generation.py --classifier DIR --audio DIR

The first form generates clips of ten classes, the second judges files CLASS__SEED.wav, such as
dog-bark__0.wav. The classifier comes from `training/train_classifier.py`. "With other" counts a
clip only if the classifier prefers its class to "none of the ten" too. Originality is measured in
two embeddings: the classifier's own, and plain statistics of the log-mel spectrum; the row of
held-out recordings says what new recordings of the same kind reach.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from woosh.audio import read_audio, write_audio
from woosh.metrics.originality import Originality, originality, recording_distances
from woosh.taggers.classifier import (
    LABELS,
    OTHER,
    PROMPTS,
    Recording,
    SoundClassifier,
    normalise,
    padded,
    read_recordings,
    statistics,
)

SECONDS = 5.0  # of the spectra that are compared
LONGEST = 600.0  # seconds of a training clip that are searched for copies
AUDIBLE = -60.0  # dB, a window of a long clip below it holds nothing that could be copied
COLLAPSED_SPREAD = 0.5  # of the held-out recordings' spread
COPIED_EXCESS = 0.25  # over the share among held-out recordings


class Heard(NamedTuple):
    """Clips as the classifier heard them."""

    logits: Tensor  # (N, 11)
    learnt: Tensor  # (N, D) the classifier's embedding
    plain: Tensor  # (N, D') statistics of the log-mel spectrum


class ClassResult(NamedTuple):
    """Of the clips of one class."""

    clips: int
    recognised: float  # share, the ten classes competing
    recognised_with_other: float  # share, "other" competing as well
    taken_for: dict[str, int]  # answers with "other" competing
    learnt: Originality
    plain: Originality


@torch.inference_mode()
def hear(model: SoundClassifier, spectra: Sequence[Tensor]) -> Heard:
    """Judges spectra (bands, T) of any length by their first 5 s."""
    frames = 1 + round(SECONDS * model.sample_rate / model.hop_length)
    batch = torch.stack([padded(decibels, frames) for decibels in spectra])
    verdicts = [model(part) for part in batch.split(32)]
    return Heard(
        torch.cat([verdict.logits for verdict in verdicts]),
        torch.cat([verdict.embedding for verdict in verdicts]),
        torch.stack([statistics(decibels) for decibels in batch]),
    )


def windows(decibels: Tensor, frames: int) -> list[Tensor]:
    """Cuts a long spectrum (bands, T) into windows, each relative to its own loudest point."""
    parts = decibels.split(frames, dim=1)
    audible = [part for part in parts if part.amax() > AUDIBLE]
    return [normalise(part[None])[0] for part in audible]


def judge(
    outputs: Heard, index: int, training: Heard, recordings: Heard, groups: Sequence[str]
) -> ClassResult:
    """Judges the clips that should be of one class.

    Args:
        outputs: The clips.
        index: Of the class.
        training: All training clips, of whatever class.
        recordings: All recordings of the class.
        groups: Of the recordings, the name of the original each was cut from.
    """
    answers = outputs.logits.argmax(dim=-1)
    names = (*LABELS, "other")
    counts = torch.bincount(answers, minlength=OTHER + 1).tolist()
    return ClassResult(
        clips=len(answers),
        recognised=_share(outputs.logits[:, :OTHER].argmax(dim=-1) == index),
        recognised_with_other=_share(answers == index),
        taken_for={name: count for name, count in zip(names, counts, strict=True) if count},
        learnt=originality(
            outputs.learnt, training.learnt, recording_distances(recordings.learnt, groups)
        ),
        plain=originality(
            outputs.plain, training.plain, recording_distances(recordings.plain, groups)
        ),
    )


def _share(answers: Tensor) -> float:
    return answers.double().mean().item()


def remarks(result: ClassResult, reference: ClassResult) -> str:
    """Names embeddings with much less spread or many more copies than held-out recordings have."""
    found = []
    measures = {
        "classifier": (result.learnt, reference.learnt),
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
    heads = ("recognised", "with other", "< typical pair", "< typical nearest", "copies", "spread")
    lines = [
        f"| class | {' | '.join(heads)} | remarks |",
        "|---|" + "---|" * (len(heads) + 1),
    ]
    rows = {name: _numbers(result) for name, result in results.items()}
    weights = torch.tensor([result.clips for result in results.values()], dtype=torch.float64)
    mean = (torch.tensor(list(rows.values()), dtype=torch.float64).T @ weights) / weights.sum()
    texts = {name: remarks(result, held_out[name]) for name, result in results.items()}
    for name, row in {**rows, "**all**": mean.tolist()}.items():
        shares = [f"{100 * value:.0f} %" for value in row[:2]]
        shares += [f"{100 * row[i]:.0f} / {100 * row[i + 1]:.0f} %" for i in (2, 4, 6)]
        shares.append(f"{row[8]:.2f} / {row[9]:.2f}")
        lines.append(f"| {name} | {' | '.join(shares)} | {texts.get(name, '')} |")
    return "\n".join(lines)


def _numbers(result: ClassResult) -> list[float]:
    pairs = zip(result.learnt, result.plain, strict=True)
    return [
        result.recognised,
        result.recognised_with_other,
        *(value for pair in pairs for value in pair),
    ]


def generated(options: argparse.Namespace) -> Iterable[tuple[int, int, Tensor]]:
    """Generates clips: class index, seed, audio (1, S)."""
    from woosh.catalogue import find_model
    from woosh.generation.pipeline import WooshPipeline

    pipeline = WooshPipeline.from_pretrained(find_model(options.model))
    pipeline.set_progress_bar_config(disable=True)
    bar = tqdm(total=len(LABELS) * options.clips, desc="generating")
    for index, prompt in enumerate(options.prompts):
        for seed in range(options.clips):
            audio = pipeline(
                prompt,
                seconds=options.seconds,
                num_inference_steps=options.steps,
                guidance_scale=options.guidance,
                generator=torch.Generator().manual_seed(seed),
                output_type="pt",
            ).audios
            bar.update()
            yield index, seed, torch.as_tensor(audio[0])
    bar.close()


def from_files(options: argparse.Namespace) -> Iterable[tuple[int, int, Tensor]]:
    """Reads files CLASS__SEED.EXTENSION: class index, seed, audio (1, S)."""
    names = {slug(label): index for index, label in enumerate(LABELS)}
    files = sorted(path for path in options.audio.iterdir() if "__" in path.stem)
    if not files:
        raise FileNotFoundError(f"no files CLASS__SEED.wav in {options.audio}")
    for path in files:
        name, _, seed = path.stem.partition("__")
        if slug(name) not in names or not seed.isdecimal():
            raise ValueError(f"{path.name}: expected CLASS__SEED, CLASS one of {sorted(names)}")
        yield names[slug(name)], int(seed), torch.from_numpy(read_audio(path))


def slug(label: str) -> str:
    """A label as it stands in file names: "dog bark" -> "dog-bark"."""
    return label.lower().replace(" ", "-").replace("_", "-")


def collect(
    model: SoundClassifier,
    clips: Iterable[tuple[int, int, Tensor]],
    save: Callable[[int, int, Tensor], None],
) -> list[list[Tensor]]:
    """Log-mel spectra (bands, T) of the clips, by class; each clip is handed to `save` as well."""
    spectra: list[list[Tensor]] = [[] for _ in LABELS]
    for index, seed, audio in clips:
        save(index, seed, audio)
        spectra[index].append(model.mel_decibels(audio[None])[0])
    return spectra


def evaluate(
    model: SoundClassifier, spectra: Sequence[Sequence[Tensor]], clips: Sequence[Recording]
) -> tuple[dict[str, ClassResult], dict[str, ClassResult]]:
    """Judges clips by class, and the held-out recordings in the same way.

    Args:
        model: The classifier.
        spectra: Of each class the clips' log-mel spectra, none or at least two.
        clips: Of the data set, splits "train" and "validation", at least two held out per class.

    Returns:
        Results of the clips and of the held-out recordings, by label.
    """
    frames = 1 + round(SECONDS * model.sample_rate / model.hop_length)
    training = hear(
        model,
        [
            part
            for clip in clips
            if clip.split == "train"
            for part in windows(clip.decibels, frames)
        ],
    )
    results, held_out = {}, {}
    for index, label in enumerate(LABELS):
        recordings = [clip for clip in clips if clip.index == index]
        heard = hear(model, [clip.decibels for clip in recordings])
        groups = [clip.group for clip in recordings]
        kept = [row for row, clip in enumerate(recordings) if clip.split == "validation"]
        held_out[label] = judge(
            Heard(*(part[kept] for part in heard)), index, training, heard, groups
        )
        if spectra[index]:
            results[label] = judge(hear(model, spectra[index]), index, training, heard, groups)
    return results, held_out


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--classifier", type=Path, required=True, help="folder of the weights")
    parser.add_argument("--model", default="woosh-tiny", help="built-in model or folder")
    parser.add_argument("--audio", type=Path, help="judge the files of this folder instead")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/sfx"))
    parser.add_argument("--clips", type=int, default=20, help="per class; seeds 0, 1, ...")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, help="default: the model's own")
    parser.add_argument("--prompts", nargs=len(LABELS), default=PROMPTS, metavar="PROMPT")
    parser.add_argument("--save", type=Path, help="write the generated clips into this folder")
    parser.add_argument("--json", type=Path, help="write all results here")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Generates or reads, judges and prints."""
    options = parse(arguments)
    model = SoundClassifier.from_pretrained(options.classifier, torch_dtype=torch.float32).eval()
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)

    def save(index: int, seed: int, audio: Tensor) -> None:
        if options.save:
            name = f"{slug(LABELS[index])}__{seed}.wav"
            write_audio(options.save / name, audio.numpy(), metadata={"seed": seed})

    source = from_files(options) if options.audio else generated(options)
    spectra = collect(model, source, save)
    clips = read_recordings(options.data, model, LONGEST, ("train", "validation"))
    results, held_out = evaluate(model, spectra, clips)
    for title, part in (("Clips", results), ("Held-out recordings", held_out)):
        print(f"\n{title} (pairs of figures: classifier's embedding / log-mel statistics)\n")
        print(table(part, held_out))
    if options.json:
        parts = {"clips": results, "held_out": held_out}
        plain = {
            name: {label: _plain(result) for label, result in part.items()}
            for name, part in parts.items()
        }
        options.json.write_text(json.dumps(plain, indent=1))


def _plain(result: ClassResult) -> dict[str, object]:
    measures = {"learnt": result.learnt._asdict(), "plain": result.plain._asdict()}
    return {**result._asdict(), **measures}


if __name__ == "__main__":
    main()
