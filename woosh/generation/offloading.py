"""Parts of a model that wait in the processor's memory while another one works on the device: for cards that hold one of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import nn

from woosh.generation.sampling import Sampler

# What a sampler and its callers ask of parts: the first call brings a part to the device.
CALLED = ("forward", "prepare", "decode", "encode_generated", "encode")


class Place:
    """The device, which holds one part at a time.

    Args:
        device: where parts compute.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.present: nn.Module | None = None

    def bring(self, part: nn.Module) -> None:
        """Move a part here, and back the one that was here."""
        if part is self.present:
            return
        if self.present is not None:
            self.present.to("cpu")
        self.present = part.to(self.device)

    def bringing(self, part: nn.Module, method: Callable[..., Any]) -> Callable[..., Any]:
        """The method, of a part that is here when it computes."""

        @wraps(method)
        def called(*arguments: Any, **options: Any) -> Any:
            self.bring(part)
            return method(*arguments, **options)

        return called


def offloaded(sampler: Sampler, device: torch.device) -> Sampler:
    """A sampler whose parts wait on the processor and come to the device one after the other, once for each sound.

    Args:
        sampler: with all parts on the processor; its parts' methods are replaced by such that bring them.
        device: where they compute.
    """
    place = Place(device)
    for part in (sampler.text_encoder, sampler.transformer, sampler.autoencoder):
        for name in CALLED:
            if hasattr(part, name):
                setattr(part, name, place.bringing(part, getattr(part, name)))
    return dataclasses.replace(sampler, computes_on=device)
