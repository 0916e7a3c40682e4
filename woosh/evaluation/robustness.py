"""How far an ear can be trusted: whether changes nobody hears make it take a clip for another one.

Every clip is a class of its own: an ear that is asked which clip it hears answers with the nearest of the unchanged ones.
So it needs no labels, and every ear with gradients is asked alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from woosh.audio import read_audio
from woosh.embeddings.embedders import DIFFERENTIABLE_SECONDS, Embedder
from woosh.evaluation.clip_sets import list_clips
from woosh.metrics.robustness import fgsm, influences, pgd, radius_below, stress

TEMPERATURE = 0.1  # of the cosines
LEVELS = (30.0, 40.0, 50.0, 60.0)  # decibels below the sound
STRESS_LEVEL = 50.0  # at which it is looked how predictions bend
STRESS_DIRECTIONS = 8
SILENT_PEAK = 1e-4
MOST_INFLUENTIAL = 5
# An ear is easily fooled if changes so far below a sound, which nobody hears beside it, mistake more than this share of
# clips. The built-in ears: docs/studies/robustness.md.
FOOLED_LEVEL = 60.0
FOOLED_SHARE = 0.5


@dataclass(frozen=True)
class Clips:
    """Clips that an ear tells apart.

    Attributes:
        ear: that hears them.
        sounds: mono, each (S,).
        centre: mean of their embeddings (D,).
        embeddings: unit vectors from there (N, D).
    """

    ear: Embedder
    sounds: Sequence[Tensor]
    centre: Tensor
    embeddings: Tensor

    def logits(self, audio: Tensor) -> Tensor:
        """Audio (B, S) -> how near it is to each clip (B, N)."""
        return self.placed(differentiable(self.ear)(audio)) @ self.embeddings.T / TEMPERATURE

    def placed(self, embeddings: Tensor) -> Tensor:
        """Embeddings (B, D) as unit vectors from the centre."""
        return functional.normalize(embeddings - self.centre, dim=1)


def differentiable(ear: Embedder) -> Callable[[Tensor], Tensor]:
    """What an ear hears, with gradients.

    Raises:
        ValueError: it has none.
    """
    if ear.differentiable is None:
        raise ValueError(f"{ear.name} has no gradients: name an aligner or a tagger")
    return ear.differentiable


def gathered(ear: Embedder, sounds: Sequence[Tensor]) -> Clips:
    """Clips as classes.

    Args:
        ear: with gradients.
        sounds: of `loud_sounds`.

    Raises:
        ValueError: fewer than two sounds, or an ear without gradients.
    """
    if len(sounds) < 2:
        raise ValueError(f"{len(sounds)} sounds are not silent: an ear tells two or more apart")
    with torch.no_grad():
        embeddings = torch.cat([differentiable(ear)(sound[None]) for sound in sounds])
    centre = embeddings.mean(dim=0)
    placed = functional.normalize(embeddings - centre, dim=1)
    return Clips(ear, sounds, centre, placed)


def loud_sounds(ear: Embedder, paths: Sequence[Path]) -> dict[Path, Tensor]:
    """The first `DIFFERENTIABLE_SECONDS` of files at an ear's rate, without those that are silent there, by path.

    Raises:
        ValueError: a file cannot be read.
    """
    rate, seconds = ear.sample_rate, DIFFERENTIABLE_SECONDS
    read = {path: read_audio(path, rate, longest_seconds=seconds)[0] for path in paths}
    return {p: torch.from_numpy(x) for p, x in read.items() if np.abs(x).max() >= SILENT_PEAK}


def mistaken(clips: Clips, number: int, audio: Tensor) -> bool:
    """Whether a changed form (1, S) of a clip is taken for another one."""
    with torch.no_grad():
        return int(clips.logits(audio).argmax()) != number


def attacked(clips: Clips, number: int, level: float, generator: Generator) -> dict[str, bool]:
    """Whether changes of a level mistake a clip: `noise` of random signs, a step along the gradient, ten of them."""
    sound, own = clips.sounds[number][None], torch.tensor([number])
    radius = radius_below(sound, level)
    signs = torch.randint(2, sound.shape, generator=generator) * 2.0 - 1.0
    return {
        "noise": mistaken(clips, number, sound + radius * signs),
        "fgsm": mistaken(clips, number, fgsm(clips.logits, sound, own, radius)),
        "pgd": mistaken(clips, number, pgd(clips.logits, sound, own, radius)),
    }


def own_stress(clips: Clips, number: int, generator: Generator) -> float:
    """The Laplacian of the probability of a clip, in units of the level of its samples: see `stress`."""
    sound = clips.sounds[number]
    unit = float(sound.pow(2).mean().sqrt())
    radius = len(sound) ** 0.5 * 10 ** (-STRESS_LEVEL / 20)

    def probability(scaled: Tensor) -> Tensor:
        with torch.no_grad():
            return clips.logits(scaled * unit).softmax(dim=1)[:, number]

    return float(stress(probability, sound / unit, radius, STRESS_DIRECTIONS, generator))


def fooled_share(ear: Embedder, sounds: Sequence[Tensor]) -> float:
    """The share of clips that `pgd` mistakes at `FOOLED_LEVEL`; above `FOOLED_SHARE` the ear is easily fooled.

    Raises:
        ValueError: see `gathered`.
    """
    clips = gathered(ear, sounds)
    count = 0
    for number, sound in enumerate(clips.sounds):
        radius = radius_below(sound[None], FOOLED_LEVEL)
        changed = pgd(clips.logits, sound[None], torch.tensor([number]), radius)
        count += mistaken(clips, number, changed)
    return count / len(clips.sounds)


def evaluate_robustness(
    folder: Path, ears: Sequence[Embedder], most_clips: int, generator: Generator
) -> dict[str, Any]:
    """Attack ears with the clips of a folder.

    Args:
        folder: audio files anywhere below it; where they lie in sub-folders, these are classes, whose influence is told.
        ears: that hear, with gradients.
        most_clips: so many are drawn.
        generator: of the clips, of noise and of directions.

    Returns:
        Plain data for JSON.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: fewer than two sounds, or an ear without gradients.
    """
    paths = [file.path for file in list_clips(folder).files]
    order = torch.randperm(len(paths), generator=generator).tolist()
    chosen = sorted(paths[number] for number in order[:most_clips])
    start = generator.get_state()
    results = []
    for ear in ears:
        generator.set_state(start)
        results.append(_of_ear(folder, ear, chosen, generator))
    return {
        "kind": "robustness",
        "folder": str(folder),
        "seed": generator.initial_seed(),
        "ears": results,
    }


def _of_ear(
    folder: Path, ear: Embedder, paths: Sequence[Path], generator: Generator
) -> dict[str, Any]:
    heard = loud_sounds(ear, paths)
    clips = gathered(ear, list(heard.values()))
    numbers = range(len(clips.sounds))
    rows = []
    for level in LEVELS:
        found = [attacked(clips, number, level, generator) for number in numbers]
        shares = {name: sum(one[name] for one in found) / len(found) for name in found[0]}
        rows.append({"decibels_below": level, "mistaken": shares})
    values = torch.tensor([own_stress(clips, number, generator) for number in numbers])
    return {
        "name": ear.name,
        "weights": ear.weights,
        "clips": len(clips.sounds),
        "levels": rows,
        "stress": float(values.abs().mean()),
        "influence": _influence(folder, list(heard), clips.embeddings),
    }


def _influence(folder: Path, paths: Sequence[Path], embeddings: Tensor) -> list[dict[str, Any]]:
    """The clips that help or hurt a linear probe of their classes most, each told by the others it speaks for."""
    names = [path.relative_to(folder).parent.as_posix() for path in paths]
    labels = sorted(set(names))
    if len(labels) < 2:
        return []
    classes = torch.tensor([labels.index(name) for name in names])
    found = influences(embeddings, classes, embeddings, classes).fill_diagonal_(0).mean(dim=1)
    order = found.argsort().tolist()
    told = [*order[:MOST_INFLUENTIAL], *order[-MOST_INFLUENTIAL:][::-1]]
    return [
        {"file": paths[n].relative_to(folder).as_posix(), "influence": float(found[n])}
        for n in dict.fromkeys(told)
    ]
