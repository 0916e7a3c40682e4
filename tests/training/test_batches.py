"""Batches: every tensor in them is found, in the order of the fields, and a batch itself never changes."""

from dataclasses import FrozenInstanceError, dataclass
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from woosh.training.batches import map_tensors, shapes_of, to_device


class Pair(NamedTuple):
    first: Tensor
    second: Tensor | None


@dataclass(frozen=True)
class Batch:
    audio: Tensor
    captions: tuple[str, ...]
    pair: Pair
    groups: tuple[tuple[Tensor, Tensor], ...]
    features: list[Tensor]
    fraction: float | None = None


def made() -> Batch:
    ones = [torch.ones(size) for size in range(1, 7)]
    pair, groups = Pair(ones[1], None), ((ones[2], ones[3]),)
    return Batch(ones[0], ("a", "b"), pair, groups, ones[4:], 0.5)


def test_every_tensor_is_reached_and_all_else_kept() -> None:
    batch = made()
    doubled = map_tensors(lambda tensor: 2 * tensor, batch)
    assert shapes_of(doubled) == shapes_of(batch) == tuple((size,) for size in range(1, 7))
    reached = [doubled.audio, doubled.pair.first, *doubled.groups[0], *doubled.features]
    assert all((tensor == 2).all() for tensor in reached)
    assert type(doubled) is Batch and type(doubled.pair) is Pair and type(doubled.features) is list
    assert doubled.captions == ("a", "b") and doubled.pair.second is None
    assert doubled.fraction == 0.5


def test_the_batch_itself_stays_as_it_is() -> None:
    batch = made()
    map_tensors(lambda tensor: 2 * tensor, batch)
    assert (batch.audio == 1).all() and (batch.features[0] == 1).all()
    with pytest.raises(FrozenInstanceError):
        batch.audio = torch.zeros(1)  # type: ignore[misc]


def test_all_tensors_go_to_the_device() -> None:
    devices = set()

    def note(tensor: Tensor) -> Tensor:
        devices.add(tensor.device.type)
        return tensor

    map_tensors(note, to_device(made(), torch.device("meta")))
    assert devices == {"meta"}
