"""The cache of latents that flow training reads: one safetensors file and one index beside it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class LatentClip:
    """One encoded sound: normalised latents (C, T), captions, label and the recording's name.

    A continuous sound goes on by repetition where it is too short; anything else is an event, after
    which there is silence.
    """

    latents: Tensor
    captions: tuple[str, ...]
    name: str
    label: str
    group: str
    continuous: bool


class LatentCache(NamedTuple):
    """All encoded sounds, and what belongs to the autoencoder that encoded them."""

    clips: Sequence[LatentClip]
    silence: Tensor  # (C, T)
    channel_weight: Tensor  # (C,) with mean 1, how much the ear notices of each channel


@dataclass(frozen=True)
class LatentBatch:
    """Latents (B, C, T) and one caption per clip; an empty caption trains the unconditional branch."""

    latents: Tensor
    captions: tuple[str, ...]


def save_latents(folder: Path, cache: LatentCache) -> None:
    """Write latents in half precision, and their index."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {str(i): clip.latents.half().contiguous() for i, clip in enumerate(cache.clips)}
    common = {
        "silence": cache.silence.half().contiguous(),
        "channel_weight": cache.channel_weight,
    }
    save_file({**tensors, **common}, folder / "latents.safetensors")
    rows = [
        {
            field.name: getattr(clip, field.name)
            for field in dataclasses.fields(clip)
            if field.name != "latents"
        }
        for clip in cache.clips
    ]
    (folder / "index.json").write_text(json.dumps(rows, indent=0))


def load_latents(folder: Path) -> LatentCache:
    """Read what `save_latents` wrote.

    Raises:
        FileNotFoundError: the folder holds no cache; `training/encode_latents.py` makes one.
        ValueError: index and tensors do not belong together.
    """
    from safetensors.torch import load_file

    if not (folder / "index.json").is_file():
        raise FileNotFoundError(
            f"no latents in {folder}; make them with training/encode_latents.py"
        )
    rows = json.loads((folder / "index.json").read_text())
    tensors = load_file(folder / "latents.safetensors")
    common = [tensors.pop(name, None) for name in ("silence", "channel_weight")]
    silence, channel_weight = common
    if (
        silence is None
        or channel_weight is None
        or set(tensors) != {str(number) for number in range(len(rows))}
    ):
        raise ValueError(f"{folder}: {len(rows)} rows but {len(tensors)} tensors; encode again")
    clips = [
        LatentClip(
            latents=tensors[str(number)],
            captions=tuple(row["captions"]),
            name=row["name"],
            label=row["label"],
            group=row["group"],
            continuous=row["continuous"],
        )
        for number, row in enumerate(rows)
    ]
    return LatentCache(clips, silence, channel_weight)


def fit_length(
    clip: LatentClip,
    silence: Tensor,
    frames: int,
    latent_rate: float,
    generator: np.random.Generator,
) -> Tensor:
    """Latents (C, frames) of a clip of any length: cut, repeated or followed by silence.

    A longer sound is cut at random. A shorter one is repeated from a random place on if it is
    continuous; otherwise silence follows, and a little may come before. A continuous sound hardly
    longer than asked, which the cut would leave as it is every time, is half of the times repeated too.
    """
    latents, count = clip.latents, clip.latents.shape[1]
    hardly_longer = clip.continuous and count < 1.2 * frames
    if count >= frames and not (hardly_longer and generator.random() < 0.5):
        start = int(generator.integers(0, count - frames + 1))
        return latents[:, start : start + frames]
    if clip.continuous:
        start = int(generator.integers(0, count))
        places = (start + torch.arange(frames)) % count
        return latents[:, places]
    rest = frames - count
    before = int(generator.integers(0, min(rest, round(latent_rate / 5)) + 1))
    quiet = silence[:, torch.arange(rest) % silence.shape[1]]
    return torch.cat([quiet[:, :before], latents, quiet[:, before:]], dim=1)


class LatentBatches:
    """Batch number i follows from (seed, i) alone: one length per batch, the same latents in all.

    Clips fill a length of which they have at least half, so that short sounds are learned at short
    lengths and silence stays rare; a small share of any shorter sounds teaches that an event ends.

    Args:
        clips: from `load_latents`.
        silence: latents (C, T) of silence.
        lengths: frames of a batch, one of which is drawn.
        chances: relative chance of each length.
        frames_per_batch: upper limit of clips times length.
        favoured: labels whose clips make up `favoured_share` of the draws, each label equally.
        favoured_share: 0 to 1.
        short_share: chance that any shorter clip is drawn and followed by silence.
        caption_dropout: chance of an empty caption.
        latent_rate: latent frames per second.
        seed: of all draws.
    """

    def __init__(  # noqa: PLR0913
        self,
        clips: Sequence[LatentClip],
        silence: Tensor,
        lengths: Sequence[int],
        chances: Sequence[float],
        frames_per_batch: int,
        favoured: Sequence[str],
        favoured_share: float,
        short_share: float,
        caption_dropout: float,
        latent_rate: float,
        seed: int,
    ) -> None:
        self.clips, self.silence, self.lengths = clips, silence, tuple(lengths)
        self.chances = np.asarray(chances, dtype=np.float64) / np.sum(chances)
        self.frames_per_batch, self.favoured = frames_per_batch, tuple(favoured)
        self.favoured_share, self.short_share = favoured_share, short_share
        self.caption_dropout, self.latent_rate, self.seed = caption_dropout, latent_rate, seed
        missing = [label for label in favoured if not any(clip.label == label for clip in clips)]
        if missing:
            raise ValueError(f"no clip has the favoured labels {missing}")
        sizes = np.array([clip.latents.shape[1] for clip in clips])
        self.short = np.arange(len(clips))
        self.fitting = {length: np.flatnonzero(sizes >= length / 2) for length in self.lengths}
        empty = [length for length, numbers in self.fitting.items() if not len(numbers)]
        if empty:
            raise ValueError(
                f"no clip fills half of {empty} latent frames; leave these lengths out"
            )
        labels = np.array([clip.label for clip in clips])
        self.of_label = {
            (length, label): numbers[labels[numbers] == label]
            for length, numbers in self.fitting.items()
            for label in self.favoured
        }

    def batch(self, number: int) -> LatentBatch:
        """Draw batch `number`: float32 latents (B, C, T) and B captions."""
        generator = np.random.default_rng((self.seed, number))
        frames = self.lengths[int(generator.choice(len(self.lengths), p=self.chances))]
        size = max(1, self.frames_per_batch // frames)
        drawn = [self._draw(frames, generator) for _ in range(size)]
        latents = [
            fit_length(clip, self.silence, frames, self.latent_rate, generator) for clip in drawn
        ]
        captions = tuple(
            ""
            if generator.random() < self.caption_dropout
            else clip.captions[int(generator.integers(len(clip.captions)))]
            for clip in drawn
        )
        return LatentBatch(torch.stack(latents).float(), captions)

    def _draw(self, frames: int, generator: np.random.Generator) -> LatentClip:
        numbers = self.fitting[frames]
        if self.favoured and generator.random() < self.favoured_share:
            label = self.favoured[int(generator.integers(len(self.favoured)))]
            numbers = self.of_label[frames, label] if len(self.of_label[frames, label]) else numbers
        elif generator.random() < self.short_share:
            numbers = self.short
        return self.clips[int(numbers[int(generator.integers(len(numbers)))])]
