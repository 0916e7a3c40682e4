"""What the HEAR interface hears with: any network here, and what it makes of windows of sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from woosh.embeddings.clap import SEGMENT_SECONDS, WooshClap
from woosh.taggers.congater import ConGater
from woosh.taggers.cp_densenet import CpDenseNet
from woosh.taggers.cp_mobile import CpMobile
from woosh.taggers.cp_resnet import CpResNet
from woosh.taggers.cp_vgg import CpVgg
from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.log_mel import LogMel
from woosh.taggers.mid_level import mid_level_features
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.passt import PATCH_SIZE, Passt
from woosh.taggers.tagger import AudioTagger

FieldNetwork = CpResNet | CpVgg | CpDenseNet | CpMobile
LEAST_FIELD_FRAMES = 20  # that three pools of two and the kernels between them take


class Ear(NamedTuple):
    """A network that hears windows of sound.

    Attributes:
        network: what holds the weights.
        log_mel: its front end.
        embed: windows (N, S) -> (N, size), float32.
        size: of a window's embedding.
        least_frames: of the front end, that a window must have.
        most_frames: beyond which a window would be cut; None if it may be of any length.
        heard_seconds: least of sound that goes through the network, however short a window is.
    """

    network: nn.Module
    log_mel: LogMel
    embed: Callable[[Tensor], Tensor]
    size: int
    least_frames: int = PATCH_SIZE
    most_frames: int | None = None
    heard_seconds: float = 0.0


def passt_ear(network: Passt) -> Ear:
    """Logits and features of a PaSST."""

    def embed(audio: Tensor) -> Tensor:
        return torch.cat(network(network.log_mel(audio)), dim=1).float()

    size = network.config.classes + network.config.width
    return Ear(network, network.log_mel, embed, size, most_frames=most_frames(network))


def most_frames(network: Passt) -> int:
    """Frames that a PaSST has positions for; further ones would be cut off."""
    columns = network.time_new_pos_embed.shape[3]
    return PATCH_SIZE + columns * network.config.stride - 1


def congater_ear(network: ConGater, log_mel: LogMel, controls: Sequence[float]) -> Ear:
    """Logits and features of a PaSST with gates.

    Args:
        network: in evaluation mode.
        log_mel: of the PaSST that it was made from.
        controls: one of each domain, see `ConGater.forward`.
    """

    def embed(audio: Tensor) -> Tensor:
        chosen = torch.tensor([list(controls)], device=audio.device)
        return torch.cat(network(log_mel(audio)[:, None], chosen), dim=1).float()

    return measured(Ear(network, log_mel, embed, 0, most_frames=most_frames(network.passt)))


def tagger_ear(
    network: MobileNet | DynamicMobileNet | FieldNetwork, log_mel: LogMel, channels: int = 1
) -> Ear:
    """Logits, where there is a head, and features of a network of convolutions.

    Args:
        network: in evaluation mode.
        log_mel: the front end that it was trained with.
        channels: of the spectrogram that it takes; mono sound is in all of them.
    """

    def embed(audio: Tensor) -> Tensor:
        tags = network(log_mel(audio)[:, None].expand(-1, channels, -1, -1))
        return torch.cat([part for part in tags if part is not None], dim=1).float()

    least = LEAST_FIELD_FRAMES if isinstance(network, FieldNetwork) else PATCH_SIZE
    return measured(Ear(network, log_mel, embed, 0, least))


def saved_ear(tagger: AudioTagger) -> Ear:
    """Logits and features of a tagger of any network, by its own front end, as its controls are set."""

    def embed(audio: Tensor) -> Tensor:
        return torch.cat(tagger(audio), dim=1).float()  # type: ignore[arg-type]  # a tagger has logits

    network = tagger.network
    least = LEAST_FIELD_FRAMES if isinstance(network, FieldNetwork) else PATCH_SIZE
    passt = network.passt if isinstance(network, ConGater) else network
    most = most_frames(passt) if isinstance(passt, Passt) else None
    return measured(Ear(network, tagger.log_mel, embed, 0, least, most))


def mid_level_ear(network: MobileNet | DynamicMobileNet, log_mel: LogMel) -> Ear:
    """The features of the middle of a MobileNet in evaluation mode, see `mid_level_features`.

    Raises:
        ValueError: another network, or one in training mode.
    """
    if not isinstance(network, MobileNet | DynamicMobileNet):
        raise ValueError(
            f"a {type(network).__name__} has no middle blocks as MobileNets have: take the tagger itself"
        )

    def embed(audio: Tensor) -> Tensor:
        return mid_level_features(network, log_mel(audio)[:, None]).float()

    return measured(Ear(network, log_mel, embed, 0))


def aligner_ear(clap: WooshClap) -> Ear:
    """An aligner's embeddings: a window below its segment of 5 s is filled up as a short sound is."""
    network = nn.ModuleList([clap.audio_encoder, clap.head])

    def embed(audio: Tensor) -> Tensor:
        return clap.embed_audio(audio).float()

    return Ear(network, clap.log_mel, embed, clap.width, heard_seconds=SEGMENT_SECONDS)


def measured(ear: Ear) -> Ear:
    """An ear with the size of what it makes of a short silence.

    Raises:
        ValueError: its network is in training mode, where hearing would change it.
    """
    if ear.network.training:
        name = type(ear.network).__name__
        raise ValueError(f"{name} is in training mode: call its eval() before it listens")
    device = next(ear.network.parameters()).device
    with torch.no_grad():
        silence = torch.zeros(1, ear.least_frames * ear.log_mel.hop_length, device=device)
        return ear._replace(size=ear.embed(silence).shape[1])
