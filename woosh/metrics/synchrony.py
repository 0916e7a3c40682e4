"""Whether sound happens when something happens in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from woosh.metrics.onsets import matched_pairs, onset_times

TOLERANCES = (0.02, 0.05, 0.1)  # seconds
LEAST_GAP = (
    0.15  # seconds between events; what follows sooner belongs to one, as the toe to the heel
)
LOUDNESS_FLOOR = -60.0  # decibels below a clip's loudest moment
SMOOTHING_SECONDS = 0.25


@dataclass(frozen=True)
class Alignment:
    """How onsets fit the moments at which they are wanted, over one clip or many.

    Attributes:
        tolerance: seconds within which an onset meets a moment, each at most one of the other.
        precision: share of the onsets that meet a moment.
        recall: share of the moments that are met.
        f1: their harmonic mean; 1 if there is nothing on either side.
        offset: mean of onset minus moment over the pairs, in seconds; None without a pair.
    """

    tolerance: float
    precision: float
    recall: float
    f1: float
    offset: float | None


def alignment(
    clips: Sequence[tuple[Sequence[float], Sequence[float]]],
    tolerances: Sequence[float] = TOLERANCES,
) -> list[Alignment]:
    """Scores over all clips, each (wanted moments, onsets found), ascending and in seconds.

    Raises:
        ValueError: no clip, or times that do not rise.
    """
    if not clips:
        raise ValueError("there is no clip to score")
    for times in (side for clip in clips for side in clip):
        if any(later < earlier for earlier, later in zip(times, times[1:], strict=False)):
            raise ValueError(f"times must rise, but they are {list(times)[:10]}")
    moments = sum(len(wanted) for wanted, _ in clips)
    onsets = sum(len(found) for _, found in clips)
    scores = []
    for tolerance in tolerances:
        pairs = [
            pair for wanted, found in clips for pair in matched_pairs(wanted, found, tolerance)
        ]
        hits = len(pairs)
        scores.append(
            Alignment(
                tolerance,
                hits / onsets if onsets else float(moments == 0),
                hits / moments if moments else float(onsets == 0),
                2 * hits / (onsets + moments) if onsets + moments else 1.0,
                sum(found - wanted for wanted, found in pairs) / hits if hits else None,
            )
        )
    return scores


def chance_alignment(
    clips: Sequence[tuple[Sequence[float], Sequence[float]]],
    tolerances: Sequence[float] = TOLERANCES,
) -> list[float]:
    """F1 at each tolerance when clip k is judged by the moments of clip k + s, mean over all shifts s.

    Raises:
        ValueError: fewer than two clips.
    """
    if len(clips) < 2:
        raise ValueError("chance needs two clips or more, to exchange their moments")
    shifted = [
        alignment(
            [(clips[(k + s) % len(clips)][0], found) for k, (_, found) in enumerate(clips)],
            tolerances,
        )
        for s in range(1, len(clips))
    ]
    return [
        float(np.mean([scores[place].f1 for scores in shifted])) for place in range(len(tolerances))
    ]


def onsets_of(audio: Tensor, sample_rate: int) -> list[float]:
    """Onsets of a clip's events (C, S) or (S,), in seconds."""
    mono = audio.mean(dim=0) if audio.ndim == 2 else audio
    return onset_times(mono, sample_rate, LEAST_GAP).tolist()


def loudness_course(audio: Tensor, sample_rate: int, rate: float, count: int) -> np.ndarray:
    """Level in decibels around each of `count` moments at `rate` per second, over a quarter of a second.

    Args:
        audio: (C, S) or (S,).
        sample_rate: in Hz.
        rate: moments per second.
        count: how many.
    """
    mono = (audio.mean(dim=0) if audio.ndim == 2 else audio).double().numpy()
    total = np.concatenate([[0.0], np.cumsum(mono**2)])
    moments = np.arange(count) / rate
    half = SMOOTHING_SECONDS / 2
    low, high = (
        np.clip(np.round((moments + side) * sample_rate).astype(int), 0, len(mono))
        for side in (-half, half)
    )
    power = (total[high] - total[low]) / np.maximum(1, high - low)
    least = max(float(power.max()), 1e-12) * 10 ** (LOUDNESS_FLOOR / 10)
    return 10 * np.log10(np.maximum(power, least))


def loudness_correlation(audio: Tensor, sample_rate: int, intensity: Tensor, rate: float) -> float:
    """Pearson correlation of a clip's level in decibels with a scene's intensity (F,), `rate` per second.

    0 where either never changes.
    """
    course = loudness_course(audio, sample_rate, rate, len(intensity))
    wanted = intensity.double().numpy()
    if course.std() < 1e-9 or wanted.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(course, wanted)[0, 1])


def embedding_cosine(sounds: Tensor, videos: Tensor) -> float:
    """Mean cosine of each clip's sound and video embedding, as with ImageBind, both (N, D) and given by the user.

    Raises:
        ValueError: other shapes.
    """
    if sounds.ndim != 2 or sounds.shape != videos.shape or len(sounds) == 0:
        raise ValueError(
            f"embeddings must both be (N, D), got {tuple(sounds.shape)} and {tuple(videos.shape)}"
        )
    return float(torch.cosine_similarity(sounds.double(), videos.double()).mean())
