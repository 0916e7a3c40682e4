"""How a sound is stored: format, bits of a sample, rate. Everything that libsndfile writes and sound tools read."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

RATES = (44_100, 48_000, 96_000)  # Hz, that can be asked for


class _Kind(NamedTuple):
    """What libsndfile calls a format, and what this holds."""

    container: str
    subtypes: dict[int, str]  # by bits of a sample, the usual ones first; 0 where there are none
    rates: tuple[int, ...]  # Hz; none: any

    @property
    def lossy(self) -> bool:
        """Whether what is read differs from what was written."""
        return 0 in self.subtypes


_KINDS = {
    "wav": _Kind("WAV", {24: "PCM_24", 16: "PCM_16", 32: "FLOAT"}, ()),
    "flac": _Kind("FLAC", {24: "PCM_24", 16: "PCM_16"}, ()),
    "ogg": _Kind("OGG", {0: "VORBIS"}, ()),
    "opus": _Kind("OGG", {0: "OPUS"}, (48_000,)),
    "mp3": _Kind("MP3", {0: "MPEG_LAYER_III"}, (32_000, 44_100, 48_000)),
}
FORMATS = tuple(_KINDS)
DEPTHS = (16, 24, 32)

# Largest peak to encode: what is read back overshoots it. Of 100 recordings, Vorbis and MP3 raise none by more than 14 %, and
# Opus 95 by less than 12 %. The few that still pass 1 are encoded once more, lower (`woosh.audio.writing`).
CEILINGS = {name: 0.85 if kind.lossy else 1.0 for name, kind in _KINDS.items()}


@dataclass(frozen=True)
class Encoding:
    """How a file holds a sound.

    Attributes:
        format: one of `FORMATS`, also the file's extension: `ogg` is Vorbis, `opus` Opus in the same container.
        depth: bits of a sample: 16 (with dither), 24, or 32 (floating point, `wav` only). None is 24; lossy formats have none.
        sample_rate: one of `RATES`; None leaves the sound's own, or takes 48 kHz where the format cannot hold that.

    Raises:
        ValueError: a value that is none of these, or that the format does not hold.
    """

    format: str = "wav"
    depth: int | None = None
    sample_rate: int | None = None

    def __post_init__(self) -> None:
        if self.format not in _KINDS:
            raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {self.format!r}")
        kind = self._kind
        if self.depth is not None and self.depth not in kind.subtypes:
            held = " or ".join(str(depth) for depth in sorted(kind.subtypes) if depth)
            rest = f"holds {held} bits" if held else "is lossy and has no bits of a sample"
            raise ValueError(f"{self.format} {rest}: leave out depth {self.depth}, or take wav")
        if self.sample_rate is None:
            return
        if self.sample_rate not in RATES:
            known = ", ".join(map(str, RATES))
            raise ValueError(f"sample rate must be one of {known} Hz, not {self.sample_rate}")
        if kind.rates and self.sample_rate not in kind.rates:
            held = " or ".join(str(rate) for rate in kind.rates if rate in RATES)
            raise ValueError(
                f"{self.format} holds {held} Hz, not {self.sample_rate}: leave out the rate, or take wav, flac or ogg"
            )

    @property
    def _kind(self) -> _Kind:
        return _KINDS[self.format]

    @property
    def container(self) -> str:
        """What libsndfile calls the format."""
        return self._kind.container

    @property
    def subtype(self) -> str:
        """What libsndfile calls the samples' form."""
        kinds = self._kind.subtypes
        return next(iter(kinds.values())) if self.depth is None else kinds[self.depth]

    @property
    def lossy(self) -> bool:
        """Whether what is read differs from what was written."""
        return self._kind.lossy

    def rate_of(self, sound_rate: int) -> int:
        """The rate in the file of a sound of a rate, in Hz."""
        if self.sample_rate is not None:
            return self.sample_rate
        held = self._kind.rates
        return sound_rate if not held or sound_rate in held else 48_000


def format_of(path: Path) -> str:
    """Return the format that a file's extension names, one of `FORMATS`.

    Raises:
        ValueError: another extension or none.
    """
    extension = path.suffix.lower().removeprefix(".")
    if extension not in FORMATS:
        known = ", ".join(f".{name}" for name in FORMATS)
        raise ValueError(f"cannot write {path.name!r}: its extension must be one of {known}")
    return extension


def dithered(audio: np.ndarray) -> np.ndarray:
    """Round (C, S) audio to 16 bits under triangular noise of one step to either side, as int16.

    The noise makes the error independent of the sound (Lipshitz, Wannamaker and Vanderkooy, "Quantization and Dither", 1992).
    It is drawn from the sound itself, so the same sound always gives the same numbers.
    """
    generator = np.random.default_rng(zlib.crc32(audio.tobytes()))
    noise = generator.random(audio.shape, np.float32) - generator.random(audio.shape, np.float32)
    return np.clip(np.rint(audio * np.float32(2**15) + noise), -(2**15), 2**15 - 1).astype(np.int16)
