"""Attention in the form that graphs compute quickly: whole halves of heads turn, and norms are plain operations."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from woosh.generation.layers import EPSILON
from woosh.generation.transformer import WooshTransformer


class GraphHeadNorm(nn.Module):
    """`HeadNorm` in those operations that ONNX Runtime makes one of."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, heads: Tensor) -> Tensor:
        return heads / (heads.pow(2).mean(-1, keepdim=True) + EPSILON).sqrt() * self.weight


def with_halved_heads(transformer: WooshTransformer) -> WooshTransformer:
    """The same network with each head's channels in another order: those that turn together stand half a head apart.

    Products of query and key are the same; `woosh.generation.layers.rotate` says why.
    """
    halved, config = copy.deepcopy(transformer), transformer.config
    channels = config.width // config.heads
    within = torch.arange(channels).unflatten(0, (-1, 2)).mT.flatten()
    whole = torch.arange(2 * config.width).unflatten(0, (-1, channels))[:, within].flatten()

    def reorder(owner: Any, projection: Any) -> None:
        """Rows of queries and keys come first in a projection."""
        for tensor in (projection.weight, projection.bias):
            tensor.data[: len(whole)] = tensor.data[whole]
        for norm in ("query_norm", "key_norm"):
            setattr(owner, norm, GraphHeadNorm(getattr(owner, norm).weight[within]))

    for block in halved.joint:
        for stream in (block.audio, block.text, block.video):
            if stream is not None:
                reorder(stream, stream.qkv)
    for block in halved.fused:
        reorder(block, block.expand)

    def tables(tokens: tuple[Tensor, ...]) -> Any:
        return tuple(table.unbind(-1) for table in transformer.rotary_tables(tokens))

    halved.rotary_tables = tables  # type: ignore[method-assign]
    return halved
