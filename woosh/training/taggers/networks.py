"""The network of a tagger that is to be trained: fresh, or from another tagger's weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from woosh.catalogue import is_aligner
from woosh.embeddings.clap import load_clap
from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.log_mel import LogMel
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.tagger import load_tagger, with_classes
from woosh.training.config import check_choice

NETWORKS = {"mobilenet": MobileNet, "dynamic-mobilenet": DynamicMobileNet}


@dataclass(frozen=True)
class NetworkConfig:
    """What is trained.

    Attributes:
        network: one of `NETWORKS`.
        width: multiple of its channels.
        initial: what to start from, whose network and width count: a tagger's name or folder, a file of published
            weights, or an aligner whose audio tower is a MobileNet; or None.
    """

    network: str
    width: float
    initial: str | None


def build_network(
    config: NetworkConfig, labels: tuple[str, ...], head: Tensor
) -> MobileNet | DynamicMobileNet:
    """A fresh network for so many labels, or another one's, with a fresh last layer if its labels are others.

    A fresh last layer says at first how common each label is, whatever it hears (arXiv 1708.02002, section 3.3): from
    logits around 0, hundreds of labels that are mostly absent would drive the whole network to say no, and destroy
    what it has learned elsewhere.

    Args:
        config: of the network.
        labels: C names.
        head: logits (C,) for a fresh last layer to start from.

    Raises:
        FileNotFoundError: nothing to start from.
        ValueError: an unknown network, or weights that cannot be read or of another kind.
    """
    check_choice("network", config.network, tuple(NETWORKS))
    if config.initial is None:
        network = NETWORKS[config.network](width=config.width, classes=len(labels))
    elif is_aligner(config.initial):
        tower = load_clap(config.initial).audio_encoder
        if not isinstance(tower, MobileNet):
            raise ValueError(
                f"the aligner {config.initial} hears by a {type(tower).__name__}: name one that hears by a MobileNet"
            )
        network = with_classes(tower, len(labels))
    else:
        known = load_tagger(config.initial)
        if known.labels == labels:
            return known.network.train()
        network = with_classes(known.network, len(labels))
    last = network.classifier[-1] if isinstance(network.classifier, nn.Sequential) else None
    if isinstance(last, nn.Linear):
        with torch.no_grad():
            last.bias.copy_(head)
    return network.train()


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
