"""From a video file to the features that a transformer hears: which network watches, and what of the file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from woosh.synchformer import Synchformer, load_synchformer
from woosh.video import Video, read_frames
from woosh.visual import FRAME_RATE, VisualEncoder


class Watcher(Protocol):
    """A network that turns a film's frames into features, one for each."""

    @property
    def frame_size(self) -> int:
        """Height and width of the frames that it takes, in pixels."""
        ...

    def watch(self, windows: Iterable[Tensor]) -> Tensor:
        """Windows (n, 3, H, W) of 8 bits, one after another -> features (F, V)."""
        ...


def load_watcher(place: str | Path, device: torch.device | str = "cpu") -> Watcher:
    """A network that watches: a folder of `VisualEncoder` or `Synchformer`, or Synchformer's published file.

    Raises:
        FileNotFoundError: nothing at that place.
        ValueError: a folder of something else, or a file that does not fit.
    """
    path = Path(place)
    network: Any
    if path.is_file():
        network = load_synchformer(path)
        return network.to(device)
    config = path / "config.json"
    if not config.is_file():
        raise FileNotFoundError(f"no network that watches in {str(place)!r}")
    name = json.loads(config.read_text(encoding="utf-8")).get("_class_name")
    if name == "VisualEncoder":
        network = VisualEncoder.from_pretrained(path, dtype=torch.float32)
    elif name == "Synchformer":
        network = Synchformer.from_pretrained(path, dtype=torch.float32)
    else:
        raise ValueError(f"{path} holds {name}, not a VisualEncoder or a Synchformer")
    return network.to(device).eval()


def watch_video(
    watcher: Watcher, video: Video, start: float = 0.0, seconds: float | None = None
) -> Tensor:
    """Features (K, V) of a video from `start` on, 24 per second; sides are squashed to squares, as released.

    Raises:
        ValueError: a time that the video does not have, or a file that turns out damaged.
    """
    return watcher.watch(read_frames(video, FRAME_RATE, watcher.frame_size, start, seconds))
