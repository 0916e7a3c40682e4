"""How a ConGater learns to take a domain out of its features (arXiv 2306.08010)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

HEADS = 3  # that guess a domain, each from fresh weights of its own
HIDDEN = 768


class Reversal(torch.autograd.Function):
    """The same forwards, the gradient times a negative factor backwards (arXiv 1409.7495)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:  # type: ignore[override]
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return -ctx.strength * gradient, None


def reversed_gradient(x: Tensor, strength: float) -> Tensor:
    """x, whose gradient comes back times -strength."""
    return Reversal.apply(x, strength)  # type: ignore[no-any-return]


class DomainHeads(nn.Module):
    """Guesses of a domain from features: they learn to guess it, what they hear learns to hide it.

    Args:
        width: W of the features.
        classes: D of the domain.
        hidden: channels between.
        heads: H.
    """

    def __init__(self, width: int, classes: int, hidden: int = HIDDEN, heads: int = HEADS) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, classes))
            for _ in range(heads)
        )

    def forward(self, features: Tensor, strength: float) -> Tensor:
        """Features (B, W) -> logits (B, H, D); the gradient goes back to the features times -strength."""
        hidden = reversed_gradient(features, strength)
        return torch.stack([head(hidden) for head in self.heads], dim=1)


def domain_loss(logits: Tensor, domain: Tensor) -> Tensor:
    """Cross-entropy of all heads' guesses (B, H, D) with domains (B,), their mean."""
    heads = logits.shape[1]
    return functional.cross_entropy(logits.flatten(0, 1), domain.repeat_interleave(heads))
