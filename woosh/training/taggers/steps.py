"""One step of a tagger's training: what the network is given of a batch, and the loss of what it says."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator, Tensor, nn

from woosh.taggers.networks import hear
from woosh.taggers.tagger import AudioTagger
from woosh.training.taggers.distillation import (
    DistillationSettings,
    Mixture,
    Targets,
    distillation_loss,
)
from woosh.training.taggers.examples import ExampleBatch
from woosh.training.taggers.parallel import ParallelConfig, versions_loss

BETAS = (0.9, 0.999)  # of AdamW


@dataclass(frozen=True)
class TaggerBatch:
    """What a training step sees.

    Attributes:
        log_mel: of sounds that are mixed already (B, 1, bands, T).
        targets: of each sound alone.
        mixture: of the sounds.
        versions: log-mel of sounds as they are and through devices (2, V, 1, bands, T), or None.
    """

    log_mel: Tensor
    targets: Targets
    mixture: Mixture
    versions: Tensor | None


def training_step(
    network: nn.Module,
    batch: TaggerBatch,
    settings: DistillationSettings,
    parallel: ParallelConfig,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch, and its terms."""
    logits = hear(network, batch.log_mel).logits
    assert logits is not None  # a tagger has a head
    terms = distillation_loss(logits.float(), batch.targets, batch.mixture, settings)
    if batch.versions is not None:
        terms["parallel"] = versions_loss(network, batch.versions, parallel)
        terms["loss"] = terms["loss"] + parallel.parallel_weight * terms["parallel"]
    return terms["loss"], {name: value.detach() for name, value in terms.items()}


def tagger_batch(
    batch: ExampleBatch, tagger: AudioTagger, masks: tuple[int, int], generator: Generator
) -> TaggerBatch:
    """What the training step sees of sounds, on the tagger's device.

    Args:
        batch: of sounds.
        tagger: whose front end hears them.
        masks: the widest of bands and the longest of frames.
        generator: of the masks and of the front end's edges.
    """
    device = next(tagger.network.parameters()).device

    def moved(values: Tensor | None) -> Tensor | None:
        return None if values is None else values.to(device)

    mel = tagger.log_mel.augmented(batch.audio.to(device), generator, *masks)
    known = moved(batch.targets.known)
    targets = Targets(moved(batch.targets.labels), moved(batch.targets.teacher), known)
    mixture = Mixture(batch.mixture.share.to(device), batch.mixture.partner.to(device))
    versions = None
    if batch.versions is not None:
        versions = tagger.log_mel(batch.versions.to(device).flatten(0, 1))[:, None]
        versions = versions.unflatten(0, (2, -1))
    return TaggerBatch(batch.heard(mel), targets, mixture, versions)
