"""Encode sounds once, so that flow training runs neither the autoencoder nor a large text encoder.

    accelerate launch training/encode_latents.py configs/latents_tiny.yaml [name=value ...]

Every recording is also encoded at other speeds and otherwise varied. How much the ear notices of each latent channel
is measured and stored beside them, for the flow's loss. Processes share the shards; a run that was ended goes on where
it was. Output folder: latents-NNNNNN.tar, common.safetensors, common.json, config.yaml, log.jsonl.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor

from woosh.autoencoder import Autoencoder, load_autoencoder
from woosh.data.augmentation import load_responses
from woosh.data.clips import Clip, procedural_clips
from woosh.data.shards import read_items, shard_urls
from woosh.data.sources import is_sharded, load_shard, load_source
from woosh.procedural import FAMILIES
from woosh.training import Log
from woosh.training.command import run_recipe
from woosh.training.conditioning import TextConditioner, load_optional_text
from woosh.training.config import check_choice
from woosh.training.flow.encoding import (
    Company,
    Piece,
    Variations,
    channel_weight,
    encode_clip,
    pieces_of,
    versions,
)
from woosh.training.flow.latents import (
    DTYPES,
    Common,
    LatentClip,
    read_clip,
    write_common,
    write_own_shards,
)
from woosh.training.outputs import check_output


@dataclass(frozen=True)
class Config:
    """Settings of one encoding; see `configs/latents_tiny.yaml`."""

    output: str
    data: str  # manifest (JSONL beside its audio), shards, or hf:NAME
    split: str
    autoencoder: str  # folder
    text_encoder: str | None  # folder, to store the captions' hidden states too
    tokenizer: str | None  # folder
    procedural_clips: int  # of any family
    variations: Variations
    responses: str | None  # folder of impulse responses
    longest_seconds: float  # of a clip that is encoded in one piece
    weighed_clips: int  # from which the channels' weights are measured
    clips_per_shard: int  # unless the data are shards, which keep their clips
    storage: str  # "float16" or "float32"
    seed: int
    twins: tuple[str, ...] = ()  # "label=family": procedural sounds that get a recorded label
    twin_clips: int = 0  # procedural sounds for each of these labels


class Part(NamedTuple):
    """What becomes one shard: clips, and the pieces of recordings that they may be mixed with."""

    clips: Sequence[Clip]
    recorded: Sequence[Clip]


def parts_of(config: Config, sample_rate: int) -> list[Callable[[], Part]]:
    """All parts, each read or made by rule when it is called.

    Shards are read one at a time, so that they may be more than memory holds, and sounds are mixed within one. A
    manifest or a data set is read at once.

    Raises:
        ValueError: a twin that is not of the form label=family, or whose family is unknown.
    """
    size = config.clips_per_shard

    def cut(clips: Sequence[Clip]) -> list[Clip]:
        return [piece for clip in clips for piece, _ in _pieces(config, clip, sample_rate)]

    def of_shard(url: str) -> Part:
        clips = load_shard(url, config.split, sample_rate)
        return Part(clips, cut(clips))

    rendered = [
        partial(_rendered, min(size, kind.count - first), kind.seed + first, kind, sample_rate)
        for kind in kinds_by_rule(config)
        for first in range(0, kind.count, size)
    ]
    if is_sharded(config.data):
        return [*(partial(of_shard, url) for url in shard_urls(config.data)), *rendered]
    clips = load_source(config.data, config.split, sample_rate)
    pieces = cut(clips)
    parts = [partial(Part, clips[n : n + size], pieces) for n in range(0, len(clips), size)]
    return [*parts, *rendered]


@dataclass(frozen=True)
class KindByRule:
    """Sounds of one family, or of any, under one label, or under each one's own."""

    count: int
    seed: int
    family: str | None = None
    label: str | None = None


def kinds_by_rule(config: Config) -> list[KindByRule]:
    """What is rendered.

    Raises:
        ValueError: a twin that is not of the form label=family, or whose family is unknown.
    """
    kinds = [KindByRule(config.procedural_clips, config.seed)]
    for number, twin in enumerate(config.twins, start=1):
        label, separator, family = twin.partition("=")
        if not separator:
            raise ValueError(f"{twin!r} in twins is not of the form label=family")
        if family not in FAMILIES:
            raise ValueError(
                f"{twin!r} in twins names an unknown family; choose one of: {', '.join(FAMILIES)}"
            )
        seed = config.seed + config.procedural_clips + number * config.twin_clips
        kinds.append(KindByRule(config.twin_clips, seed, family, label))
    return kinds


def _rendered(count: int, seed: int, kind: KindByRule, sample_rate: int) -> Part:
    return Part(procedural_clips(count, seed, kind.family, kind.label, sample_rate), ())


def _pieces(config: Config, clip: Clip, sample_rate: int) -> Iterator[Piece]:
    return pieces_of(clip, config.longest_seconds, sample_rate)


def hidden_states(text: TextConditioner, captions: Sequence[str]) -> tuple[Tensor, ...]:
    """Hidden states (L, W) of each caption's own tokens, on the CPU."""
    states, mask = text(captions)
    return tuple(state[: int(own.sum())].cpu() for state, own in zip(states, mask, strict=True))


def encoded(
    autoencoder: Autoencoder, clip: Clip, continuous: bool, states: tuple[Tensor, ...]
) -> LatentClip:
    """A clip's latents and what is known of it."""
    return LatentClip(
        encode_clip(autoencoder, clip.audio),
        clip.captions,
        clip.name,
        clip.label,
        clip.group,
        continuous,
        states,
        category=clip.category,
    )


def weighed(paths: Sequence[Path], count: int) -> list[Tensor]:
    """Latents of `count` evenly chosen clips of all shards that are long enough to tell."""
    number = sum(1 for path in paths for _ in read_items(str(path)))
    step, found = max(1, number // count), []
    clips = (read_clip(item, str(path)) for path in paths for item in read_items(str(path)))
    for place, clip in enumerate(clips):
        if place % step == 0 and clip.latents.shape[1] >= 10:
            found.append(clip.latents.float())
    return found


@torch.no_grad()
def common_of(
    autoencoder: Autoencoder,
    latents: Sequence[Tensor],
    text: TextConditioner | None,
    seed: int,
) -> Common:
    """Silence, the channels' weights by these clips' latents (C, T), and the empty caption."""
    silence = torch.zeros(1, autoencoder.audio_channels, autoencoder.config.sample_rate)
    silence = autoencoder.encode_generated(silence.to(autoencoder.device))[0].cpu()
    weight = channel_weight(autoencoder, latents, torch.Generator().manual_seed(seed))
    deviation = torch.cat(list(latents), dim=1).std(dim=1)
    if text is None:
        return Common(silence, weight, None, None, deviation)
    (empty,) = hidden_states(text, [""])
    return Common(silence, weight, empty, text.encoder.config.max_tokens, deviation)


def main(config: Config) -> None:
    """Encode this process's shards, then what belongs to all."""
    check_choice("storage", config.storage, tuple(DTYPES))
    accelerator = Accelerator()
    output = Path(config.output)
    check_output(output, config)

    # 1. Models
    autoencoder = load_autoencoder(config.autoencoder).to(accelerator.device).eval()
    rate = autoencoder.config.sample_rate
    text = load_optional_text(config.text_encoder, config.tokenizer, accelerator.device)

    # 2. Sounds
    parts = parts_of(config, rate)
    responses = load_responses(Path(config.responses), rate) if config.responses else []

    def shard(read: Callable[[], Part]) -> Iterator[LatentClip]:
        part = read()
        of_label = {piece.label: [] for piece in part.recorded if piece.label}
        for piece in part.recorded:
            of_label.get(piece.label, []).append(piece)
        for piece, continuous in (p for clip in part.clips for p in _pieces(config, clip, rate)):
            company = Company(of_label.get(piece.label, ()), part.recorded, responses)
            for clip in versions(piece, company, config.variations, config.seed, rate):
                states = () if text is None else hidden_states(text, clip.captions)
                yield encoded(autoencoder, clip, continuous, states)

    # 3. Shards
    log = Log(output, config) if accelerator.is_main_process else None
    shards = [partial(shard, part) for part in parts]
    paths = write_own_shards(accelerator, output, shards, DTYPES[config.storage])
    if log is None:
        return

    # 4. What belongs to all
    latents = weighed(paths, config.weighed_clips)
    write_common(output, common_of(autoencoder, latents, text, config.seed))
    log.write(len(parts), {}, len(parts), "shards")


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
