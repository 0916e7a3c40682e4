"""A network that learns the maps of another one of its shape: each block by itself, or all in a row.

A teacher's answers alone say little about a sound: of hundreds of labels nearly all are absent. What its blocks make of
a sound says something at every place of every channel (arXiv 1412.6550), and the teacher hears each sound as the
learner does, mixed and moved (arXiv 2106.05237).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from woosh.taggers.mobilenet import MobileNet

VARIANCE_SHARE = 0.05  # of a map's mean variance, added to each channel's: nearly constant ones would count without end


@dataclass(frozen=True)
class ImitationSettings:
    """How a network imitates.

    Attributes:
        alone: every block gets the teacher's maps, as if all blocks before it were learned already; otherwise what the
            blocks before it make.
        map_weight: of the difference of the maps.
        answer_weight: of the cross-entropy with the teacher's probabilities.
        logit_weight: of the squared distance to the teacher's logits.
        order_weight: of the divergence from the labels' shares, which counts the teacher's first labels most.
    """

    alone: bool
    map_weight: float
    answer_weight: float
    logit_weight: float
    order_weight: float

    def __post_init__(self) -> None:
        weights = (self.map_weight, self.answer_weight, self.logit_weight, self.order_weight)
        if min(weights) < 0:
            raise ValueError(
                f"map_weight, answer_weight, logit_weight and order_weight are {weights}: none may be below 0"
            )


def learner_for(teacher: MobileNet) -> MobileNet:
    """A fresh network of the teacher's settings, without dropout: what it learns is a function, at every place."""
    settings = {name: value for name, value in teacher.config.items() if not name.startswith("_")}
    network = MobileNet(**settings)
    without_dropout(network)
    return network.train()


def without_dropout(network: nn.Module) -> None:
    """Let a network drop nothing while it is trained."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def keep_statistics(network: nn.Module) -> None:
    """Let batch normalisation use the statistics that it has, while everything else is trained.

    A batch's own are those of few sounds, and no function of one sound can follow them.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def imitation_loss(
    network: MobileNet, teacher: MobileNet, log_mel: Tensor, settings: ImitationSettings
) -> dict[str, Tensor]:
    """How far a network is from its teacher.

    Args:
        network: the learner, in training mode.
        teacher: of the same settings, in evaluation mode; both with a head.
        log_mel: (B, 1, bands, T).
        settings: weights, and what the blocks are given.

    Returns:
        "loss", and its terms: "maps", the sum over all maps of `map_difference`; "answer", the cross-entropy with the
        teacher's probabilities; "logits", the mean squared distance of the logits; "order", the Kullback-Leibler divergence
        of the softmax over all labels (arXiv 1503.02531).
    """
    head, teacher_head = cast(nn.Module, network.classifier), cast(nn.Module, teacher.classifier)
    with torch.no_grad():
        wanted = teacher.maps(log_mel)
        wanted_logits = teacher_head(wanted[-1])  # (B, C)
    if settings.alone:
        given = [log_mel, *wanted[:-1]]
        own = [block(x) for block, x in zip(network.features, given, strict=True)]
        logits = head(wanted[-1])
    else:
        own = network.maps(log_mel)
        logits = head(own[-1])
    maps = torch.stack([map_difference(x, y) for x, y in zip(own, wanted, strict=True)]).sum()
    answer = functional.binary_cross_entropy_with_logits(logits, wanted_logits.sigmoid())
    distance = functional.mse_loss(logits, wanted_logits)
    order = functional.kl_div(
        logits.log_softmax(dim=1),
        wanted_logits.log_softmax(dim=1),
        log_target=True,
        reduction="batchmean",
    )
    loss = (
        settings.map_weight * maps
        + settings.answer_weight * answer
        + settings.logit_weight * distance
        + settings.order_weight * order
    )
    return {"loss": loss, "maps": maps, "answer": answer, "logits": distance, "order": order}


def map_difference(own: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference of two maps (B, C, F, T), as a share of each wanted channel's variance."""
    variance = wanted.var(dim=(0, 2, 3), keepdim=True)
    return ((own - wanted).square() / (variance + VARIANCE_SHARE * variance.mean())).mean()
