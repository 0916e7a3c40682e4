"""Networks of few bytes: which weights are cut and when (arXiv 2011.02955), what is left, and weights of eight bits."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from woosh.taggers.fields import FieldConvolution
from woosh.training.config import check_choice

SCOPES = ("network", "layer")
RAMPS = ("linear", "exponential")
STEEPNESS = 5.0  # of the exponential ramp: what is left to cut falls by e^-5 along it


@dataclass(frozen=True)
class PruningConfig:
    """Which weights are cut while a network is trained, and when.

    Attributes:
        pruned_share: of the weights, in the end; 0 cuts none.
        prune_scope: one of `SCOPES`.
        prune_ramp: one of `RAMPS`.
        prune_epochs: of the ramp, of `epoch_steps` each.

    Raises:
        ValueError: an unknown scope or ramp, a share outside 0 to below 1, or no epoch.
    """

    pruned_share: float = 0.0
    prune_scope: str = "network"
    prune_ramp: str = "linear"
    prune_epochs: int = 50

    def __post_init__(self) -> None:
        check_choice("prune_scope", self.prune_scope, SCOPES)
        if self.prune_epochs < 1:
            raise ValueError(f"prune_epochs is {self.prune_epochs}; it must be 1 or more")
        self.share_at(0)

    def share_at(self, epoch: float) -> float:
        """The share that is cut in an epoch, see `pruned_share`."""
        return pruned_share(epoch, self.prune_epochs, self.pruned_share, self.prune_ramp)


def pruned_share(epoch: float, epochs: int, share: float, ramp: str) -> float:
    """Share of the weights that is cut in an epoch counted from 0: it rises from 0 and stays from `epochs` on.

        linear s e / E,   exponential s (1 - exp(-5 e / E)) / (1 - exp(-5)): much at first, little at the end

    Args:
        epoch: e.
        epochs: E, of the ramp.
        share: s, in the end.
        ramp: one of `RAMPS`.

    Raises:
        ValueError: an unknown ramp, or a share outside 0 to below 1.
    """
    check_choice("ramp", ramp, RAMPS)
    if not 0 <= share < 1:
        raise ValueError(f"the pruned share is {share}; it must be from 0 to below 1")
    along = torch.tensor(min(max(epoch / epochs, 0.0), 1.0), dtype=torch.float64)
    if ramp == "exponential":
        along = torch.expm1(-STEEPNESS * along) / torch.expm1(-STEEPNESS * torch.ones(()).double())
    return share * float(along)


def smallest_kept(weights: Tensor, share: float) -> Tensor:
    """The magnitude below which weights (any shape) are cut: the k-th smallest, k = 1 + round(share (n - 1))."""
    magnitudes = weights.detach().abs().flatten()
    return magnitudes.kthvalue(1 + round(share * (len(magnitudes) - 1))).values


def magnitude_masks(weights: Mapping[str, Tensor], share: float, scope: str) -> dict[str, Tensor]:
    """Which weights stay, 1, and which are cut, 0: those of the smallest magnitudes.

    Args:
        weights: by name.
        share: to be cut, from 0 to below 1.
        scope: one of `SCOPES`: magnitudes are ranked over all of them, or within each.

    Raises:
        ValueError: an unknown scope.
    """
    check_choice("scope", scope, SCOPES)
    if scope == "network":
        least = smallest_kept(torch.cat([w.detach().flatten() for w in weights.values()]), share)
        return {name: (w.detach().abs() >= least).to(w) for name, w in weights.items()}
    return {
        name: (w.detach().abs() >= smallest_kept(w, share)).to(w) for name, w in weights.items()
    }


def prune(model: nn.Module, share: float, scope: str) -> None:
    """Set the masks of a network's prunable convolutions by the magnitudes of their present weights.

    Weights that are masked out count as 0 in every pass and get no gradient; their values stay, so that later masks
    may take them back.

    Args:
        model: with convolutions of a prunable `ConvolutionForm`.
        share: of their weights that is cut.
        scope: one of `SCOPES`.

    Raises:
        ValueError: an unknown scope, or no prunable convolution.
    """
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, FieldConvolution) and layer.prune_mask is not None
    }
    if not layers:
        raise ValueError(
            f"{type(model).__name__} has no prunable convolution: build it with a prunable form"
        )
    masks = magnitude_masks({name: layer.weight for name, layer in layers.items()}, share, scope)
    for name, layer in layers.items():
        layer.prune_mask = masks[name]


@torch.no_grad()
def cut(model: nn.Module) -> None:
    """Set the weights that a network's masks leave out to 0, for good."""
    for layer in model.modules():
        if isinstance(layer, FieldConvolution) and layer.prune_mask is not None:
            layer.weight.mul_(layer.prune_mask)


class StoredSizes(NamedTuple):
    """Bytes of a network's weights in different forms, without names or a file's header."""

    float16: int  # two for each weight, cut ones included
    int8: int  # matrices one for each weight and two for each row's scale; two for each other value
    sparse_float16: int  # two for each weight that is not 0, and a bit for each place


def stored_sizes(model: nn.Module) -> StoredSizes:
    """Bytes of a network's parameters, masks applied; statistics of normalisation fold into weights and do not count."""
    weights: dict[str, Tensor] = dict(model.named_parameters())
    for name, layer in model.named_modules():
        if isinstance(layer, FieldConvolution) and layer.prune_mask is not None:
            weights[f"{name}.weight"] = layer.weight * layer.prune_mask
    places = sum(value.numel() for value in weights.values())
    left = sum(int(value.count_nonzero()) for value in weights.values())
    rows = sum(len(value) for value in weights.values() if value.ndim > 1)
    single = sum(value.numel() for value in weights.values() if value.ndim < 2)
    return StoredSizes(
        2 * places, places - single + 2 * rows + 2 * single, 2 * left + -(-places // 8)
    )


@torch.no_grad()
def with_int8_weights(model: nn.Module) -> nn.Module:
    """A copy whose matrices have the values that whole numbers from -127 to 127 with a scale for each row stand for.

    w' = s round(w / s),   s = largest magnitude of the row / 127
    """
    rounded = copy.deepcopy(model)
    for weight in rounded.parameters():
        if weight.ndim > 1:
            largest = weight.flatten(1).abs().amax(dim=1).reshape(-1, *[1] * (weight.ndim - 1))
            scale = (largest / 127).clamp_min(torch.finfo(weight.dtype).tiny)
            weight.copy_((weight / scale).round() * scale)
    return rounded
