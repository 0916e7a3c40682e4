"""From a video file to the features that a transformer hears: which network watches, and what of the file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from woosh.outside_files import read_object
from woosh.video.pictures import WATCHED_RATE, Video, View, pictures_at, read_frames
from woosh.video.synchformer import Synchformer, load_synchformer
from woosh.video.visual import VisualEncoder, event_times
from woosh.weight_files import load_saved

WINDOW = 32  # frames that are read at a time


class Watcher(Protocol):
    """A network that turns a film's frames into features, one for each."""

    @property
    def frame_size(self) -> int:
        """Height and width of the frames that it takes, in pixels."""
        ...

    def watch(self, windows: Iterable[Tensor]) -> Tensor:
        """Windows (n, 3, H, W) of 8 bits, one after another -> features (F, V)."""
        ...


def load_watcher(
    place: str | Path, device: torch.device | str = "cpu", channels: int | None = None
) -> Watcher:
    """A network that watches: a folder of `VisualEncoder` or `Synchformer`, or Synchformer's published file.

    Args:
        place: folder or file.
        device: where to compute.
        channels: that the features must have, None for any number.

    Raises:
        FileNotFoundError: nothing at that place.
        ValueError: a folder of something else, a file that does not fit, or features of another width.
    """
    network = _load(Path(place))
    made = network.config.width
    if channels not in (None, made):
        raise ValueError(f"{place} makes {made} features of a frame, the model takes {channels}")
    return network.to(device).eval()


def _load(path: Path) -> Any:
    if path.is_file():
        return load_synchformer(path)
    config = path / "config.json"
    if not config.is_file():
        raise FileNotFoundError(f"no network that watches in {str(path)!r}")
    name = read_object(config).get("_class_name")
    for kind in (VisualEncoder, Synchformer):
        if name == kind.__name__:
            return load_saved(kind, path, torch.float32)
    raise ValueError(f"{path} holds {name}, not a VisualEncoder or a Synchformer")


def watch_video(
    watcher: Watcher,
    video: Video,
    start: float = 0.0,
    seconds: float | None = None,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda windows, _: windows,
) -> Tensor:
    """Features (K, V) of a video from `start` on, 24 per second; sides are squashed to squares, as released.

    Args:
        watcher: of `load_watcher`.
        video: of `woosh.video.open_video`.
        start: in seconds.
        seconds: how many; None: to the end.
        progress: wraps the windows that are read and their number, to show a progress bar.

    Raises:
        ValueError: a time that the video does not have, or a file that turns out damaged.
    """
    count = len(pictures_at(video, WATCHED_RATE, start, seconds))
    view = View(WATCHED_RATE, watcher.frame_size, start, seconds)
    frames = read_frames(video, view, WINDOW)
    return watcher.watch(progress(frames, math.ceil(count / WINDOW)))


@torch.no_grad()
def moments_seen(watcher: Watcher, features: Tensor) -> list[float] | None:
    """Moments in seconds at which a sound should begin, of features (K, V) that a watcher made; None if it tells none.

    Of Synchformer's nothing is known that tells them.
    """
    if not isinstance(watcher, VisualEncoder):
        return None
    return event_times(watcher.meaning(features[None].to(watcher.device)), 0)
