"""The exponential moving average of a model's weights, also of weights that are sharded over processes."""

from __future__ import annotations

import copy
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

Model = TypeVar("Model", bound=nn.Module)


def whole(value: Tensor) -> Tensor:
    """A tensor as it is, or all of it where this process holds a shard (all processes must ask at once)."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def like(value: Tensor, other: Tensor) -> Tensor:
    """All of a tensor, or this process's shard of it, as `other` is."""
    if isinstance(other, DTensor):
        return distribute_tensor(value.to(other.device), other.device_mesh, other.placements)
    return value.to(other.device)


class MovingAverage(Generic[Model]):
    """average <- d average + (1 - d) weights after every step; the first step copies.

    After u steps d is (1 + u) / (10 + u), and `decay` at most: the first weights, of which nothing is to be kept, are soon
    forgotten.

    Args:
        model: before `accelerator.prepare`, which may shard it; it is copied.
        decay: of the average, from 0 up to 1.
    """

    def __init__(self, model: Model, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ema_decay is {decay}; it must be from 0 up to 1")
        self.decay, self.updates = decay, 0
        self.copy = copy.deepcopy(model).requires_grad_(False)
        self.live: list[Tensor] = []
        self.values: list[Tensor] = []

    def follow(self, model: nn.Module) -> None:
        """Average this model's weights from now on: the same one, after `accelerator.prepare`."""
        self.model = model
        self.live = list(model.parameters())
        self.copy.to(self.live[0].device)
        self.values = [
            value.detach().clone() if isinstance(value, DTensor) else copied
            for value, copied in zip(self.live, self.copy.parameters(), strict=True)
        ]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights in."""
        share = 1.0 if self.updates == 0 else max(1.0 - self.decay, 9.0 / (10.0 + self.updates))
        for value, live in zip(self.values, self.live, strict=True):
            value.lerp_(live.detach(), share)
        self.updates += 1

    @torch.no_grad()
    def module(self) -> Model:
        """The averaged model, with the buffers that the model has now. All processes must ask at once."""
        for copied, value in zip(self.copy.parameters(), self.values, strict=True):
            if isinstance(value, DTensor):
                copied.copy_(whole(value))
        for copied, value in zip(self.copy.buffers(), self.model.buffers(), strict=True):
            copied.copy_(whole(value))
        return cast(Model, self.copy)

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "values": [whole(value) for value in self.values]}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        for value, saved in zip(self.values, state["values"], strict=True):
            value.copy_(like(saved, value))
