"""Batches of encoded sounds for training a flow: how clips are trimmed, cut, put together and drawn."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from woosh.data.shards import shard_urls
from woosh.data.streaming import Item, ShardStream, StreamedBatches
from woosh.training.flow.latents import Common, LatentClip, read_clip

HEARD_SHARE = 0.35  # of a clip's greatest distance from silence
SECONDS_BEFORE, SECONDS_AFTER = 0.08, 0.2  # that stay of the silence around a sound
UNTOLD_LENGTHS = 0.3  # share of the sounds whose length is not told


@dataclass(frozen=True)
class LatentBatch:
    """Latents (B, C, T) and one caption per clip; an empty caption trains the unconditional branch.

    `states` (B, L, W) and `mask` (B, L) are the captions' hidden states, or None. `sound_seconds` (B,) are the sounds'
    lengths without the silence around them, 0 where it is not told. `video` (B, K, C) are features, or None if no clip
    has any.
    """

    latents: Tensor
    captions: tuple[str, ...]
    states: Tensor | None
    mask: Tensor | None
    sound_seconds: Tensor
    video: Tensor | None = None


def fit_length(
    clip: LatentClip,
    silence: Tensor,
    frames: int,
    latent_rate: float,
    generator: np.random.Generator,
) -> Tensor:
    """Latents (C, frames) of a clip of any length: cut, repeated or followed by silence.

    A longer sound is cut at random, but around a moment at which it is heard: recordings of short events end in long
    silence, which is no example of what their captions say. A shorter one is repeated from a random place on if it is
    continuous; otherwise silence follows, and a little may come before. A continuous sound hardly
    longer than asked, which the cut would leave as it is every time, is half of the times repeated too.
    """
    latents, count = clip.latents, clip.latents.shape[1]
    hardly_longer = clip.continuous and count < 1.2 * frames
    if count >= frames and not (hardly_longer and generator.random() < 0.5):
        moments = torch.nonzero(sounding(latents, silence))[:, 0]
        moment = int(moments[int(generator.integers(len(moments)))])
        start = moment - int(generator.integers(frames))
        start = min(max(start, 0), count - frames)
        return latents[:, start : start + frames]
    if clip.continuous:
        start = int(generator.integers(0, count))
        places = (start + torch.arange(frames)) % count
        return latents[:, places]
    rest = frames - count
    before = int(generator.integers(0, min(rest, round(latent_rate / 5)) + 1))
    quiet = silence[:, torch.arange(rest) % silence.shape[1]]
    return torch.cat([quiet[:, :before], latents, quiet[:, before:]], dim=1)


def sounding(latents: Tensor, silence: Tensor) -> Tensor:
    """Whether each frame of latents (C, T) is heard (T,): where they differ from silence, (C, N), not much less than most.

    Latents follow the logarithm of the level, so that a third of the greatest difference is a level of about -60 dB in a
    sound whose peak is near full scale. The loudest frame always counts.
    """
    distance = (latents.float() - silence.float().mean(dim=1, keepdim=True)).norm(dim=0)
    return distance >= HEARD_SHARE * distance.max()


def trimmed(clip: LatentClip, silence: Tensor, latent_rate: float) -> LatentClip:
    """A clip without the silence around its sound, but for a little; one with a video stays as long as that.

    Most recordings of short events end in seconds of silence, and some begin with them.
    """
    if clip.video is not None:
        return clip
    moments = torch.nonzero(sounding(clip.latents, silence))[:, 0]
    first = int(moments[0]) - round(SECONDS_BEFORE * latent_rate)
    last = int(moments[-1]) + round(SECONDS_AFTER * latent_rate)
    return dataclasses.replace(clip, latents=clip.latents[:, max(0, first) : last + 1])


@dataclass(frozen=True)
class Crops:
    """How clips become a batch: one length for all, which follows from (seed, number), and a caption each.

    Attributes:
        common: what belongs to all clips.
        lengths: frames of a batch, one of which is drawn.
        chances: relative chance of each length.
        frames_per_batch: upper limit of clips times length.
        caption_dropout: chance of an empty caption.
        latent_rate: latent frames per second.
        seed: of all draws.

    Raises:
        ValueError: not as many chances as lengths.
    """

    common: Common
    lengths: tuple[int, ...]
    chances: tuple[float, ...]
    frames_per_batch: int
    caption_dropout: float
    latent_rate: float
    seed: int

    def __post_init__(self) -> None:
        if len(self.lengths) != len(self.chances):
            raise ValueError(
                f"lengths has {len(self.lengths)} values and length_chances {len(self.chances)}: give every length "
                "a chance"
            )

    def start(self, number: int) -> tuple[np.random.Generator, int]:
        """The random numbers of a batch, and its frames, which are drawn first."""
        generator = np.random.default_rng((self.seed, number))
        chances = np.asarray(self.chances, dtype=np.float64)
        return generator, self.lengths[
            int(generator.choice(len(self.lengths), p=chances / chances.sum()))
        ]

    def size(self, number: int) -> int:
        """How many clips batch `number` has."""
        return max(1, self.frames_per_batch // self.start(number)[1])

    def collate(
        self, clips: Sequence[LatentClip], frames: int, generator: np.random.Generator
    ) -> LatentBatch:
        """A batch of these clips, each fitted to the length."""
        silence = self.common.silence
        latents = [fit_length(clip, silence, frames, self.latent_rate, generator) for clip in clips]
        seconds = [
            self._told_seconds(clip.continuous, fitted, generator)
            for clip, fitted in zip(clips, latents, strict=True)
        ]
        captions, states = [], []
        for clip in clips:
            if generator.random() < self.caption_dropout:
                captions.append("")
                states.append(self.common.empty_states)
            else:
                drawn = int(generator.integers(len(clip.captions)))
                captions.append(clip.captions[drawn])
                states.append(clip.states[drawn] if clip.states else None)
        padded, mask = self._padded(states)
        told = torch.tensor(seconds, dtype=torch.float32)
        return LatentBatch(torch.stack(latents).float(), tuple(captions), padded, mask, told)

    def _told_seconds(
        self, continuous: bool, latents: Tensor, generator: np.random.Generator
    ) -> float:
        """How long a fitted sound (C, T) is said to be: up to the last frame that is heard, all of it if it goes on.

        0 is not told.
        """
        if generator.random() < UNTOLD_LENGTHS:
            return 0.0
        if continuous:
            return latents.shape[1] / self.latent_rate
        last = int(torch.nonzero(sounding(latents, self.common.silence))[-1, 0])
        return (last + 1) / self.latent_rate

    def _padded(self, states: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None]:
        tokens = self.common.text_tokens
        kept = [state for state in states if state is not None]
        if tokens is None or len(kept) < len(states):
            return None, None
        padded = kept[0].new_zeros(len(kept), tokens, kept[0].shape[1])
        mask = torch.zeros(len(kept), tokens)
        for row, state in enumerate(kept):
            padded[row, : len(state)] = state
            mask[row, : len(state)] = 1
        return padded.float(), mask


class LatentBatches:
    """Batch number i follows from (seed, i) alone: one length per batch, the same latents in all.

    Clips fill a length of which they have at least half, so that short sounds are learned at short
    lengths and silence stays rare; a small share of any shorter sounds teaches that an event ends.

    Args:
        clips: in memory.
        crops: how they become a batch.
        favoured: labels whose clips make up `favoured_share` of the draws, each label equally.
        favoured_share: 0 to 1.
        short_share: chance that any shorter clip is drawn and followed by silence.
        balance: a clip's chance falls with the number of its kind's clips to this power: 0 draws all clips alike, 1 all
            kinds.
    """

    def __init__(
        self,
        clips: Sequence[LatentClip],
        crops: Crops,
        favoured: Sequence[str],
        favoured_share: float,
        short_share: float,
        balance: float = 0.0,
    ) -> None:
        clips = [trimmed(clip, crops.common.silence, crops.latent_rate) for clip in clips]
        self.clips, self.crops, self.favoured = clips, crops, tuple(favoured)
        self.favoured_share, self.short_share = favoured_share, short_share
        missing = [label for label in favoured if not any(clip.label == label for clip in clips)]
        if missing:
            labels = sorted({clip.label for clip in clips if clip.label})
            raise ValueError(
                f"no clip has the favoured labels {missing}: leave them out of favoured; the clips' labels are {labels}"
            )
        sizes = np.array([clip.latents.shape[1] for clip in clips])
        self.short = np.arange(len(clips))
        self.fitting = {length: np.flatnonzero(sizes >= length / 2) for length in crops.lengths}
        empty = [length for length, numbers in self.fitting.items() if not len(numbers)]
        if empty:
            raise ValueError(
                f"no clip fills half of {empty} latent frames; leave these out of lengths, and their chances out "
                "of length_chances"
            )
        self.rarity = rarity(clips, balance)
        labels = np.array([clip.label for clip in clips])
        self.of_label = {}
        for length, numbers in self.fitting.items():
            for label in self.favoured:
                fitting = numbers[labels[numbers] == label]
                every = np.flatnonzero(labels == label)
                self.of_label[length, label] = fitting if len(fitting) else every

    def batch(self, number: int) -> LatentBatch:
        """Draw batch `number`: float32 latents (B, C, T) and B captions."""
        return self.crops.collate(*self.drawn(number))

    def drawn(self, number: int) -> tuple[list[LatentClip], int, np.random.Generator]:
        """The clips of batch `number`, its frames, and the random numbers that `Crops.collate` goes on with."""
        generator, frames = self.crops.start(number)
        size = max(1, self.crops.frames_per_batch // frames)
        return [self._draw(frames, generator) for _ in range(size)], frames, generator

    def _draw(self, frames: int, generator: np.random.Generator) -> LatentClip:
        numbers = self.fitting[frames]
        if self.favoured and generator.random() < self.favoured_share:
            label = self.favoured[int(generator.integers(len(self.favoured)))]
            numbers = self.of_label[frames, label]
        elif generator.random() < self.short_share:
            numbers = self.short
        chances = self.rarity[numbers]
        return self.clips[int(generator.choice(numbers, p=chances / chances.sum()))]


def rarity(clips: Sequence[LatentClip], balance: float) -> np.ndarray:
    """Each clip's relative chance (N,), its kind's number of clips to the power of -`balance`."""
    counts = Counter(clip.kind for clip in clips)
    return np.array([counts[clip.kind] ** -balance for clip in clips])


def streamed_latents(crops: Crops, folders: Sequence[Path]) -> StreamedBatches[LatentBatch]:
    """Batches of the folders' clips in a shuffled order, read as they are needed: every clip once in a pass.

    Any clip fills any length, by repetition or silence where it is short.

    Args:
        crops: how clips become a batch.
        folders: of the latents.
    """

    def make(samples: Sequence[tuple[str, Item]], number: int) -> LatentBatch:
        generator, frames = crops.start(number)
        clips = [
            trimmed(read_clip(item, url), crops.common.silence, crops.latent_rate)
            for url, item in samples
        ]
        return crops.collate(clips, frames, generator)

    urls = [url for folder in folders for url in shard_urls(str(folder))]
    stream = ShardStream(urls, "train", crops.seed)
    return StreamedBatches(stream, crops.size, make)
