"""A tagger: front end, network and labels, from audio to logits; its folder, and the files of published weights."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from woosh.catalogue import find_tagger
from woosh.outside_files import read_object, shaped
from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.labels import find_labels, read_labels
from woosh.taggers.log_mel import LogMel
from woosh.taggers.mobilenet import MobileNet, Tags
from woosh.taggers.published import load_published
from woosh.weight_files import UNBUILDABLE, load_saved

KIND = "AudioTagger"  # in model_index.json
NETWORKS = {"MobileNet": MobileNet, "DynamicMobileNet": DynamicMobileNet}


@dataclass(frozen=True)
class FrontEnd:
    """What a tagger hears: the settings of `LogMel` that differ between published taggers."""

    hop_length: int = 320  # samples at 32 kHz
    bands: int = 128

    def log_mel(self) -> LogMel:
        """The front end itself."""
        return LogMel(hop_length=self.hop_length, bands=self.bands)


class AudioTagger(nn.Module):
    """Audio -> a logit for each label.

    Args:
        network: MobileNet or DynamicMobileNet with as many classes as there are labels.
        labels: C names.
        front_end: what the network hears.

    Raises:
        ValueError: another number of labels than the network has classes.
    """

    def __init__(
        self,
        network: MobileNet | DynamicMobileNet,
        labels: tuple[str, ...],
        front_end: FrontEnd = FrontEnd(),
    ) -> None:
        super().__init__()
        if network.config.classes != len(labels):  # type: ignore[attr-defined]
            classes = network.config.classes  # type: ignore[attr-defined]
            raise ValueError(f"{len(labels)} labels for a network of {classes} classes")
        self.network, self.labels, self.front_end = network, labels, front_end
        self.log_mel = front_end.log_mel()

    @property
    def sample_rate(self) -> int:
        """Of the audio, in Hz."""
        return self.log_mel.sample_rate

    def forward(self, audio: Tensor) -> Tags:
        """Audio (B, S) in [-1, 1] -> logits (B, C) and features (B, W)."""
        return self.network(self.log_mel(audio)[:, None])


def save_tagger(tagger: AudioTagger, folder: Path) -> None:
    """Write a tagger's folder: model_index.json, labels.txt and network/, in the precision that it has."""
    folder.mkdir(parents=True, exist_ok=True)
    tagger.network.save_pretrained(folder / "network")
    (folder / "labels.txt").write_text("\n".join(tagger.labels) + "\n", encoding="utf-8")
    index = {
        "_class_name": KIND,
        "network": type(tagger.network).__name__,
        "front_end": dataclasses.asdict(tagger.front_end),
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def load_tagger(name: str | Path, labels: Path | None = None) -> AudioTagger:
    """A tagger by its name, from its folder, or from a file of published weights with a list of labels beside it.

    What the network is, is told from the file's tensors and never from its name. A file has the usual front end of
    128 bands and 10 ms.

    Args:
        name: built-in tagger, folder of `save_tagger`, or file (`.pt`, `.pth`, `.safetensors`).
        labels: list of the labels; None takes the one beside the weights.

    Returns:
        The tagger in evaluation mode, in float32, on the CPU.

    Raises:
        FileNotFoundError: nothing there, or no list of labels.
        ValueError: weights that cannot be read safely, of another network, or with other labels.
    """
    path = find_tagger(str(name))
    words = read_labels(labels or find_labels(path))
    if path.is_file():
        network: Any = load_published(path)
        return AudioTagger(network, words).eval()
    index = read_index(path)
    network = load_saved(NETWORKS[index.network], path / "network", torch.float32)
    try:
        return AudioTagger(network, words, index.front_end).eval()
    except (ValueError, *UNBUILDABLE) as error:
        raise ValueError(f"{path} makes no tagger: {error}") from error


@dataclass(frozen=True)
class TaggerIndex:
    """What a tagger's model_index.json says of its parts."""

    network: str  # one of `NETWORKS`
    front_end: FrontEnd

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ValueError(f"network must be one of {', '.join(NETWORKS)}, not {self.network!r}")


def read_index(folder: Path) -> TaggerIndex:
    """What a tagger's folder says of its network and front end.

    Raises:
        ValueError: it is damaged, or names a network or a setting that is not known.
    """
    path = folder / "model_index.json"
    index = read_object(path)
    settings, given = {field.name for field in dataclasses.fields(FrontEnd)}, index.get("front_end")
    if isinstance(given, dict) and given.keys() != settings:
        raise ValueError(f"{path}: front_end must name {', '.join(sorted(settings))} and no more")
    return shaped(TaggerIndex, index, str(path))


def with_classes(
    network: MobileNet | DynamicMobileNet, classes: int | None
) -> MobileNet | DynamicMobileNet:
    """A network of the same settings and weights for so many classes, or without a head.

    What has another shape then starts fresh.
    """
    settings = {name: value for name, value in network.config.items() if not name.startswith("_")}
    fresh = type(network)(**{**settings, "classes": classes})
    tensors, shapes = network.state_dict(), fresh.state_dict()
    kept = {
        name: tensors[name]
        for name, fresh_tensor in shapes.items()
        if name in tensors and tensors[name].shape == fresh_tensor.shape
    }
    fresh.load_state_dict({**shapes, **kept})
    return fresh
