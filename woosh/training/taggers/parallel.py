"""What makes a network hear the same in parallel recordings of one sound (arXiv 1909.02869).

The recordings are aligned in time and come from different devices, codecs or rates; they need no labels. The term is added
to a recipe's loss with a weight of about 0.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from woosh.data.codecs import CODECS
from woosh.metrics.distributions import squared_distances
from woosh.taggers.networks import given
from woosh.training.config import check_choice

FLOOR = 1e-12  # of probabilities whose logarithm is taken
LEAST_BANDWIDTH = 1e-6

Distance = Callable[[Tensor, Tensor], Tensor]


def heard_at(network: nn.Module, layer: str, *x: Tensor) -> Tensor:
    """What a layer of a network makes of an input, with its graph.

    Args:
        network: to be run.
        layer: name of the layer as `named_modules` has it, such as "stage2.block1"; its result must be one tensor.
        x: what the network is called with.

    Raises:
        ValueError: no such layer, or it took no part.
    """
    layers = dict(network.named_modules())
    if layer not in layers or not layer:
        raise ValueError(f"no layer {layer!r}; there are {', '.join(filter(None, layers))}")
    caught: list[Tensor] = []

    def keep(_layer: nn.Module, _given: Any, made: Tensor) -> None:
        caught.append(made)

    handle = layers[layer].register_forward_hook(keep)
    try:
        network(*x)
    finally:
        handle.remove()
    if not caught:
        raise ValueError(f"the layer {layer!r} takes no part when {type(network).__name__} runs")
    return caught[-1]


def parallel_loss(versions: Sequence[Tensor], distance: Distance = functional.mse_loss) -> Tensor:
    """How differently a network hears versions of the same sounds: the mean over all pairs of versions.

    With the squared difference (arXiv 1909.02869)

        L = mean over pairs (A, B) of mean (h(x_A) - h(x_B))^2

    Args:
        versions: what a layer made of each version (B, ...), rows of the same sounds.
        distance: of two versions: the mean squared difference, `mean_discrepancy`, or the negative of
            `mutual_information`.

    Raises:
        ValueError: fewer than two versions.
    """
    if len(versions) < 2:
        raise ValueError(f"{len(versions)} versions make no pair: give two or more")
    return torch.stack([distance(a, b) for a, b in combinations(versions, 2)]).mean()


def mean_discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of two sets of vectors (Gretton et al. 2012, biased, so 0 for equal sets).

        mean k(a, a') + mean k(b, b') - 2 mean k(a, b),   k(a, b) = exp(-|a - b|^2 / (2 s^2))

    s is the median distance between vectors of both sets, through which no gradient flows.

    Args:
        first: (B, ...), flattened to vectors.
        second: (B', ...).
    """
    first, second = first.flatten(1), second.flatten(1)
    both = torch.cat([first, second])
    distances = squared_distances(both, both)
    apart = distances.detach()[torch.triu(torch.ones_like(distances, dtype=torch.bool), 1)]
    bandwidth = apart.median().clamp_min(LEAST_BANDWIDTH)  # squared
    kernel = torch.exp(-distances / (2 * bandwidth))
    count = len(first)
    within = kernel[:count, :count].mean() + kernel[count:, count:].mean()
    return within - 2 * kernel[:count, count:].mean()


def mutual_information(first: Tensor, second: Tensor) -> Tensor:
    """Of two soft assignments of the same sounds to clusters, in nats (arXiv 1807.06653).

        I = sum_cd P_cd ln(P_cd / (P_c P_d)),   P = symmetric part of mean over sounds of a_c b_d

    Args:
        first: probabilities a (B, C).
        second: probabilities b (B, C).
    """
    joint = first.T @ second / len(first)
    joint = ((joint + joint.T) / 2).clamp_min(FLOOR)
    joint = joint / joint.sum()
    alone = joint.sum(dim=0)
    return (joint * (joint.log() - alone.log() - alone.log()[:, None])).sum()


DISTANCES: dict[str, Distance] = {
    "squared": functional.mse_loss,
    "discrepancy": mean_discrepancy,
}


@dataclass(frozen=True)
class ParallelConfig:
    """The term of parallel recordings in a recipe's loss.

    The versions of a sound are the sound itself and what one of the codecs makes of it, or of the impulse responses where no
    codec is named, aligned in time.

    Attributes:
        parallel_weight: of the term; .1 is published, 0 leaves it out.
        parallel_sounds: of each batch, heard in both versions; 4 of 32 are published.
        parallel_layer: whose results are compared, as `named_modules` has it.
        parallel_distance: one of `DISTANCES`.
        parallel_codecs: of `woosh.data.codecs.CODECS`.

    Raises:
        ValueError: an unknown distance or codec, a weight below 0, or no sound.
    """

    parallel_weight: float = 0.0
    parallel_sounds: int = 4
    parallel_layer: str = "feed_forward"
    parallel_distance: str = "squared"
    parallel_codecs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice("parallel_distance", self.parallel_distance, tuple(DISTANCES))
        for name in self.parallel_codecs:
            check_choice("parallel_codecs", name, tuple(CODECS))
        if self.parallel_weight < 0 or self.parallel_sounds < 1:
            raise ValueError(
                f"parallel_weight is {self.parallel_weight} and parallel_sounds {self.parallel_sounds}: at least 0 and 1"
            )


def versions_loss(network: nn.Module, versions: Tensor, config: ParallelConfig) -> Tensor:
    """How differently a network's layer hears two versions of sounds, see `parallel_loss`.

    Args:
        network: one of `woosh.taggers.networks.NETWORKS`.
        versions: log-mel of the sounds (2, B, 1, bands, frames).
        config: layer and distance.
    """
    made = heard_at(network, config.parallel_layer, *given(network, versions.flatten(0, 1)))
    return parallel_loss(made.chunk(2), DISTANCES[config.parallel_distance])
