"""Encoded sounds for training a flow: what is known of one, and their folders.

A folder of them holds shards (`woosh.data.shards`) of samples with latents, captions and, if asked for, the captions'
hidden states, and what belongs to all: `common.safetensors` and `common.json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm.auto import tqdm

from woosh.data.shards import read_items, shard_urls, write_items
from woosh.data.streaming import Item
from woosh.outside_files import parse_object, read_object, shaped
from woosh.weight_files import check_finite, read_tensors
from woosh.whole_files import replacing, write_text

Value = TypeVar("Value")
DTYPES = {"float16": torch.float16, "float32": torch.float32}  # of stored latents


@dataclass(frozen=True)
class ClipFacts:
    """What a sample's JSON tells of a `LatentClip`; samples of version 0.7 hold no category."""

    captions: tuple[str, ...]
    name: str
    label: str
    group: str
    continuous: bool
    category: str = ""


@dataclass(frozen=True)
class CommonFacts:
    """What `common.json` holds; see `Common`."""

    text_tokens: int | None


@dataclass(frozen=True)
class LatentClip:
    """One encoded sound.

    A continuous sound goes on by repetition where it is too short; anything else is an event, after
    which there is silence.

    Attributes:
        latents: normalised (C, T).
        captions: texts.
        name: of the recording.
        label: kind of sound, or nothing.
        group: of recordings that belong together.
        continuous: see above.
        states: hidden states of each caption (L, W), L its own number of tokens; empty if none were kept.
        video: features (K, C) of what is seen meanwhile, 24 per second, or None.
        category: of the Universal Category System, or nothing.
    """

    latents: Tensor
    captions: tuple[str, ...]
    name: str
    label: str
    group: str
    continuous: bool
    states: tuple[Tensor, ...] = ()
    video: Tensor | None = None
    category: str = ""

    @property
    def kind(self) -> str:
        """What counts as the same kind where draws are balanced."""
        return self.category or self.label


class Common(NamedTuple):
    """What belongs to all clips of a folder."""

    silence: Tensor  # (C, T), latents of silence
    channel_weight: Tensor  # (C,) with mean 1, how much the ear notices of each channel
    empty_states: Tensor | None  # (L, W), hidden states of the empty caption
    text_tokens: int | None  # to which hidden states are padded
    deviation: Tensor  # (C,), of each latent channel


class LatentCache(NamedTuple):
    """A folder of latents in memory."""

    clips: Sequence[LatentClip]
    common: Common


def write_latents(path: Path, clips: Iterable[LatentClip], dtype: torch.dtype) -> None:
    """Write a shard of clips; it appears under its name only once it is complete.

    Args:
        path: of the shard.
        clips: in their order.
        dtype: in which latents and hidden states are stored.
    """
    from safetensors.torch import save

    def items() -> Iterable[dict[str, str | bytes]]:
        for number, clip in enumerate(clips):
            tensors = {"latents": clip.latents, **_numbered(clip.states)}
            if clip.video is not None:
                tensors["video"] = clip.video
            facts = {field.name: getattr(clip, field.name) for field in fields(ClipFacts)}
            yield {
                "__key__": f"{path.stem}-{number:06d}",
                "safetensors": save({k: v.to(dtype).contiguous() for k, v in tensors.items()}),
                "json": json.dumps(facts, ensure_ascii=False).encode(),
            }

    write_items(path, items())


def write_own_shards(
    accelerator: Accelerator,
    output: Path,
    parts: Sequence[Callable[[], Iterable[LatentClip]]],
    dtype: torch.dtype,
) -> list[Path]:
    """Write those of a folder's shards that are this process's and are not there yet, then wait for all processes.

    Args:
        accelerator: of all processes.
        output: folder; made if missing.
        parts: the clips of each shard, made when it is called.
        dtype: in which latents and hidden states are stored.

    Returns:
        The paths of all shards.
    """
    output.mkdir(parents=True, exist_ok=True)
    paths = [output / f"latents-{number:06d}.tar" for number in range(len(parts))]
    shards = list(zip(paths, parts, strict=True))
    own = shards[accelerator.process_index :: accelerator.num_processes]
    for path, part in tqdm(own, disable=not accelerator.is_main_process):
        if not path.is_file():
            write_latents(path, part(), dtype)
    accelerator.wait_for_everyone()
    return paths


def _numbered(states: Sequence[Value]) -> dict[str, Value]:
    return {f"states.{number}": state for number, state in enumerate(states)}


def read_clip(item: Item, place: str) -> LatentClip:
    """A clip from an undecoded sample of a shard.

    Raises:
        ValueError: the sample is not one of `write_latents`.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        facts = shaped(ClipFacts, parse_object(item["json"], "its JSON"), "its JSON")
        tensors = load(item["safetensors"])
        names = _numbered(facts.captions) if "states.0" in tensors else ()
        states, video = tuple(tensors[name] for name in names), tensors.get("video")
        _check_matrices(tensors, ("latents", *names, *(() if video is None else ("video",))))
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ValueError(f"{place}: {item['__key__']} holds no latents ({error})") from error
    return LatentClip(
        tensors["latents"],
        facts.captions,
        facts.name,
        facts.label,
        facts.group,
        facts.continuous,
        states,
        video,
        facts.category,
    )


def _check_matrices(tensors: Mapping[str, Tensor], names: Iterable[str]) -> None:
    """Raise unless all these tensors are there, and are matrices of finite numbers.

    Raises:
        ValueError: one is not, by its name.
    """
    for name in names:
        if name not in tensors:
            raise ValueError(f"{name} is missing")
        value = tensors[name]
        if value.dim() != 2 or not value.is_floating_point() or 0 in value.shape:
            raise ValueError(f"{name} holds {value.dtype} of shape {tuple(value.shape)}")
    check_finite({name: tensors[name] for name in names}, "its tensors")


def write_common(folder: Path, common: Common) -> None:
    """Write what belongs to all clips; last, since a folder without it is not complete."""
    from safetensors.torch import save_file

    tensors = {
        "silence": common.silence,
        "channel_weight": common.channel_weight,
        "deviation": common.deviation,
    }
    if common.empty_states is not None:
        tensors["empty_states"] = common.empty_states
    write_text(folder / "common.json", json.dumps(asdict(CommonFacts(common.text_tokens))) + "\n")
    with replacing(folder / "common.safetensors") as part:
        save_file({name: value.contiguous() for name, value in tensors.items()}, part)


def read_common(folder: Path) -> Common:
    """Read what `write_common` wrote.

    Raises:
        FileNotFoundError: the folder holds no latents; `training/encode_latents.py` makes them.
        ValueError: what it holds is damaged.
    """
    path = folder / "common.safetensors"
    if not path.is_file():
        raise FileNotFoundError(
            f"no latents in {folder}, or not all: make them with training/encode_latents.py"
        )
    tensors = read_tensors(path)
    facts = shaped(CommonFacts, read_object(folder / "common.json"), str(folder / "common.json"))
    empty = tensors.get("empty_states")
    matrices = ("silence",) if empty is None else ("silence", "empty_states")
    try:
        _check_matrices(tensors, matrices)
        silence = tensors["silence"]
        weight = tensors.get("channel_weight", torch.empty(0))
        # Folders of version 0.7 hold no deviations: their channels had been normalised.
        deviation = tensors.get("deviation", torch.ones_like(weight))
        if not weight.shape == deviation.shape == silence.shape[:1]:
            raise ValueError("channel_weight and deviation must have a number for each channel")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Common(silence, weight, empty, facts.text_tokens, deviation)


def load_latents(folder: Path) -> LatentCache:
    """Read a folder of latents into memory.

    Raises:
        FileNotFoundError: the folder holds none.
        ValueError: a shard is damaged.
    """
    common = read_common(folder)
    urls = shard_urls(str(folder))
    return LatentCache([read_clip(item, url) for url in urls for item in read_items(url)], common)
