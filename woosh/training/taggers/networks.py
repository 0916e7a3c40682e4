"""The network of a tagger that is to be trained: fresh, or from another tagger's weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from woosh.catalogue import is_aligner
from woosh.embeddings.clap import load_clap
from woosh.taggers.congater import ConGater
from woosh.taggers.cp_densenet import CpDenseNet
from woosh.taggers.cp_mobile import CpMobile
from woosh.taggers.cp_resnet import CpResNet
from woosh.taggers.cp_vgg import CpVgg
from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.fields import ConvolutionForm, Fields
from woosh.taggers.log_mel import LogMel
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.networks import given, with_classes
from woosh.taggers.passt import Passt
from woosh.taggers.published_listening import axis_of, kept_blocks
from woosh.taggers.tagger import load_tagger
from woosh.training.config import check_choice

NETWORKS = (
    "mobilenet",
    "dynamic-mobilenet",
    "cp-resnet",
    "cp-vgg",
    "cp-densenet",
    "cp-mobile",
    "passt",
    "congater",
)


@dataclass(frozen=True)
class FieldConfig:
    """What a CP-ResNet, its VGG form and its DenseNet form see, and what their convolutions are.

    Attributes:
        frequency_rho: how many convolutions after the second are wide along frequency, of 22.
        time_rho: likewise along time.
        removed_blocks: of each of three stages of four blocks.
        frequency_halved_after: blocks after which a pool halves the frequencies, counted from 1 through all stages.
        time_halved_after: likewise the frames.
        frequency_damping: weight of kernels' edges along frequency; 1 damps nothing.
        coordinates: convolutions get the frequency as one more channel.
        decomposition: by how much wide convolutions are narrower than their results; null leaves them whole.
        groups: of channels that do not mix.
        shakes: two branches in every block, mixed by chance; of a CP-ResNet.
    """

    frequency_rho: int = 5
    time_rho: int = 5
    removed_blocks: tuple[int, ...] = (0, 0, 0)
    frequency_halved_after: tuple[int, ...] = (1, 2, 4)
    time_halved_after: tuple[int, ...] = (1, 2, 4)
    frequency_damping: float = 1.0
    coordinates: bool = False
    decomposition: int | None = None
    groups: int = 1
    shakes: bool = False

    def fields(self) -> Fields:
        """What restricts the field along both axes."""
        removed = self.removed_blocks
        return Fields(
            kept_blocks(removed),
            axis_of(
                self.frequency_rho, removed, self.frequency_halved_after, self.frequency_damping
            ),
            axis_of(self.time_rho, removed, self.time_halved_after),
        )

    def form(self, prunable: bool) -> ConvolutionForm:
        """What the convolutions are."""
        return ConvolutionForm(self.coordinates, self.decomposition, self.groups, prunable)


@dataclass(frozen=True)
class TransformerConfig:
    """A PaSST or ConGater without published weights.

    Attributes:
        depth: blocks.
        heads: of the attention.
        patch_stride: bands and frames from one patch to the next.
        longest_frames: frames that it has positions for.
        patchout_time: columns of patches left out in training.
        patchout_frequency: rows likewise.
        domains: that a ConGater has gates and a control for.
        gate: "T" or "L", see `woosh.taggers.congater`.
        gate_place: "all" or "last".
    """

    depth: int = 12
    heads: int = 12
    patch_stride: int = 10
    longest_frames: int = 998
    patchout_time: int = 0
    patchout_frequency: int = 0
    domains: tuple[str, ...] = ("device",)
    gate: str = "T"
    gate_place: str = "all"


@dataclass(frozen=True)
class NetworkConfig:
    """What is trained.

    Attributes:
        network: one of `NETWORKS`.
        width: a multiple of a MobileNet's channels; of the others the number of channels of the first stage (of a DenseNet
            its growth) or of the tokens.
        initial: what to start from, whose network and width count: a tagger's name or folder, a file of published
            weights, or an aligner whose audio tower is a MobileNet; or None. A ConGater may start from a PaSST's tagger.
        restricted: of the CP networks.
        transformer: of PaSST and ConGater.
    """

    network: str
    width: float
    initial: str | None
    restricted: FieldConfig = FieldConfig()
    transformer: TransformerConfig = TransformerConfig()

    def __post_init__(self) -> None:
        check_choice("network", self.network, NETWORKS)
        if "mobilenet" not in self.network and (self.width < 1 or self.width != int(self.width)):
            raise ValueError(
                f"width is {self.width}; of a {self.network} it must be a whole number of channels"
            )


def fresh_network(
    config: NetworkConfig, classes: int, log_mel: LogMel, prunable: bool
) -> nn.Module:
    """A network without trained weights.

    Args:
        config: of the network.
        classes: of its head.
        log_mel: the spectrograms that it will be given.
        prunable: its weights may be masked out.

    Raises:
        ValueError: weights are to be masked out that cannot be.
    """
    wide: dict[str, Callable[..., nn.Module]] = {
        "cp-resnet": CpResNet,
        "cp-vgg": CpVgg,
        "cp-densenet": CpDenseNet,
    }
    fields, sizes = config.restricted, config.transformer
    if prunable and config.network not in wide:
        raise ValueError(
            f"pruned_share is above 0, and a {config.network} cannot be pruned: choose one of {', '.join(wide)}"
        )
    if config.network in wide:
        if fields.shakes and config.network != "cp-resnet":
            raise ValueError(
                f"shakes is true, and a {config.network} has no branches: set it to false"
            )
        shakes: dict[str, Any] = {"shakes": True} if fields.shakes else {}
        return wide[config.network](
            int(config.width), 1, classes, fields.fields(), fields.form(prunable), **shakes
        )
    if config.network == "cp-mobile":
        return CpMobile(base=int(config.width), classes=classes)
    if config.network == "mobilenet":
        return MobileNet(width=config.width, classes=classes)
    if config.network == "dynamic-mobilenet":
        return DynamicMobileNet(width=config.width, classes=classes)
    passt = Passt(
        width=int(config.width),
        depth=sizes.depth,
        heads=sizes.heads,
        stride=sizes.patch_stride,
        frames=sizes.longest_frames,
        hop_length=log_mel.hop_length,
        classes=classes,
        patchout_time=sizes.patchout_time,
        patchout_frequency=sizes.patchout_frequency,
        bands=log_mel.bands,
    )
    return gated(passt, sizes) if config.network == "congater" else passt


def gated(passt: Passt, sizes: TransformerConfig) -> ConGater:
    """A ConGater of fresh gates around a PaSST."""
    return ConGater(passt, sizes.domains, sizes.gate, sizes.gate_place)


def build_network(
    config: NetworkConfig,
    labels: tuple[str, ...],
    head: Tensor,
    log_mel: LogMel,
    prunable: bool = False,
) -> nn.Module:
    """A fresh network for so many labels, or another one's, with a fresh last layer if its labels are others.

    A fresh last layer says at first how common each label is, whatever it hears (arXiv 1708.02002, section 3.3): from
    logits around 0, hundreds of labels that are mostly absent would drive the whole network to say no, and destroy
    what it has learned elsewhere.

    Args:
        config: of the network.
        labels: C names.
        head: logits (C,) for a fresh last layer to start from.
        log_mel: the spectrograms that it will be given.
        prunable: its weights may be masked out; what it starts from must say so itself.

    Raises:
        FileNotFoundError: nothing to start from.
        ValueError: weights that cannot be read or of another kind.
    """
    if config.initial is None:
        network = fresh_network(config, len(labels), log_mel, prunable)
    elif is_aligner(config.initial):
        tower = load_clap(config.initial).audio_encoder
        if not isinstance(tower, MobileNet):
            raise ValueError(
                f"the aligner {config.initial} hears by a {type(tower).__name__}: name one that hears by a MobileNet"
            )
        network = with_classes(tower, len(labels))
    else:
        known = load_tagger(config.initial)
        start = known.network
        if config.network == "congater" and isinstance(start, Passt):
            start = gated(start, config.transformer)
        if known.labels == labels:
            return start.train()
        network = with_classes(start, len(labels))
    last = last_layer(network)
    if isinstance(last, nn.Linear | nn.BatchNorm2d):
        with torch.no_grad():
            last.bias.copy_(head)
    return network.train()


def last_layer(network: nn.Module) -> nn.Module | None:
    """The layer whose bias is what a network says of every sound, if there is one."""
    if isinstance(network, Passt | ConGater):
        passt = network.passt if isinstance(network, ConGater) else network
        return cast(nn.Sequential, passt.head)[-1]
    head = getattr(network, "classifier", None) or getattr(network, "feed_forward", None)
    if not isinstance(head, nn.Sequential):
        return None
    weighed = [layer for layer in head if isinstance(layer, nn.Linear | nn.BatchNorm2d)]
    return weighed[-1] if weighed else None


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
            yield given(network, log_mel(batch.to(device))[:, None])[0]

    # In training mode for the statistics; the run's random numbers are not for this network's dropout.
    with torch.random.fork_rng():
        update_bn(spectrograms(), network)
    network.eval()
