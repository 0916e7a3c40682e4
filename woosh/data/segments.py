"""Where a recording sounds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FRAME_SECONDS = 0.02
MARGIN_SECONDS = (
    0.06  # kept before and after what is heard: attacks and tails are below the threshold
)
QUIET_DECIBELS = -60.0  # relative to the loudest frame
SILENT_DECIBELS = -80.0  # of full scale: digital silence and dither, however quiet the rest is


class Segment(NamedTuple):
    """A stretch of samples, `start` included and `stop` not."""

    start: int
    stop: int


def frame_decibels(audio: np.ndarray, frame: int) -> np.ndarray:
    """Level in dB of full scale of each frame (N,) of audio (C, S); the last one may be shorter."""
    power = np.square(audio.astype(np.float64)).mean(axis=0)  # (S,)
    starts = np.arange(0, len(power), frame)
    sizes = np.minimum(frame, len(power) - starts)
    return 10.0 * np.log10(np.maximum(np.add.reduceat(power, starts) / sizes, 1e-20))


def sounding_segments(
    audio: np.ndarray, sample_rate: int, gap_seconds: float = 2.0
) -> list[Segment]:
    """The stretches of audio (C, S) that are not silent; those with less than a gap between them are one.

    A frame counts as silent at 60 dB below the loudest one, or at -80 dB of full scale. The rule of the
    report (energy; segments closer than 2 s merged) names no threshold: these are ours.

    Args:
        audio: (C, S), at least one sample.
        sample_rate: in Hz.
        gap_seconds: silence from this length on parts two segments.

    Returns:
        Segments in their order, none if all is silent.
    """
    frame = max(1, round(FRAME_SECONDS * sample_rate))
    # At most half of a gap, so that no two segments overlap.
    margin = int(min(MARGIN_SECONDS, gap_seconds / 2) * sample_rate)
    samples = audio.shape[1]
    levels = frame_decibels(audio, frame)
    loud = np.flatnonzero(levels > max(levels.max() + QUIET_DECIBELS, SILENT_DECIBELS))
    if not len(loud):
        return []
    parted = np.flatnonzero(np.diff(loud) - 1 >= gap_seconds * sample_rate / frame)
    first = loud[np.concatenate([[0], parted + 1])]
    last = loud[np.concatenate([parted, [len(loud) - 1]])]
    return [
        Segment(max(0, start * frame - margin), min(samples, (stop + 1) * frame + margin))
        for start, stop in zip(first.tolist(), last.tolist(), strict=True)
    ]


def cut_evenly(segment: Segment, longest: int) -> list[Segment]:
    """A segment as pieces of nearly equal length, none longer than `longest` samples."""
    count = -(-(segment.stop - segment.start) // longest)
    edges = np.linspace(segment.start, segment.stop, count + 1).round().astype(int).tolist()
    return [Segment(start, stop) for start, stop in zip(edges, edges[1:], strict=False)]
