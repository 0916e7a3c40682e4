"""From recordings to the latents that a flow is trained on: pieces, their variations, and the weight of each channel."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from woosh.audio.spectra import MEL_FLOOR, mel_filters
from woosh.autoencoder import Autoencoder, WooshMelAutoencoder
from woosh.data.augmentation import at_fine_speed, coloured, mixed_as_equals, through_response
from woosh.data.clips import Clip
from woosh.training.cropping import happens

CONTINUOUS_SECONDS = 2.5  # a shorter sound counts as one event, however it ends
QUIETEST_PEAK = 1e-3
INAUDIBLE = 0.01  # of the loudest moment
AT_THE_END = (
    0.18  # of the root mean square of the whole: what is not much quieter at its end, goes on
)
DISTURBANCE = 0.3  # standard deviation of the noise that measures a channel's weight
MEL_BANDS = 64
JOINING_WORD = "and"


@dataclass(frozen=True)
class Variations:
    """Which versions of a recording are encoded beside itself.

    Attributes:
        speeds: 1.0 is the recording itself, as it is; pitch and length change together.
        colour_decibels: deviation of the smooth random filter that colours every other version.
        mixed_share: of these, with another sound of the same label under them.
        joined_share: of these, beside any other sound and under both captions.
        response_share: of these, through an impulse response.
        polarity_share: of these, turned upside down.
    """

    speeds: tuple[float, ...]
    colour_decibels: float
    mixed_share: float
    joined_share: float
    response_share: float
    polarity_share: float


class Company(NamedTuple):
    """What a recording may be mixed with."""

    same_label: Sequence[Clip] = ()  # clips that may lie under it; itself among them is passed over
    any_label: Sequence[Clip] = ()  # clips that it may be joined with
    responses: Sequence[np.ndarray] = ()  # impulse responses (R,) that it may go through


def continuous_part(audio: np.ndarray, sample_rate: int) -> np.ndarray | None:
    """Audio (S,) without the silence after it, if it would go on where it ends; None for an event that is over.

    Steady sounds such as rain or an engine are cut somewhere, and some recordings of them are filled up by
    silence. A model that saw silence follow them would let a sound of any length end early.
    """
    moments = np.array_split(audio, max(1, len(audio) * 20 // sample_rate))  # of 50 ms
    levels = np.array([np.sqrt(np.mean(np.square(moment))) for moment in moments])
    last = int(np.flatnonzero(levels > INAUDIBLE * levels.max())[-1])
    heard = audio[: sum(len(moment) for moment in moments[: last + 1])]
    end = heard[-round(0.3 * sample_rate) :]
    if len(heard) < CONTINUOUS_SECONDS * sample_rate:
        return None
    goes_on = np.mean(np.square(end)) >= AT_THE_END**2 * np.mean(np.square(heard))
    return heard if goes_on else None


class Piece(NamedTuple):
    """A part of a recording, and whether its sound goes on by repetition or is an event, after which there is silence."""

    clip: Clip
    continuous: bool


def pieces_of(clip: Clip, longest: float, sample_rate: int) -> Iterator[Piece]:
    """Cut a clip into pieces of `longest` seconds at most, the audible ones.

    What remains of a long recording is left out where it is too short to tell.
    """
    size = round(longest * sample_rate)
    rest = round(min(CONTINUOUS_SECONDS, longest / 2) * sample_rate)
    for start in range(0, max(1, len(clip.audio) - rest), size):
        audio = clip.audio[start : start + size]
        if np.abs(audio).max() > QUIETEST_PEAK:
            steady = continuous_part(audio, sample_rate)
            audio = audio if steady is None else steady
            yield Piece(dataclasses.replace(clip, audio=audio), steady is not None)


def mixed(audio: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Audio (S,) with another sound under it, 3 to 12 dB weaker, from a random place of it on or in it."""
    level = np.sqrt(np.mean(np.square(audio)) / np.mean(np.square(other)))
    place = int(generator.integers(-len(other) // 2, max(1, len(audio) // 2)))
    other = other[max(0, -place) :][: len(audio) - max(0, place)]
    under = np.zeros_like(audio)
    under[max(0, place) : max(0, place) + len(other)] = other
    return audio + level * 10.0 ** (generator.uniform(-12.0, -3.0) / 20.0) * under


def versions(
    clip: Clip, company: Company, variations: Variations, seed: int, sample_rate: int
) -> Iterator[Clip]:
    """Yield a recording and its variations, which follow from the seed and its name; procedural sounds come as they are.

    Args:
        clip: the recording, or a piece of one.
        company: what it may be mixed with.
        variations: which.
        seed: of all draws.
        sample_rate: in Hz.
    """
    generator = np.random.default_rng((seed, *clip.name.encode()))
    companions = [other for other in company.same_label if other.name != clip.name]
    others, responses = company.any_label, company.responses

    for speed in (1.0,) if clip.name.startswith("procedural/") else variations.speeds:
        if speed == 1.0:
            yield clip
            continue
        audio, captions = at_fine_speed(clip.audio, speed, sample_rate), clip.captions
        if companions and generator.random() < variations.mixed_share:
            other = companions[int(generator.integers(len(companions)))]
            audio = mixed(audio, other.audio, generator)
        if others and happens(variations.joined_share, generator):
            other = others[int(generator.integers(len(others)))]
            audio = mixed_as_equals(audio, other.audio[: len(audio)], generator)
            captions = tuple(
                f"{first} {JOINING_WORD} {second}"
                for first, second in zip(captions, other.captions, strict=False)
            )
        if happens(variations.response_share, generator):
            audio = through_response(audio, responses[int(generator.integers(len(responses)))])
        if happens(variations.polarity_share, generator):
            audio = -audio
        audio = coloured(audio, variations.colour_decibels, generator)
        yield dataclasses.replace(clip, audio=audio, captions=captions)


@torch.no_grad()
def encode_clip(autoencoder: Autoencoder, audio: np.ndarray) -> torch.Tensor:
    """Audio (S,), scaled to a peak of 0.8, -> normalised latents (C, T) of the channels to generate.

    The peak is fixed since the loudness of a recording says nothing about its caption.
    """
    audio = 0.8 * audio / np.abs(audio).max()
    audio = np.pad(audio, (0, max(0, autoencoder.n_fft - len(audio))))
    waveform = torch.from_numpy(audio.astype(np.float32)).to(autoencoder.device)
    return autoencoder.encode_generated(waveform.expand(1, autoencoder.audio_channels, -1))[0].cpu()


@torch.inference_mode()
def channel_weight(
    autoencoder: Autoencoder, clips: Sequence[torch.Tensor], generator: torch.Generator
) -> torch.Tensor:
    """How much noise in each channel alone changes what is heard, (C,) with mean 1.

    Noise of the same size goes into one channel of a clip's first two seconds after the other. The root mean square
    of the change of the head's magnitudes in mel bands, in decades, is the channel's weight: its square would leave
    most channels none.

    Args:
        autoencoder: whose head is asked.
        clips: normalised latents (C, T).
        generator: of the noise, on the CPU.

    Raises:
        ValueError: no clip.
    """
    if not clips:
        raise ValueError("no clip of 10 latent frames or more, by which channels could be weighed")
    channels = autoencoder.generated_channels
    if isinstance(autoencoder, WooshMelAutoencoder):
        # Its components are orthonormal in decades: the change is the unit of each.
        weight = autoencoder.units[:channels].cpu()
        return weight / weight.mean()
    filters = mel_filters(autoencoder.config.sample_rate, autoencoder.n_fft, MEL_BANDS)

    def heard(latents: torch.Tensor) -> torch.Tensor:
        magnitude = autoencoder.spectrum(latents.to(autoencoder.device)).magnitude.cpu()
        return torch.log10((filters @ magnitude).clamp_min(MEL_FLOOR))

    change = torch.zeros(channels)  # summed over the clips
    for clip in clips:
        latents = clip[None, :, : round(2 * autoencoder.latent_rate)]
        noise = DISTURBANCE * torch.randn(channels, latents.shape[2], generator=generator)
        clean = heard(latents)
        for channel in range(channels):
            disturbed = latents.clone()
            disturbed[0, channel] += noise[channel]
            change[channel] += (heard(disturbed) - clean).square().mean()
    weight = change.sqrt()
    return weight / weight.mean()
