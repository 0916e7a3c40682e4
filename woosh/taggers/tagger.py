"""A tagger: front end, network and labels, from audio to logits; its folder, and the files of published weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from woosh.catalogue import find_tagger
from woosh.outside_files import read_object, shaped
from woosh.taggers.congater import ConGater
from woosh.taggers.labels import find_labels, read_labels
from woosh.taggers.log_mel import LogMel
from woosh.taggers.mobilenet import Tags
from woosh.taggers.networks import NETWORKS, hear, load_network, save_network, settings_of
from woosh.taggers.published import load_published
from woosh.weight_files import UNBUILDABLE

KIND = "AudioTagger"  # in model_index.json


@dataclass(frozen=True)
class FrontEnd:
    """What a tagger hears: the settings of `LogMel` that differ between published taggers."""

    hop_length: int = 320  # samples
    bands: int = 128
    sample_rate: int = 32_000
    n_fft: int = 1024  # samples of the transform
    window_length: int = 800  # samples

    def log_mel(self) -> LogMel:
        """The front end itself."""
        return LogMel(**dataclasses.asdict(self))


class AudioTagger(nn.Module):
    """Audio -> a logit for each label.

    Args:
        network: one of `woosh.taggers.networks.NETWORKS`, with as many classes as there are labels.
        labels: C names.
        front_end: what the network hears.
        control: how far a ConGater takes each of its domains out, by name, from 0 to 1; others are 0.

    Raises:
        ValueError: another number of labels than the network has classes, or a control that it does not have.
    """

    def __init__(
        self,
        network: nn.Module,
        labels: tuple[str, ...],
        front_end: FrontEnd = FrontEnd(),
        control: Mapping[str, float] = {},  # noqa: B006 - never changed
    ) -> None:
        super().__init__()
        classes = settings_of(network)["classes"]
        if classes != len(labels):
            raise ValueError(f"{len(labels)} labels for a network of {classes} classes")
        self.network, self.labels, self.front_end = network, labels, front_end
        self.log_mel = front_end.log_mel()
        self.controls = controls_of(network, control)

    @property
    def sample_rate(self) -> int:
        """Of the audio, in Hz."""
        return self.log_mel.sample_rate

    def forward(self, audio: Tensor) -> Tags:
        """Audio (B, S) in [-1, 1] -> logits (B, C) and features (B, W)."""
        return self.hear(self.log_mel(audio)[:, None])

    def hear(self, log_mel: Tensor) -> Tags:
        """Spectrograms (B, 1, bands, frames) of `self.log_mel` -> logits (B, C) and features (B, W)."""
        controls = None if self.controls is None else self.controls.to(log_mel.device)
        return hear(self.network, log_mel, controls)


def controls_of(network: nn.Module, control: Mapping[str, float]) -> Tensor | None:
    """The controls (1, domains) of a ConGater, in the order of its domains; None for other networks.

    Raises:
        ValueError: a domain that the network does not have, or a control outside 0 to 1.
    """
    domains = network.domains if isinstance(network, ConGater) else ()
    for name, value in control.items():
        if name not in domains:
            known = f"it has {', '.join(domains)}" if domains else "it has none"
            raise ValueError(f"the tagger has no control {name!r}: {known}")
        if not 0 <= value <= 1:
            raise ValueError(f"control {name} is {value}; it must be from 0 to 1")
    if not domains:
        return None
    return torch.tensor([[float(control.get(name, 0.0)) for name in domains]], device="cpu")


def save_tagger(tagger: AudioTagger, folder: Path) -> None:
    """Write a tagger's folder: model_index.json, labels.txt and network/, in the precision that it has."""
    folder.mkdir(parents=True, exist_ok=True)
    save_network(tagger.network, folder / "network")
    (folder / "labels.txt").write_text("\n".join(tagger.labels) + "\n", encoding="utf-8")
    index = {
        "_class_name": KIND,
        "network": type(tagger.network).__name__,
        "front_end": dataclasses.asdict(tagger.front_end),
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def load_tagger(
    name: str | Path,
    labels: Path | None = None,
    control: Mapping[str, float] = {},  # noqa: B006 - never changed
) -> AudioTagger:
    """A tagger by its name, from its folder, or from a file of published weights with a list of labels beside it.

    What the network is, is told from the file's tensors and never from its name. A file has the usual front end of
    128 bands and 10 ms.

    Args:
        name: built-in tagger, folder of `save_tagger`, or file (`.pt`, `.pth`, `.safetensors`).
        labels: list of the labels; None takes the one beside the weights.
        control: how far a ConGater takes each of its domains out, by name, from 0 to 1, such as `{"device": 0.7}`.

    Returns:
        The tagger in evaluation mode, in float32, on the CPU.

    Raises:
        FileNotFoundError: nothing there, or no list of labels.
        ValueError: weights that cannot be read safely, of another network, or with other labels, or a control that the
            network does not have.
    """
    path = find_tagger(str(name))
    words = read_labels(labels or find_labels(path))
    if path.is_file():
        network: Any = load_published(path)
        return AudioTagger(network, words, control=control).eval()
    index = read_index(path)
    network = load_network(index.network, path / "network")
    try:
        return AudioTagger(network, words, index.front_end, control).eval()
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
    # Folders of earlier versions name these two alone.
    if isinstance(given, dict) and not {"bands", "hop_length"} <= given.keys() <= settings:
        raise ValueError(
            f"{path}: front_end must name bands and hop_length, of {', '.join(sorted(settings))} and no more"
        )
    return shaped(TaggerIndex, index, str(path))
