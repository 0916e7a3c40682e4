"""What training an aligner takes beside its loss: the towers, their inputs, and the average of both."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import update_bn

from woosh.embeddings.clap import (
    SEGMENT_SECONDS,
    WooshClap,
    cut_segments,
    features_of,
    normalise_text,
    rounded_segments,
)
from woosh.generation.text_encoder import tokenize
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.networks import with_classes
from woosh.taggers.passt_weights import load_passt
from woosh.taggers.tagger import FrontEnd, load_tagger
from woosh.training.aligner.caption_pairs import PairBatch
from woosh.training.aligner.contrastive import Embedded, Temperature, gather_rows
from woosh.training.styles import StyleConfig, freq_mixstyle


class Towers(nn.Module):
    """What is trained: both towers, their heads and the temperature.

    Args:
        clap: the aligner.
        temperature: of the similarities.
        learned_temperature: whether it is trained.
        train_text: the text encoder too, not only its head.
    """

    def __init__(
        self, clap: WooshClap, temperature: float, learned_temperature: bool, train_text: bool
    ) -> None:
        super().__init__()
        self.audio_encoder, self.head = clap.audio_encoder, clap.head
        self.text_encoder = clap.text_encoder.requires_grad_(train_text)
        self.temperature = Temperature(temperature, learned_temperature)
        self.train_text = train_text

    def train(self, mode: bool = True) -> Towers:
        """A locked text encoder stays in evaluation mode."""
        super().train(mode)
        self.text_encoder.train(mode and self.train_text)
        return self


@dataclass(frozen=True)
class AlignerBatch:
    """What a training step of the aligner sees.

    Attributes:
        log_mel: of all segments of B sounds, those of the first one first (N, bands, T).
        counts: segments of each sound (B), N in all.
        input_ids: of the captions (B, L).
        mask: of their real tokens (B, L).
    """

    log_mel: Tensor
    counts: tuple[int, ...]
    input_ids: Tensor
    mask: Tensor


def embedding_step(model: Towers, batch: AlignerBatch) -> Embedded:
    """Embed sounds and captions."""
    features = features_of(model.audio_encoder, batch.log_mel)  # (N, audio_width)
    means = torch.stack([part.mean(dim=0) for part in features.split(list(batch.counts))])
    audio = functional.normalize(model.head.audio(means), dim=-1).float()  # (B, D)
    states = model.text_encoder(batch.input_ids, batch.mask)
    text = model.head.embed_states(states, batch.mask).float()  # (B, D)
    return Embedded(audio, text, model.temperature())


@dataclass(frozen=True)
class MaskSizes:
    """How much of a spectrogram is hidden in training (SpecAugment, arXiv 1904.08779)."""

    frequency_mask: int  # widest, in bands
    time_mask: int  # longest, in frames


def aligner_batch(
    pairs: PairBatch,
    clap: WooshClap,
    masks: MaskSizes,
    generator: torch.Generator,
    device: torch.device,
) -> AlignerBatch:
    """What the training step sees of pairs.

    Args:
        pairs: sounds and captions.
        clap: the aligner.
        masks: of the spectrograms.
        generator: of the masks, on the CPU.
        device: of the result.
    """
    audio, counts = cut(pairs, clap)
    log_mel = clap.log_mel.augmented(
        audio.to(device), generator, masks.frequency_mask, masks.time_mask
    )
    captions = [normalise_text(caption) for caption in pairs.captions]
    ids, mask = tokenize(clap.tokenizer, captions, clap.text_encoder.config.max_tokens)
    return AlignerBatch(log_mel, counts, ids.to(device), mask.to(device))


def in_styles(
    batch: AlignerBatch, config: StyleConfig, generator: np.random.Generator
) -> AlignerBatch:
    """A batch whose segments may mix their statistics, see `freq_mixstyle`."""
    styles = config.draw(len(batch.log_mel), generator)
    if styles is None:
        return batch
    return replace(batch, log_mel=freq_mixstyle(batch.log_mel[:, None], *styles)[:, 0])


def cut(batch: PairBatch, clap: WooshClap) -> tuple[Tensor, tuple[int, ...]]:
    """The segments of all clips of a batch (N, size), and how many each clip has."""
    size = SEGMENT_SECONDS * clap.sample_rate
    counts = rounded_segments(batch.lengths, size)
    padding = clap.head.config.padding
    return cut_segments(batch.audio, batch.lengths, counts, size, padding), tuple(counts.tolist())


@torch.no_grad()
def estimated_scores(
    teachers: Sequence[WooshClap], batch: PairBatch, device: torch.device
) -> Tensor:
    """The teachers' mean cosines of all clips with all captions of all processes (P B, P B)."""
    audio, lengths = batch.audio.to(device), batch.lengths
    scores = [
        gather_rows(teacher.embed_audio(audio, lengths))
        @ gather_rows(teacher.embed_text(batch.captions)).T
        for teacher in teachers
    ]
    return torch.stack(scores).mean(dim=0)


def averaged(
    clap: WooshClap, towers: Towers, batches: Iterable[PairBatch], count: int
) -> WooshClap:
    """An aligner with the moving average of the towers, ready to embed.

    Averaged weights have activations that no step of the training had, and training hears masked
    sounds: batch normalisation gets its statistics anew, from whole ones (arXiv 1803.05407, section 3.2).

    Args:
        clap: what does not train of the aligner.
        towers: the average.
        batches: of sounds.
        count: of the batches from which the statistics are measured.
    """
    device = next(towers.parameters()).device

    def log_mels() -> Iterator[Tensor]:
        for batch in itertools.islice(batches, count):
            # As a MobileNet takes them: PaSST has no batch normalisation, and nothing is drawn for it.
            yield clap.log_mel(cut(batch, clap)[0].to(device))[:, None]

    update_bn(log_mels(), towers.audio_encoder)
    return WooshClap(
        towers.audio_encoder, towers.head, towers.text_encoder, clap.tokenizer, clap.log_mel
    )


def build_audio_encoder(
    name: str, mobilenet_width: float, weights: str | None, patchout: dict[str, int]
) -> tuple[Any, int]:
    """A MobileNet or a published PaSST, and the width of its features.

    Args:
        name: "mobilenet", or the name of a variant of PaSST.
        mobilenet_width: of a fresh MobileNet.
        weights: what a MobileNet starts from, whose width counts: a tagger's name, folder or file; None starts fresh.
            For a PaSST, the file of its weights.
        patchout: `patchout_time` and `patchout_frequency` of a PaSST.

    Raises:
        FileNotFoundError: there is no such tagger.
        ValueError: a PaSST without weights, or a tagger that is no MobileNet with the usual front end.
    """
    if name == "mobilenet":
        mobilenet = MobileNet(mobilenet_width) if weights is None else _tower(weights)
        return mobilenet, mobilenet.feature_width
    if weights is None:
        raise ValueError(
            f"audio_encoder {name} starts from published weights: name their file in audio_weights"
        )
    passt = load_passt(weights, name, patchout=patchout)
    return passt, passt.config.width


def _tower(weights: str) -> MobileNet:
    """The network of a tagger, without its head."""
    tagger = load_tagger(weights)
    network = with_classes(tagger.network, None)
    if not isinstance(network, MobileNet) or tagger.front_end != FrontEnd():
        raise ValueError(
            f"audio_weights {weights} is a {type(network).__name__} with {tagger.front_end}: name a MobileNet with "
            "the usual front end"
        )
    return network.train()
