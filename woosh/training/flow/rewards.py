"""How well a generated sound is heard as what it was asked for: rewards of latents, without making audio of them.

The ear is a tagger, the judge of words an aligner. Both hear a log-mel spectrogram, and a mel autoencoder's latents are
nearly one: its powers are spread over frequency and gathered again in the listeners' bands, so that neither magnitudes
nor phases are searched for. Rewards are for training only: what they raise must be told by ears that took no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from woosh.autoencoder import WooshMelAutoencoder, load_autoencoder
from woosh.autoencoder.mel import TINY, powers
from woosh.embeddings.clap import WooshClap, features_of, load_clap
from woosh.taggers import load_tagger
from woosh.taggers.log_mel import LOG_FLOOR, PRE_EMPHASIS, LogMel, scale
from woosh.taggers.tagger import AudioTagger

LEAST_PROBABILITY = 1e-3  # below it a label is not heard at all
LABELS_OF_A_SOUND = 5  # that say what a recording is


@dataclass(frozen=True)
class EarsConfig:
    """Who hears latents, and through what."""

    autoencoder: str  # folder of a mel autoencoder
    latent_doubt: float  # see `WooshMelAutoencoder.draw`
    tagger: str  # a built-in model, a folder or a file
    aligner: str  # a built-in model or a folder


@dataclass(frozen=True)
class Heard:
    """What the listeners make of sounds.

    Attributes:
        probabilities: of the tagger's labels (B, L).
        embeddings: of the aligner, of length 1 (B, D).
    """

    probabilities: Tensor
    embeddings: Tensor


class LatentListener(nn.Module):
    """Latents -> what a tagger and an aligner hear in them.

    Args:
        autoencoder: of the latents.
        tagger: with the usual front end of 128 bands and 10 ms.
        aligner: with the same front end.
        doubt: of the latents, see `WooshMelAutoencoder.draw`.

    Raises:
        ValueError: another front end, or frames of another length than the autoencoder's.
    """

    gathering: Tensor

    def __init__(
        self,
        autoencoder: WooshMelAutoencoder,
        tagger: AudioTagger,
        aligner: WooshClap,
        doubt: float,
    ) -> None:
        super().__init__()
        self.autoencoder, self.tagger, self.doubt = autoencoder, tagger, doubt
        self.audio_encoder, self.head = aligner.audio_encoder, aligner.head
        sample_rate = autoencoder.config.sample_rate
        for front in (tagger.log_mel, aligner.log_mel):
            if front.bands != 128 or front.hop_length / front.sample_rate != (
                autoencoder.frame_length / sample_rate
            ):
                raise ValueError(
                    f"the listeners must have 128 bands and frames of {autoencoder.frame_length / sample_rate:.4f} s, "
                    f"as the autoencoder's are, not {front.bands} and {front.hop_length / front.sample_rate:.4f} s"
                )
        self.register_buffer("gathering", gathering_of(autoencoder, tagger.log_mel))
        self.requires_grad_(False)

    def log_mel(self, latents: Tensor) -> Tensor:
        """Latents (B, C, T) -> what the listeners' front end would make of their sound (B, bands, T frames), about."""
        channels = self.autoencoder.draw(latents, self.doubt)
        power = powers(self.autoencoder.levels_of(channels).float())
        return scale(torch.log(self.gathering @ power + LOG_FLOOR))

    @torch.no_grad()
    def forward(self, latents: Tensor) -> Heard:
        """Latents (B, C, T) -> what is heard."""
        log_mel = self.log_mel(latents)
        probabilities = self.tagger.network(log_mel[:, None]).logits.float().sigmoid()
        embeddings = self.head.audio(features_of(self.audio_encoder, log_mel))
        return Heard(probabilities, nn.functional.normalize(embeddings.float(), dim=-1))


def load_listener(config: EarsConfig) -> LatentListener:
    """The listener of a recipe, on the CPU.

    Raises:
        ValueError: the autoencoder's latents are no spectrogram.
    """
    autoencoder = load_autoencoder(config.autoencoder, torch.float32)
    if not isinstance(autoencoder, WooshMelAutoencoder):
        raise ValueError(f"{config.autoencoder} is no mel autoencoder: its latents cannot be heard")
    tagger, aligner = load_tagger(config.tagger), load_clap(config.aligner)
    return LatentListener(autoencoder, tagger, aligner, config.latent_doubt).eval()


def gathering_of(autoencoder: WooshMelAutoencoder, front: LogMel) -> Tensor:
    """A matrix (bands, bands) from powers in an autoencoder's bands to those in the bands of a listener's front end.

    A band's power is spread evenly over its frequencies, emphasised as the front end does, scaled to its window and
    gathered in its bands. Exact for noise whose spectrum is flat within the bands.
    """
    rate, filters = autoencoder.config.sample_rate, autoencoder.filters  # (bands, F)
    reach, width = filters.sum(dim=0).clamp_min(TINY), filters.sum(dim=1).clamp_min(TINY)
    spread = (filters / width[:, None] / reach).T  # (F, bands)
    frequencies = torch.arange(front.n_fft // 2 + 1) * front.sample_rate / front.n_fft
    position = frequencies * autoencoder.n_fft / rate
    below = position.floor().long().clamp(max=len(spread) - 2)
    above = (position - below)[:, None]
    density = (1 - above) * spread[below] + above * spread[below + 1]  # (F', bands)
    turn = 2 * torch.pi * frequencies / front.sample_rate
    emphasis = 1 + PRE_EMPHASIS**2 - 2 * PRE_EMPHASIS * turn.cos()
    own = torch.hann_window(autoencoder.n_fft).square().sum() / rate
    theirs = front.window.square().sum() / front.sample_rate
    # Noise keeps its power for each Hz: its samples have less power where less of the spectrum is kept.
    kept = theirs / own * (front.sample_rate / rate) ** 2
    return front.filters @ (kept * emphasis[:, None] * density)


def likeness(heard: Tensor, recorded: Tensor, usual: Tensor) -> tuple[Tensor, Tensor]:
    """How strongly each sound's recording is heard in it, and how much the recording itself says.

    A recording is told by the labels that are heard in it more than usual, each weighed by its share of the divergence,
    p log(p / usual). The likeness is the mean logarithm of the sound's probabilities under these weights.

    Args:
        heard: probabilities of the sounds (B, K, L), K of each recording.
        recorded: of the recordings (B, L).
        usual: mean probabilities of recordings (L,).

    Returns:
        (B, K) likeness, at most 0, and (B,) the divergence of the labels that count.
    """
    divergence = (recorded * (recorded.clamp_min(TINY) / usual.clamp_min(TINY)).log()).clamp_min(0)
    strongest, labels = divergence.topk(min(LABELS_OF_A_SOUND, divergence.shape[1]), dim=1)
    weights = strongest / strongest.sum(dim=1, keepdim=True).clamp_min(TINY)
    chosen = heard.gather(2, labels[:, None].expand(-1, heard.shape[1], -1))
    return (weights[:, None] * (chosen + LEAST_PROBABILITY).log()).sum(dim=2), strongest.sum(dim=1)


def advantages(rewards: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """How much better each sound is than the others of its prompt, in deviations: (B, K) each -> (B, K).

    Every reward counts by its share after division by its mean deviation within the groups.
    """
    total = torch.zeros_like(rewards[0])
    for reward, share in zip(rewards, shares, strict=True):
        centred = reward - reward.mean(dim=1, keepdim=True)
        deviation = centred.square().mean().sqrt()
        total = total + share * centred / deviation.clamp_min(1e-6)
    return total
