"""A transformer kept as what differs from a built-in one: low-rank changes of its matrices, and what is new or small, whole.

A few-step student or a network that sees is a few megabytes in this form. A folder holds the config.json of the whole
network and `CHANGES_FILE`: two matrices for every changed one, named as in `woosh.generation.lora` (W becomes W + B A),
other tensors under their own names, and in the metadata what was changed: the transformer of a built-in model, or that of one
under the changes of others ("woosh-small-video woosh-small-fast" sees, and then takes few steps). The metadata also has the
sha256 of these models' weights: a later version may have trained them on, and the changes would make something else of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from woosh.catalogue import (
    CHANGES_FILE,
    CHANGES_FORMAT,
    changed_models,
    find_model,
    is_built_in,
    part_folders,
)
from woosh.checksums import hash_files
from woosh.compact_weights import LEAST_VALUES, compacted_tensors, restored
from woosh.generation.lora import A, B
from woosh.generation.transformer import WooshTransformer
from woosh.outside_files import expanded
from woosh.weight_files import build, load_saved, read_safetensors

SUMS = "base_sha256"  # in a file's metadata


def load_transformer(folder: str | Path, dtype: torch.dtype | None = None) -> WooshTransformer:
    """A transformer from its folder, whole or kept as changes of a built-in model's.

    Args:
        folder: of its config.json and weights.
        dtype: of the weights; None is float32, whatever they were saved in.

    Raises:
        FileNotFoundError: the folder holds no transformer, or one that changes an unknown model's.
        ValueError: its weights are damaged or do not fit.
    """
    folder = expanded(folder)
    path = folder / CHANGES_FILE
    if not path.is_file():
        return load_saved(WooshTransformer, folder, dtype)
    changes, bases = read_changes(path)
    tensors = changed(tensors_under(bases.names, str(path), bases.sums), changes, str(path))
    cast = {name: value.to(dtype or torch.float32) for name, value in tensors.items()}
    config: Any = WooshTransformer.load_config(folder)
    return build(WooshTransformer, config, cast, str(path))


class Bases(NamedTuple):
    """The built-in models that a file of changes belongs to, and the sha256 of each one's weights; none in older files."""

    names: tuple[str, ...]
    sums: tuple[str, ...]


def folders_of(bases: Sequence[str], title: str) -> list[Path]:
    """The folders of built-in models' transformers.

    Raises:
        FileNotFoundError: one is no built-in model; `title` says whose bases they are.
    """
    unknown = [base for base in bases if not is_built_in(base)]
    if unknown:
        raise FileNotFoundError(f"{title} changes {unknown[0]!r}, which is no built-in model")
    return [part_folders(find_model(base))["transformer"] for base in bases]


def sums_of(folders: Sequence[Path]) -> tuple[str, ...]:
    """The sha256 of the weights in each folder."""
    return tuple(hash_files(sorted(folder.glob("*.safetensors"))) for folder in folders)


def tensors_under(bases: Sequence[str], title: str, sums: Sequence[str] = ()) -> dict[str, Tensor]:
    """The tensors, float32, of the first built-in model's transformer under the changes of each further one, in their order.

    Args:
        bases: the models' names.
        title: says in errors whose bases they are.
        sums: the sha256 of the models' weights, where they are known.

    Raises:
        FileNotFoundError: one is no built-in model, or keeps no changes.
        ValueError: one has other weights than it had.
    """
    folders = folders_of(bases, title)
    if sums and (present := sums_of(folders)) != tuple(sums):
        other = next(n for n, a, b in zip(bases, present, sums, strict=False) if a != b)
        raise ValueError(
            f"{title} changes other weights of {other} than are installed: train it anew from these, or install the "
            "version of woosh that it was made with"
        )
    tensors: dict[str, Tensor] = load_transformer(folders[0], torch.float32).state_dict()
    for folder in folders[1:]:
        if not (folder / CHANGES_FILE).is_file():
            raise FileNotFoundError(f"{title} needs the changes of {folder}, which holds none")
        changes, _ = read_changes(folder / CHANGES_FILE)
        tensors = changed(tensors, changes, str(folder / CHANGES_FILE))
    return tensors


def read_changes(path: Path) -> tuple[dict[str, Tensor], Bases]:
    """Tensors of a file of `save_changes`, and the models that they change; see `tensors_under`.

    Raises:
        ValueError: it is no such file, or damaged.
    """
    tensors, metadata = read_safetensors(path)
    bases = Bases(changed_models(metadata), tuple(metadata.get(SUMS, "").split()))
    if metadata.get("format") != CHANGES_FORMAT or not bases.names:
        raise ValueError(f"{path} does not say which model it changes")
    if len(bases.sums) not in (0, len(bases.names)):
        raise ValueError(
            f"{path} is damaged: it does not have a sum for each model that it changes"
        )
    try:
        return restored(tensors, torch.float32), bases
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def changed(
    original: Mapping[str, Tensor], changes: Mapping[str, Tensor], title: str
) -> dict[str, Tensor]:
    """The tensors of a network, float32, from those of another and what `changes_between` found.

    Raises:
        ValueError: changes of matrices that are not there or have another shape; `title` says whose.
    """
    pairs = {name.removesuffix(end) for name in changes for end in (A, B) if name.endswith(end)}
    tensors = {name: value.float() for name, value in original.items()}
    for name, value in changes.items():
        if not name.endswith((A, B)):
            tensors[name] = value.float()
    for name in sorted(pairs):
        weight = f"{name}.weight"
        first, second = changes.get(name + A), changes.get(name + B)
        if first is None or second is None or weight not in original:
            raise ValueError(f"{title} is damaged: the change of {name} lacks a part")
        has, rank = tuple(tensors[weight].shape), tuple(first.shape[:1])
        shapes = tuple(second.shape), tuple(first.shape)
        if shapes != ((*has[:1], *rank), (*rank, *has[1:])):
            raise ValueError(
                f"{title} changes {name} by factors of shapes {shapes[0]} and {shapes[1]}, here is {has}"
            )
        tensors[weight] = tensors[weight] + second.float() @ first.float()
    return tensors


def changes_between(
    before: Mapping[str, Tensor], network: WooshTransformer, rank: int, whole: tuple[str, ...] = ()
) -> tuple[dict[str, Tensor], float]:
    """What makes of one network another, in half precision.

    Args:
        before: the tensors of the one, float32.
        network: the other, float32; it has all of them.
        rank: of the changes of matrices. Tensors that a change would not make smaller are kept whole.
        whole: parts of names; matrices with one of them in their names are kept whole, too.

    Returns:
        Tensors by name, and the share of the matrices' change (in its norm) that the rank leaves out.

    Raises:
        ValueError: the other network lacks a tensor, or what differs is beyond half precision.
    """
    after = network.state_dict()
    missing = sorted(set(before) - set(after))
    if missing:
        raise ValueError(f"the network lacks {missing[:5]}, which the one that it changes has")
    changes: dict[str, Tensor] = {}
    norm = left = 0.0
    for name, value in after.items():
        if name not in before or before[name].shape != value.shape:
            changes[name] = value.half().contiguous()
        elif torch.equal(before[name], value):
            continue
        elif (
            value.ndim == 2
            and rank * sum(value.shape) < value.numel()
            and name.endswith("weight")
            and not any(part in name for part in whole)
        ):
            change = value - before[name]
            first, second = low_rank(change, rank)
            stem = name.removesuffix(".weight")
            changes[stem + A], changes[stem + B] = first, second
            norm += float(change.square().sum())
            left += float((change - second.float() @ first.float()).square().sum())
        else:
            changes[name] = value.half().contiguous()
    for name, value in changes.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} holds values beyond half precision")
    return changes, (left / norm) ** 0.5 if norm else 0.0


def low_rank(change: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The nearest matrix of a rank to (M, N) as factors (R, N) and (M, R) of equal norm, in half precision."""
    left, values, right = torch.linalg.svd(change.float(), full_matrices=False)
    root = values[:rank].sqrt()
    first, second = root[:, None] * right[:rank], left[:, :rank] * root
    return first.half().contiguous(), second.half().contiguous()


def save_changes(
    network: WooshTransformer, changes: Mapping[str, Tensor], bases: Sequence[str], folder: Path
) -> None:
    """Write a network's config.json and the changes that make it of `tensors_under(bases)`, the large matrices in eight bits.

    Raises:
        FileNotFoundError: one of the bases is no built-in model.
    """
    from safetensors.torch import save_file

    sums = sums_of(folders_of(bases, str(folder)))
    large = {
        name for name, value in changes.items() if value.ndim == 2 and value.numel() >= LEAST_VALUES
    }
    network.save_config(folder)
    save_file(
        compacted_tensors(changes, large),
        folder / CHANGES_FILE,
        {"format": CHANGES_FORMAT, "base": " ".join(bases), SUMS: " ".join(sums)},
    )
