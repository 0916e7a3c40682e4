"""A finished sound: no offset, no silence at its ends, no clicks, at its loudness, below its peak.

Everything here takes and gives (C, S) float32 in NumPy and changes nothing in place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from woosh.audio.levels import (
    levelling_loudness,
    levelling_measure,
    normalise_loudness,
    true_peak_guard,
)
from woosh.audio.trimming import Region, Trim, find_sound
from woosh.audio.true_peak import decibels, true_peak

LOUDNESS = -23.0  # LUFS, of EBU R 128
TRUE_PEAK = -1.0  # dBTP
SHORT_FADE, LONG_FADE = 0.003, 0.020  # seconds: an event's beginning keeps its attack
SHORTEST_PART = 4  # a fade takes no more than this part of a sound
SILENT_EDGE = 1e-3  # of the peak: -60 dB
EDGE_SECONDS = 1 / 16_000  # that tell whether a sound begins or ends in the middle


@dataclass(frozen=True)
class FinishSettings:
    """What a sound is brought to.

    Attributes:
        trim: how silence at the ends is found and cut off; None keeps the length.
        samples: the exact length of the result: silence is added behind, or the end is cut; None leaves it.
        loop: whether the end goes on at the beginning: nothing is trimmed, and no edge is faded.
        loudness: in LUFS, from -70 to 0 (see `levelling_measure`); None leaves the level, if the peak allows it.
        true_peak: largest, in dB of full scale, 0 or less. It goes before the loudness.
    """

    trim: Trim | None = field(default_factory=Trim)
    samples: int | None = None
    loop: bool = False
    loudness: float | None = LOUDNESS
    true_peak: float = TRUE_PEAK

    def __post_init__(self) -> None:
        if self.samples is not None and self.samples < 1:
            raise ValueError(f"samples must be 1 or more, got {self.samples}")
        if self.loudness is not None and not -70 <= self.loudness <= 0:
            raise ValueError(f"loudness must be between -70 and 0 LUFS, got {self.loudness:g}")
        if not self.true_peak <= 0:
            raise ValueError(f"true_peak must be 0 dB or less, got {self.true_peak!r}")


@dataclass(frozen=True, eq=False)
class Finished:
    """A finished sound and what was done to it.

    Attributes:
        audio: (C, S) float32.
        region: what was kept of the sound that came in, in its samples.
        offset: (C,) that was taken away, in parts of full scale.
        fades: samples that were faded in and out; 0 where the edge was silent.
        loudness: in LUFS, before silence was added; -inf for silence.
        measure: of the loudness, "integrated" or "momentary" (see `levelling_measure`).
        reached: whether that is the loudness asked for, within .1 LU; true if none was.
        true_peak: in dB of full scale, -inf for silence.
    """

    audio: np.ndarray
    region: Region
    offset: np.ndarray
    fades: tuple[int, int]
    loudness: float
    measure: str
    reached: bool
    true_peak: float

    def record(self) -> dict[str, str | float]:
        """What a file keeps of it."""
        return {
            "loudness": round(self.loudness, 1),
            "loudness_measure": self.measure,
            "true_peak": round(self.true_peak, 1),
        }


def finish(
    audio: np.ndarray, sample_rate: int = 48_000, settings: FinishSettings | None = None
) -> Finished:
    """Finish (C, S) audio: trim, take the offset away, fade, level, and bring to a length, in this order.

    The result is longer than what came in only if `settings.samples` is. Finishing a finished sound changes next to
    nothing.

    Args:
        audio: (C, S), finite.
        sample_rate: in Hz.
        settings: see `FinishSettings`; None takes its defaults.

    Raises:
        ValueError: audio of another shape, or empty.
    """
    settings = settings or FinishSettings()
    if audio.ndim != 2 or audio.size == 0:
        raise ValueError(f"audio must be (channels, samples) and not empty, got {audio.shape}")
    shaped = _shape(audio, sample_rate, settings)
    sound = shaped.audio
    ceiling = 10 ** (settings.true_peak / 20)
    if settings.loudness is None:
        sound, reached = true_peak_guard(sound, ceiling), True
        loudness = levelling_loudness(sound, sample_rate)
    else:
        sound, loudness, reached = normalise_loudness(
            sound, settings.loudness, sample_rate, ceiling
        )
    return Finished(
        audio=of_length(sound, settings.samples),
        region=shaped.region,
        offset=shaped.offset,
        fades=shaped.fades,
        loudness=loudness,
        measure=levelling_measure(sound, sample_rate),
        reached=reached,
        true_peak=decibels(true_peak(sound)),
    )


class _Shaped(NamedTuple):
    audio: np.ndarray
    region: Region
    offset: np.ndarray
    fades: tuple[int, int]


def _shape(audio: np.ndarray, sample_rate: int, settings: FinishSettings) -> _Shaped:
    """Trimmed, without its offset and faded; once more if silence shows that the offset had hidden."""
    trim = None if settings.loop else settings.trim
    region = find_sound(audio, sample_rate, trim or Trim())
    if trim is None:
        region = region._replace(start=0, end=audio.shape[1])
    while True:
        kept = audio[:, region.start : region.end][:, : settings.samples]
        fades = (0, 0) if settings.loop else needed_fades(kept, sample_rate, region.steady)
        weights = envelope(kept.shape[1], *fades)
        offset = offset_under(kept, weights)
        sound = ((kept - offset[:, None]) * weights).astype(np.float32)
        rest = None if trim is None else find_sound(sound, sample_rate, trim)
        if rest is None or (rest.start, rest.end) == (0, sound.shape[1]):
            return _Shaped(sound, region, offset, fades)
        region = rest._replace(start=region.start + rest.start, end=region.start + rest.end)


def needed_fades(audio: np.ndarray, sample_rate: int, steady: bool) -> tuple[int, int]:
    """Samples of a fade in and of a fade out for (C, S) audio, 0 where its edge is silent.

    An edge is silent if its first or last 1/16 ms stays 60 dB below the peak. An event fades in within 3 ms, everything else
    within 20 ms, and no fade takes more than a quarter of the sound.
    """
    edge = max(1, round(EDGE_SECONDS * sample_rate))
    amplitude = np.abs(audio - audio.mean(axis=1, keepdims=True))
    silent = SILENT_EDGE * amplitude.max()
    longest = audio.shape[1] // SHORTEST_PART
    lengths = (LONG_FADE if steady else SHORT_FADE, LONG_FADE)
    edges = (amplitude[:, :edge], amplitude[:, -edge:])
    fade_in, fade_out = (
        min(round(seconds * sample_rate), longest) if part.max() > silent else 0
        for seconds, part in zip(lengths, edges, strict=True)
    )
    return fade_in, fade_out


def envelope(samples: int, fade_in: int, fade_out: int) -> np.ndarray:
    """Weights (samples,): sin^2(pi n / 2N) over the N samples that fade in, its mirror image at the end, 1 between."""
    weights = np.ones(samples)
    for size, part in ((fade_in, weights), (fade_out, weights[::-1])):
        part[:size] = np.sin(np.pi / 2 * np.arange(size) / max(size, 1)) ** 2
    return weights


def offset_under(audio: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The offset m (C,) that leaves w (x - m) without a mean: sum(w x) / sum(w)."""
    total = weights.sum()
    return (audio @ weights) / total if total > 0 else np.zeros(len(audio))


def of_length(audio: np.ndarray, samples: int | None) -> np.ndarray:
    """(C, S) audio with silence behind it, up to a length that is not shorter."""
    missing = 0 if samples is None else samples - audio.shape[1]
    return np.pad(audio, ((0, 0), (0, missing)))
