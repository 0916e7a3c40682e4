"""The network of a tagger that is to be trained: fresh, or from another tagger's weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.log_mel import LogMel
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.tagger import load_tagger
from woosh.training.config import check_choice

NETWORKS = {"mobilenet": MobileNet, "dynamic-mobilenet": DynamicMobileNet}


@dataclass(frozen=True)
class NetworkConfig:
    """What is trained.

    Attributes:
        network: one of `NETWORKS`.
        width: multiple of its channels.
        initial: folder of a tagger or file of published weights to start from, whose network and width count; or None.
    """

    network: str
    width: float
    initial: str | None


def build_network(config: NetworkConfig, labels: tuple[str, ...]) -> MobileNet | DynamicMobileNet:
    """A fresh network for so many labels, or another tagger's, with a fresh last layer if its labels are others.

    Raises:
        FileNotFoundError: nothing to start from.
        ValueError: an unknown network, or weights that cannot be read.
    """
    check_choice("network", config.network, tuple(NETWORKS))
    if config.initial is None:
        return NETWORKS[config.network](width=config.width, classes=len(labels))
    known = load_tagger(config.initial)
    network, own = known.network, known.labels
    if own == labels:
        return network.train()
    settings = {name: value for name, value in network.config.items() if not name.startswith("_")}
    fresh = type(network)(**{**settings, "classes": len(labels)})
    tensors, shapes = network.state_dict(), fresh.state_dict()
    kept = {name: t for name, t in tensors.items() if t.shape == shapes[name].shape}
    fresh.load_state_dict({**shapes, **kept})
    return fresh.train()


@torch.no_grad()
def measure_statistics(network: nn.Module, audio: Iterable[Tensor], log_mel: LogMel) -> None:
    """Measure the statistics of batch normalisation anew (arXiv 1803.05407, section 3.2).

    Averaged weights have activations that no step of the training had, and training hears masked and mixed sounds.

    Args:
        network: whose statistics change; in evaluation mode afterwards, as before.
        audio: batches (B, S).
        log_mel: front end.
    """
    device = next(network.parameters()).device

    def spectrograms() -> Iterator[Tensor]:
        for batch in audio:
            yield log_mel(batch.to(device))[:, None]

    # In training mode for the statistics; the run's random numbers are not for this network's dropout.
    with torch.random.fork_rng():
        update_bn(spectrograms(), network)
    network.eval()
