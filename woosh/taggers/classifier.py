"""An ear for ten everyday sounds: log-mel spectrum -> small convolutional networks -> class.

It judges what a generator makes. Its training therefore destroys the fine structure in which a
recording and a good synthesis of the same event differ, and an eleventh answer, "other", keeps it
from having to name whatever it hears.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from woosh.audio import SUFFIXES, read_audio
from woosh.audio.spectra import magnitudes, mel_filters

LABELS = (
    "dog bark",
    "rain",
    "sea waves",
    "baby cry",
    "clock tick",
    "person sneeze",
    "helicopter",
    "chainsaw",
    "rooster",
    "fire crackling",
)
OTHER = len(LABELS)
PROMPTS = (
    "a dog barking",
    "rain falling",
    "sea waves",
    "a baby crying",
    "a clock ticking",
    "a person sneezing",
    "a helicopter",
    "a chainsaw",
    "a rooster crowing",
    "a crackling fire",
)
# UCS categories of unlabelled clips that belong to a class, and those too near to one to be "other".
CATEGORY_LABELS = {"RAIN": "rain", "AMBSea": "sea waves", "FIRECrkl": "fire crackling"}
UNDECIDED_CATEGORIES = frozenset(
    {
        "RAINInt", "STORM", "BOATWash", "WATRSurf", "FIREBurn", "FIRESizz", "FIREGas", "ANMLWdog",
        "ANMLDog", "BIRDFowl", "CLOCKTick", "HMNSneez", "VOXBaby", "AEROHeli", "AEROProp", "TOOLPowr",
    }
)  # fmt: skip

FLOOR = -80.0  # dB below a clip's loudest point


class Verdict(NamedTuple):
    """What the classifier makes of a batch of clips."""

    logits: Tensor  # (B, classes) log-probabilities: the labels, then "other"
    embedding: Tensor  # (B, members * embedding_width)
    member_logits: Tensor  # (members, B, classes), not normalised, for training


def class_of(label: str | None, category: str, labels: Sequence[str] = LABELS) -> int | None:
    """Class index of a clip from its label or else its UCS category; None: leave it out.

    Categories speak of the ten everyday sounds: where the labels are others, a clip without a label is "other".

    Raises:
        ValueError: a label that is none of the classes.
    """
    everyday = tuple(labels) == LABELS
    label = label or (CATEGORY_LABELS.get(category) if everyday else None)
    if label in labels:
        return labels.index(label)
    if label is not None:
        raise ValueError(
            f"the label {label!r} is none of the classes {', '.join(labels)}: correct it, or name it among them"
        )
    return None if everyday and category in UNDECIDED_CATEGORIES else len(labels)


def mel_decibels(audio: Tensor, sample_rate: int, hop_length: int, bands: int) -> Tensor:
    """Log-mel spectrum relative to the clip's loudest point, so that gain does not matter.

    Args:
        audio: (B, 1, S) or (B, S).
        sample_rate: In Hz.
        hop_length: In samples.
        bands: Slaney mel bands from 30 Hz to a third of the sample rate.

    Returns:
        Decibels (B, bands, 1 + S // hop_length) in [-80, 0]; silence is -80 throughout.
    """
    audio = audio.reshape(len(audio), -1)
    filters = mel_filters(sample_rate, 2048, bands, low=30.0, high=sample_rate / 3)
    power = (filters.to(audio.device) @ magnitudes(audio, 2048, hop_length)).square()
    return normalise(10.0 * power.clamp(min=1e-12).log10())


def normalise(decibels: Tensor) -> Tensor:
    """Shifts each spectrogram (B, bands, T) so that its maximum is 0 dB, and cuts it at -80 dB.

    What lies under -100 dB altogether is silence, not a quiet sound, and gives -80 dB.
    """
    loudest = decibels.amax(dim=(-2, -1), keepdim=True)
    return torch.where(loudest <= -100.0, FLOOR, (decibels - loudest).clamp(min=FLOOR))


class Member(nn.Module):
    """One network of the ensemble: log-mel (B, bands, T) -> logits (B, classes), embedding."""

    def __init__(
        self, widths: tuple[int, ...], embedding_width: int, dropout: float, classes: int
    ) -> None:
        super().__init__()
        first, *others = widths
        layers: list[nn.Module] = [nn.Conv2d(1, first, 5, stride=2, padding=2, bias=False)]
        layers += [nn.BatchNorm2d(first), nn.ReLU(), nn.MaxPool2d(2)]
        for before, after in zip(widths, others, strict=False):
            for channels in (before, after):
                layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False)]
                layers += [nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
        self.trunk = nn.Sequential(*layers[:-1])
        self.embed = nn.Linear(3 * widths[-1], embedding_width)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(embedding_width, classes)

    def forward(self, decibels: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.trunk((decibels[:, None] - FLOOR / 2) / 20.0)  # (B, D, bands / 16, T / 16)
        low, high = (half.mean(dim=2) for half in hidden.chunk(2, dim=2))
        pooled = torch.cat([low.mean(-1), high.mean(-1), hidden.amax(dim=(2, 3))], dim=1)
        embedding = functional.relu(self.embed(self.dropout(pooled)))  # (B, E)
        return self.classify(embedding), embedding


class SoundClassifier(ModelMixin, ConfigMixin):
    """Ensemble of small convolutional networks over one log-mel spectrum.

    Args:
        sample_rate: Of the audio, in Hz.
        hop_length: Samples per frame.
        bands: Mel bands.
        widths: Channels after each stage; every stage halves both axes, the first one twice.
        embedding_width: Channels of each member's last hidden layer.
        members: Networks, trained on batches of their own; their probabilities are averaged.
        dropout: In training, before the last hidden layer.
        labels: Of the classes; one more, "other", comes after them.
    """

    @register_to_config
    def __init__(
        self,
        sample_rate: int = 48_000,
        hop_length: int = 960,
        bands: int = 64,
        widths: tuple[int, ...] = (24, 40, 80, 112),
        embedding_width: int = 96,
        members: int = 3,
        dropout: float = 0.3,
        labels: tuple[str, ...] = LABELS,
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            Member(tuple(widths), embedding_width, dropout, len(labels) + 1) for _ in range(members)
        )
        self.sample_rate, self.hop_length, self.bands = sample_rate, hop_length, bands
        self.labels = tuple(labels)

    def mel_decibels(self, audio: Tensor) -> Tensor:
        """Audio (B, 1, S) -> decibels (B, bands, T)."""
        return mel_decibels(audio, self.sample_rate, self.hop_length, self.bands)

    def forward(self, decibels: Tensor) -> Verdict:
        """Log-mel spectra (B, bands, T) -> averaged log-probabilities and joined embeddings."""
        logits, embeddings = zip(*(member(decibels) for member in self.networks), strict=True)
        member_logits = torch.stack(logits).float()  # (members, B, classes)
        mean = member_logits.log_softmax(dim=-1).logsumexp(dim=0) - math.log(len(logits))
        return Verdict(mean, torch.cat(embeddings, dim=-1), member_logits)


@dataclass(frozen=True)
class Recording:
    """One recording of a data set as the classifier sees it."""

    file: str
    index: int  # of its class; the number of labels for "other"
    split: str
    group: str  # clips of one group are cut from the same recording
    decibels: Tensor  # (bands, T), from `mel_decibels`


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of a data set: of its manifest, or a folder with a sub-folder of sounds for each label.

    Args:
        folder: Holds `manifest.jsonl`, or sub-folders whose names are the labels of the sounds in them.

    Returns:
        `file` is relative to the folder; `split`, `group`, `label` and `catid` where they are known.

    Raises:
        FileNotFoundError: If the folder has neither.
        ValueError: If a row is not a JSON object with a file.
    """
    manifest = folder / "manifest.jsonl"
    if not manifest.is_file():
        found = sorted(path for path in folder.glob("*/**/*") if path.suffix.lower() in SUFFIXES)
        if not found:
            raise FileNotFoundError(
                f"no manifest.jsonl in {folder}, and no sub-folder with sounds: name a data set's folder, or one "
                "with a sub-folder for each label"
            )
        names = [path.relative_to(folder) for path in found]
        return [{"file": name.as_posix(), "label": name.parts[0]} for name in names]
    rows = []
    for number, line in enumerate(manifest.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{manifest}, line {number}: not JSON ({error.msg})") from error
        if not isinstance(row, dict) or not isinstance(row.get("file"), str):
            raise ValueError(f"{manifest}, line {number}: a row must be an object with `file`")
        rows.append(row)
    return rows


def read_labels(folder: Path) -> tuple[str, ...]:
    """All labels of a data set in alphabetical order, see `read_rows`.

    Raises:
        ValueError: If there are fewer than two.
    """
    labels = tuple(sorted({row["label"] for row in read_rows(folder) if row.get("label")}))
    if len(labels) < 2:
        raise ValueError(
            f"{folder} has the labels {list(labels)}, and a classifier needs two or more: give rows of its "
            "manifest a `label`, or sort the sounds into sub-folders"
        )
    return labels


def read_recordings(
    folder: Path, model: SoundClassifier, seconds: float, splits: Sequence[str]
) -> list[Recording]:
    """Reads a data set, leaving out clips too near to a class to be "other".

    Args:
        folder: See `read_rows`. Rows without a split belong to "train".
        model: Its spectrum and its labels are taken.
        seconds: Longest part of a clip, from its beginning.
        splits: Names of the splits wanted.

    Raises:
        FileNotFoundError: If the folder holds no data set, or a file is missing.
        ValueError: If a row or a file is faulty, or a label unknown.
    """
    recordings = []
    for row in read_rows(folder):
        index = class_of(row.get("label"), row.get("catid", ""), model.labels)
        split = row.get("split", "train")
        if index is None or split not in splits:
            continue
        audio = torch.from_numpy(read_audio(folder / row["file"], model.sample_rate))
        audio = audio[None, :, : round(seconds * model.sample_rate)]
        decibels = model.mel_decibels(audio)[0]
        group = row.get("group", row["file"])
        recordings.append(Recording(row["file"], index, split, group, decibels))
    return recordings


def padded(decibels: Tensor, frames: int) -> Tensor:
    """The first frames of (bands, T), silence after its end."""
    missing = max(0, frames - decibels.shape[1])
    return functional.pad(decibels[:, :frames], (0, missing), value=FLOOR)


def statistics(decibels: Tensor) -> Tensor:
    """A description of one clip that no training has touched: what its spectrum is like.

    Per band the mean, the standard deviation and the mean absolute step from frame to frame, over
    the frames within 50 dB of the loudest point, so that silence around an event says nothing.

    Args:
        decibels: (bands, T), from `mel_decibels`.

    Returns:
        (3 * bands,) in dB.
    """
    heard = decibels[:, decibels.amax(dim=0) > -50.0]
    if heard.shape[1] == 0:
        heard = decibels
    step = heard.diff(dim=1).abs().sum(dim=1) / max(1, heard.shape[1] - 1)
    return torch.cat([heard.mean(dim=1), heard.std(dim=1, correction=0), step])
