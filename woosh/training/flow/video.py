"""What the video flow learns from: clips with the features of what is seen meanwhile, among sounds without a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from woosh.data.shards import read_items, shard_urls
from woosh.data.streaming import Item, ShardStream, StreamedBatches
from woosh.generation.guidance import ALIGNMENT, Window, video_of, video_tokens
from woosh.generation.transformer import WooshTransformer
from woosh.training.flow.crops import Crops, LatentBatch, LatentBatches
from woosh.training.flow.latents import LatentClip, load_latents, read_clip
from woosh.training.flow.steps import FlowData, Prompts, crops_of
from woosh.training.randomness import batch_generator


def seen_crop(
    clip: LatentClip, crops: Crops, frames: int, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Latents (C, `frames`) of a clip and the features (K, V) of the same moments.

    It begins at a multiple of `ALIGNMENT`, where latents and features meet; after its end there is silence, and nothing
    is seen.

    Raises:
        ValueError: a clip without video.
    """
    if clip.video is None:
        raise ValueError(f"{clip.name} has no video")
    spare = max(0, clip.latents.shape[1] - frames)
    start = ALIGNMENT * int(generator.integers(spare // ALIGNMENT + 1))
    latents = clip.latents[:, start : start + frames]
    silence = crops.common.silence
    rest = silence[:, torch.arange(frames - latents.shape[1]) % silence.shape[1]]
    window = Window(start, start + frames)
    return torch.cat([latents, rest], dim=1), video_of(clip.video[None], window, crops.latent_rate)[
        0
    ]


def video_channels(folder: Path) -> int:
    """Features of a frame in a folder of training/encode_video.py.

    Raises:
        FileNotFoundError: no shard.
        ValueError: no clip has video.
    """
    for url in shard_urls(str(folder)):
        for item in read_items(url):
            video = read_clip(item, url).video
            if video is not None:
                return video.shape[1]
    raise ValueError(f"no clip in {folder} has video: encode some with training/encode_video.py")


def seen_batch(
    clips: Sequence[LatentClip],
    crops: Crops,
    channels: int,
    frames: int,
    generator: np.random.Generator,
) -> LatentBatch:
    """A batch of clips with video, and of sounds without, whose features are zeros."""
    fitted, seen = [], []
    for clip in clips:
        if clip.video is None:
            fitted.append(clip)
            seen.append(torch.zeros(video_tokens(frames, crops.latent_rate), channels))
        else:
            latents, video = seen_crop(clip, crops, frames, generator)
            fitted.append(replace(clip, latents=latents))
            seen.append(video)
    batch = crops.collate(fitted, frames, generator)
    return replace(batch, video=torch.stack(seen).float())


@dataclass(frozen=True)
class SeenBatches:
    """Batch i follows from (seed, i) alone: of clips with video, or of sounds.

    Attributes:
        clips: with video.
        channels: of their features.
        crops: how they become a batch.
        sounds: without video, or None.
        sound_share: of the batches.
    """

    clips: Sequence[LatentClip]
    channels: int
    crops: Crops
    sounds: LatentBatches | None
    sound_share: float

    def batch(self, number: int) -> LatentBatch:
        """Batch `number`, with features."""
        if self.sounds is not None:
            generator = np.random.default_rng((self.crops.seed, number, 1))
            if generator.random() < self.sound_share:
                batch = self.sounds.batch(number)
                count, _, frames = batch.latents.shape
                tokens = video_tokens(frames, self.crops.latent_rate)
                return replace(batch, video=torch.zeros(count, tokens, self.channels))
        generator, frames = self.crops.start(number)
        drawn = [
            self.clips[int(generator.integers(len(self.clips)))]
            for _ in range(self.crops.size(number))
        ]
        return seen_batch(drawn, self.crops, self.channels, frames, generator)


def streamed_seen(crops: Crops, folders: Sequence[Path], channels: int) -> StreamedBatches:
    """Batches of all folders' clips in a shuffled order, read as they are needed: every clip once in a pass."""

    def make(samples: Sequence[tuple[str, Item]], number: int) -> LatentBatch:
        generator, frames = crops.start(number)
        clips = [read_clip(item, url) for url, item in samples]
        return seen_batch(clips, crops, channels, frames, generator)

    urls = [url for folder in folders for url in shard_urls(str(folder))]
    return StreamedBatches(ShardStream(urls, "train", crops.seed), crops.size, make)


@dataclass(frozen=True)
class VideoData:
    """What a flow that sees learns from beside the sounds of `FlowData`."""

    videos: str | None  # folder of training/encode_video.py; null for a flow that does not see
    sound_share: (
        float | None
    )  # of the batches that have no picture; null if streamed: the folders' sizes decide
    frame_dropout: float  # share of the video's frames that are hidden
    video_dropout: float  # share of the clips of which all frames are


def seen_batches(
    data: FlowData, video: VideoData, seed: int
) -> SeenBatches | StreamedBatches[LatentBatch]:
    """Clips with pictures and sounds without, from memory or as they are needed.

    Raises:
        ValueError: no folder of clips with pictures, or a share that does not go with `streamed`.
    """
    if video.videos is None:
        raise ValueError("videos is null: name a folder of training/encode_video.py")
    folder, sounds_folder = Path(video.videos), Path(data.latents)
    channels = video_channels(folder)
    crops = crops_of(data, folder, seed)
    if data.streamed:
        if video.sound_share is not None:
            raise ValueError(
                f"sound_share is {video.sound_share} and streamed is true: make it null, since every clip of both "
                "folders comes once in a pass"
            )
        return streamed_seen(crops, (folder, sounds_folder), channels)
    if video.sound_share is None:
        raise ValueError("sound_share is null: say which share of the batches has no picture")
    sounds = None
    if video.sound_share > 0:
        clips = load_latents(sounds_folder).clips
        shares = (data.favoured, data.favoured_share, data.short_share, data.balance)
        sounds = LatentBatches(clips, crops, *shares)
    return SeenBatches(load_latents(folder).clips, channels, crops, sounds, video.sound_share)


def without_some(features: Tensor, data: VideoData, seed: int, number: int) -> Tensor:
    """Features (B, K, C) of which some frames, and all of some clips, are hidden by zeros, as batch `number` draws."""
    generator = batch_generator(seed, number, "hidden pictures")
    frames = torch.rand(features.shape[:2], generator=generator) >= data.frame_dropout
    clips = torch.rand(len(features), 1, generator=generator) >= data.video_dropout
    return features * (frames & clips)[..., None].to(features)


def hide_pictures(prompts: Prompts, data: VideoData, seed: int, number: int) -> Prompts:
    """Prompts of batch `number` with some of their pictures hidden, see `without_some`; those without stay as they are."""
    if prompts.video is None:
        return prompts
    return replace(prompts, video=without_some(prompts.video, data, seed, number))


def with_video(transformer: WooshTransformer, channels: int) -> WooshTransformer:
    """A new transformer that sees, with all weights of one that does not; the new ones are as it initialises them.

    Raises:
        ValueError: it sees already.
    """
    if transformer.config.video_channels is not None:
        raise ValueError("this transformer has a video stream already")
    sizes = {name: value for name, value in transformer.config.items() if name[0] != "_"}
    seeing = WooshTransformer(**{**sizes, "video_channels": channels})
    missing, unknown = seeing.load_state_dict(transformer.state_dict(), strict=False)
    new = [name for name in missing if not (name.startswith("video_in.") or ".video." in name)]
    if new or unknown:
        raise ValueError(f"the transformer lacks {new} and has {unknown}, unknown to one that sees")
    return seeing
