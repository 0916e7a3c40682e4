"""Variations of log-mel spectrograms for training the classifier."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from woosh.audio.spectra import hertz_to_mel, mel_to_hertz
from woosh.taggers.classifier import FLOOR, normalise


class SpectrumAugmentation(NamedTuple):
    """How far training spectra are bent; probabilities are per clip."""

    speed: float = 0.12  # largest relative change of speed, and of pitch
    colour: float = 5.0  # dB, deviation of the smooth frequency response
    low_pass: float = 0.3  # probability
    noise: float = 0.4  # probability
    reverberation: float = 0.25  # probability
    jitter: float = 3.0  # dB, largest deviation of the single points
    blur: float = 0.4  # probability
    mixup: float = 0.5  # probability
    masks: int = 2  # of each kind


def fill(decibels: Tensor, frames: int, generator: torch.Generator) -> Tensor:
    """Cuts or lengthens one spectrogram (bands, T) to a number of frames, at a random place.

    Half of the clips lose their silent ends and repeat with random pauses until the time is full:
    a recording padded with zeros must not be told from a generated clip by its padding.
    """
    loud = torch.nonzero(decibels.amax(dim=0) > -50.0).flatten()
    repeat = len(loud) > 0 and torch.rand((), generator=generator) < 0.5
    if repeat:
        decibels = decibels[:, loud[0] : loud[-1] + 1]
        longest = int(torch.randint(1, 60, (), generator=generator))
        parts = []
        while sum(part.shape[1] for part in parts) < frames:
            pause = int(torch.randint(0, longest, (), generator=generator))
            gain = 6.0 * torch.rand((), generator=generator)
            parts += [decibels - gain, decibels.new_full((len(decibels), pause), FLOOR)]
        decibels = torch.cat(parts, dim=1)
    spare = decibels.shape[1] - frames
    start = int(torch.randint(0, abs(spare) + 1, (), generator=generator))
    if spare >= 0:
        decibels = decibels[:, start : start + frames]
    else:
        decibels = functional.pad(decibels, (start, -spare - start), value=FLOOR)
    return decibels.roll(int(torch.randint(0, frames, (), generator=generator)), dims=1)


def augment(
    decibels: Tensor, targets: Tensor, settings: SpectrumAugmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Bends a batch so that only the kind of event stays recognisable.

    Args:
        decibels: (B, bands, T), from `fill`.
        targets: Class probabilities (B, classes).
        settings: How far.
        generator: Of all randomness.

    Returns:
        The new spectra and, after mixing, the new targets, both of the same shapes.
    """
    decibels = warp(decibels, settings.speed, generator)
    decibels = colour(decibels, settings, generator)
    power = (10.0 ** (decibels / 10.0)) * (decibels > FLOOR)
    power = reverberate(power, settings.reverberation, generator)
    power, targets = mix(power, targets, settings.mixup, generator)
    power = add_noise(power, settings.noise, generator)
    decibels = normalise(10.0 * power.clamp(min=1e-9).log10())
    decibels = smear(decibels, settings, generator)
    floor = uniform(len(decibels), FLOOR, -45.0, generator)[:, None, None]
    gain = uniform(len(decibels), -6.0, 6.0, generator)[:, None, None]
    decibels = (decibels.maximum(floor) + gain).clamp(min=FLOOR)
    return mask(decibels, settings.masks, generator), targets


def uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Uniform random numbers (count,)."""
    return low + (high - low) * torch.rand(count, generator=generator)


def chosen(count: int, probability: float, generator: torch.Generator) -> Tensor:
    """Random choice (count, 1, 1) of clips that an augmentation applies to."""
    return (torch.rand(count, generator=generator) < probability)[:, None, None]


def warp(decibels: Tensor, limit: float, generator: torch.Generator) -> Tensor:
    """Changes speed and pitch independently by up to the given share."""
    count, bands, frames = decibels.shape
    speed, pitch = (1.0 + uniform(count, -limit, limit, generator) for _ in range(2))
    edges = hertz_to_mel(torch.tensor([30.0, 16_000.0], dtype=torch.float64))
    centres = torch.linspace(float(edges[0]), float(edges[1]), bands, dtype=torch.float64)
    moved = hertz_to_mel(mel_to_hertz(centres) / pitch[:, None])  # (B, bands)
    rows = 2.0 * (moved - edges[0]) / (edges[1] - edges[0]) - 1.0
    columns = torch.linspace(-1.0, 1.0, frames) * speed[:, None]  # (B, T)
    grid = torch.stack(
        [
            columns[:, None, :].expand(count, bands, frames),
            rows.float()[:, :, None].expand(count, bands, frames),
        ],
        dim=-1,
    )
    shifted = functional.grid_sample(
        decibels[:, None] - FLOOR, grid, padding_mode="zeros", align_corners=True
    )
    return shifted[:, 0] + FLOOR


def colour(decibels: Tensor, settings: SpectrumAugmentation, generator: torch.Generator) -> Tensor:
    """Smooth random frequency responses, and low-pass slopes for some clips."""
    count, bands, _ = decibels.shape
    position = torch.linspace(0.0, math.pi, bands)
    waves = torch.cos(position * torch.arange(1, 7)[:, None])  # (6, bands)
    weights = torch.randn(count, 6, generator=generator) * settings.colour / math.sqrt(6.0)
    corner = uniform(count, 0.45 * bands, bands, generator)[:, None]
    slope = uniform(count, 1.0, 8.0, generator)[:, None]  # dB per band
    low_pass = slope * (torch.arange(bands) - corner).clamp(min=0.0)
    response = weights @ waves - low_pass * chosen(count, settings.low_pass, generator)[:, 0]
    silent = decibels <= FLOOR
    return torch.where(silent, FLOOR, decibels + response[:, :, None])


def reverberate(power: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Exponential tails over time, -60 dB after 0.2 to 2 s at 50 frames per second, some dry."""
    count, _, frames = power.shape
    decay = uniform(count, 10.0, 100.0, generator)[:, None]
    tail = 10.0 ** (-6.0 * torch.arange(frames) / decay)  # (B, T)
    spectrum = torch.fft.rfft(power, 2 * frames) * torch.fft.rfft(tail, 2 * frames)[:, None]
    wet = torch.fft.irfft(spectrum, 2 * frames)[..., :frames].clamp(min=0.0)
    share = uniform(count, 0.02, 0.4, generator)[:, None, None]
    return power + wet * share * chosen(count, probability, generator)


def mix(
    power: Tensor, targets: Tensor, probability: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Adds a random other clip of the batch to some; targets mix like the amplitudes."""
    count = len(power)
    partner = torch.randperm(count, generator=generator)
    share = uniform(count, 0.0, 0.5, generator) * chosen(count, probability, generator)[:, 0, 0]
    share = share[:, None]
    mixed = (1.0 - share)[..., None] ** 2 * power + share[..., None] ** 2 * power[partner]
    return mixed, (1.0 - share) * targets + share * targets[partner]


def add_noise(power: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Steady noise of random tilt, 25 to 65 dB under the loudest point, in some clips."""
    count, bands, _ = power.shape
    level = uniform(count, -65.0, -25.0, generator)[:, None]
    tilt = uniform(count, -15.0, 15.0, generator)[:, None]
    curve = level + tilt * torch.linspace(-1.0, 1.0, bands)  # (B, bands) dB
    points = torch.empty_like(power).exponential_(generator=generator)
    loudest = power.amax(dim=(1, 2), keepdim=True)
    noise = loudest * 10.0 ** (curve[:, :, None] / 10.0) * points
    return power + noise * chosen(count, probability, generator)


def smear(decibels: Tensor, settings: SpectrumAugmentation, generator: torch.Generator) -> Tensor:
    """What a coarse synthesis does: points jitter, and edges blur over time and frequency."""
    count = len(decibels)
    blurred = functional.avg_pool2d(decibels[:, None], 3, stride=1, padding=1)[:, 0]
    blurred = torch.where(chosen(count, settings.blur, generator), blurred, decibels)
    deviation = uniform(count, 0.0, settings.jitter, generator)[:, None, None]
    jitter = torch.randn(decibels.shape, generator=generator) * deviation
    return torch.where(blurred > FLOOR, blurred + jitter, blurred)


def mask(decibels: Tensor, masks: int, generator: torch.Generator) -> Tensor:
    """Blanks bands of frequency (up to 8) and of time (up to 0.6 s): SpecAugment, 1904.08779."""
    count, bands, frames = decibels.shape
    for dimension, length, widest in ((1, bands, 8), (2, frames, 30)):
        position = torch.arange(length)
        for _ in range(masks):
            width = uniform(count, 0.0, widest, generator)[:, None]
            start = uniform(count, 0.0, length, generator)[:, None]
            hidden = (position >= start) & (position < start + width)  # (B, length)
            decibels = decibels.masked_fill(hidden.unsqueeze(3 - dimension), FLOOR)
    return decibels
