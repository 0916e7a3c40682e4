"""Where a film cuts from one shot to the next, which makes no sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

# A cut's pictures have little in common and differ strongly; fast motion keeps the likeness, noise the strength low.
LEAST_CHANGE = 25.0  # mean over pixels and colours, of 255
MOST_LIKENESS = 0.5  # correlation of coarse pictures
COARSE = 12  # pixels on a side of a coarse picture


def cuts(frames: Tensor) -> Tensor:
    """Which of the frames (F, 3, H, W) of 8 bits, but the first, begin another shot: (F - 1,) booleans."""
    coarse = functional.adaptive_avg_pool2d(frames.float(), COARSE).flatten(1)
    before, after = coarse[:-1], coarse[1:]
    changed = (after - before).abs().mean(dim=1) >= LEAST_CHANGE
    centred = coarse - coarse.mean(dim=1, keepdim=True)
    likeness = functional.cosine_similarity(centred[:-1], centred[1:])
    return changed & (likeness <= MOST_LIKENESS)


def split_at_cuts(windows: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Windows (n, 3, H, W) of a film -> pieces of them within a shot, and whether one begins another shot."""
    last = None
    for window in windows:
        if len(window) == 0:
            continue
        begins = cuts(window if last is None else torch.cat([last, window]))
        if last is None:
            begins = functional.pad(begins, (1, 0))
        bounds = [0, *(begins[1:].nonzero().flatten() + 1).tolist(), len(window)]
        for first, end in zip(bounds, bounds[1:], strict=False):
            yield window[first:end], bool(begins[first])
        last = window[-1:]
