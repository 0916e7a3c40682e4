"""Layers: generated and own sounds on a timeline, mixed to two channels.

A layer has a start, a level and a place between the channels. Its part of the mix is its stem; all stems add up to the mix.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from woosh.audio import file_stem, levelling_loudness, loudness, true_peak
from woosh.generation.request import Request, clean_text
from woosh.outside_files import shown
from woosh.studio.batch import seed_of
from woosh.studio.sheets import (
    check_name,
    check_range,
    check_request,
    check_words,
    folded,
    naming,
    read_rows,
)

MOST_LAYERS = 200
LONGEST_MIX = 600.0  # seconds
LONGEST_SUM = 3600.0  # seconds of all layers' sounds together
LEVELS = (-100.0, 40.0)  # dB
SECONDS = r"(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})"
EVENT = re.compile(rf"{SECONDS}(?:\s*-\s*{SECONDS})?\s*s\s+(\S.*)", re.DOTALL)


@dataclass(frozen=True)
class LayerRow:
    """A row of a sheet of layers: a prompt or a file, and where its sound lies in the mix.

    Attributes:
        prompt: what to hear, for a generated sound.
        file: a sound of one's own, beside the sheet or by its full path.
        name: of the stem, without extension; None takes it from the prompt or the file.
        start: seconds of silence before it.
        level: in dB, from -100 to 40, beside a generated sound's -23 LUFS or a file's own level.
        pan: from -1, left, to 1, right; see `pan_gains`.
        fade_in: seconds, see `fade`.
        fade_out: seconds.
        loudness: in LUFS, that the sound is brought to before `level` (see `levelling_loudness`); None leaves it.
        seconds: length, 5 for generated sounds that name none; a file is cut to it.
        negative: what not to hear. Like the following ones, for generated sounds only.
        sound_seconds: length of the sound itself, for models that are told.
        steps: of the solver.
        guidance: how closely to follow the prompt.
        seed: of the noise; None takes it from name and prompt.

    Raises:
        ValueError: a value out of its range, both or neither of prompt and file, or a generator's setting for a file.
    """

    prompt: str | None = None
    file: str | None = None
    name: str | None = None
    start: float = 0.0
    level: float = 0.0
    pan: float = 0.0
    fade_in: float = 0.0
    fade_out: float = 0.0
    loudness: float | None = None
    seconds: float | None = None
    negative: str | None = None
    sound_seconds: float | None = None
    steps: int | None = None
    guidance: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if (self.prompt is None) == (self.file is None):
            raise ValueError("a layer has either a prompt or a file")
        if self.prompt is not None:
            check_words("prompt", self.prompt)
        if self.name is not None:
            check_name(self.name)
            if "/" in self.name:
                raise ValueError(f"name {shown(self.name)} holds /, and stems lie in one folder")
        check_range("start", self.start, 0, LONGEST_MIX)
        check_range("level", self.level, *LEVELS)
        check_range("pan", self.pan, -1, 1)
        check_range("fade_in", self.fade_in, 0, LONGEST_MIX)
        check_range("fade_out", self.fade_out, 0, LONGEST_MIX)
        check_request(self)
        for column in ("negative", "sound_seconds", "steps", "guidance", "seed"):
            if self.file is not None and getattr(self, column) is not None:
                raise ValueError(f"{column} is for generated sounds: leave it out beside a file")


@dataclass(frozen=True)
class Layer:
    """A layer of a mix, named."""

    row: LayerRow
    name: str  # of the stem

    def request(self, seconds: float, first_seed: int | None, index: int) -> Request:
        """What a model is asked for.

        Args:
            seconds: length where the row names none.
            first_seed: seed of the first layer where rows name none, raised by `index`; None takes `seed_of` name and
                prompt, as `woosh batch` does.
            index: of the layer, from 0.
        """
        row = self.row
        prompt = clean_text(row.prompt or "", "prompt")
        seed = seed_of(self.name, prompt, 1) if first_seed is None else first_seed + index
        return Request(
            prompt=prompt,
            negative_prompt=row.negative and clean_text(row.negative, "negative"),
            seconds=row.seconds or seconds,
            sound_seconds=row.sound_seconds,
            steps=row.steps,
            guidance_scale=row.guidance,
            seed=seed if row.seed is None else row.seed,
        )


def read_layers(path: Path) -> list[Layer]:
    """The layers of a sheet; in YAML they stand under `layers`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a row is wrong, or there are too many; with file, row and column.
    """
    rows = read_rows(path, LayerRow, "layers")
    with naming(path):
        return named_layers(rows)


def parse_events(text: str) -> list[Layer]:
    """The layers of a text such as "0.5 s a door creaks; 2 - 4.5 s steps on wood".

    Each event is a start in seconds, or start and end, then what to hear. Semicolons or line ends stand between events.

    Raises:
        ValueError: an event is not of this form; with its number.
    """
    rows = []
    parts = [part.strip() for part in re.split(r"[;\n]\s*", text)]
    if parts[-1] == "":
        parts.pop()
    for number, part in enumerate(parts, start=1):
        match = EVENT.fullmatch(part)
        if match is None:
            raise ValueError(
                f"event {number}, {shown(part)}, does not begin with its time: write such as "
                '"0.5 s a door creaks; 2 - 4.5 s steps on wood", or name a .csv or .yaml sheet'
            )
        start, end, prompt = match.groups()
        length = None if end is None else float(end) - float(start)
        if length is not None and length <= 0:
            raise ValueError(f"event {number}, {shown(part)}, ends before it begins")
        try:
            rows.append(LayerRow(prompt, start=float(start), seconds=length))
        except ValueError as error:
            raise ValueError(f"event {number}: {error}") from error
    if not rows:
        raise ValueError('there is no event: write such as "0.5 s a door creaks"')
    return named_layers(rows)


def named_layers(rows: Sequence[LayerRow]) -> list[Layer]:
    """Layers, each with a name of its own: the row's, or made from prompt or file, with -2, -3, ... where it is taken.

    Raises:
        ValueError: there are more than `MOST_LAYERS`, or two rows give one name.
    """
    if len(rows) > MOST_LAYERS:
        raise ValueError(f"{len(rows)} layers are more than {MOST_LAYERS}: mix them in parts")
    given = [folded(row.name) for row in rows if row.name is not None]
    twice = [name for name in given if given.count(name) > 1]
    if twice:
        raise ValueError(f"two layers have the name {shown(twice[0])}: give each its own")
    taken, layers = set(given), []
    for row in rows:
        name = row.name
        if name is None:
            stem = file_stem(Path(row.file).stem if row.file else str(row.prompt))
            name = next(
                option
                for option in (stem, *(f"{stem}-{take}" for take in range(2, MOST_LAYERS + 2)))
                if folded(option) not in taken
            )
            taken.add(folded(name))
        layers.append(Layer(row, name))
    return layers


def pan_gains(pan: float, channels: int) -> np.ndarray:
    """Gains (2,) of the left and the right channel, of equal power: their squares have the same sum at every place.

    With the angle a = (pan + 1) pi / 4 they are cos a and sin a. A sound of one channel lies at 3 dB less in both when it is
    in the middle. One of two channels keeps its level there: its gains are larger by the square root of 2.

    Args:
        pan: from -1, left, to 1, right.
        channels: of the sound, 1 or 2.
    """
    angle = (pan + 1) * math.pi / 4
    return np.sqrt(channels) * np.array([math.cos(angle), math.sin(angle)])


def fade(samples: int, fade_in: int, fade_out: int) -> np.ndarray:
    """Gains (S,) of a sound that rises and falls along a quarter of a sine, whose power is that of a cross-fade.

    Args:
        samples: S.
        fade_in: samples that it rises, up to S.
        fade_out: samples that it falls, up to S.
    """
    gains = np.ones(samples)
    gains[:fade_in] *= np.sin(np.pi / 2 * (np.arange(fade_in) + 0.5) / max(1, fade_in))
    if fade_out:
        gains[-fade_out:] *= np.cos(np.pi / 2 * (np.arange(fade_out) + 0.5) / fade_out)
    return gains


@dataclass(frozen=True)
class Placed:
    """A layer's sound in its place.

    Attributes:
        sound: (2, S) float32, with loudness, level, place and fades; it may pass full scale.
        offset: samples before it.
        gains: of the left and the right channel, by which the layer's sound was multiplied, fades aside.
    """

    sound: np.ndarray
    offset: int
    gains: tuple[float, float]

    def stem(self, samples: int, gain: float) -> np.ndarray:
        """The sound (2, `samples`) by itself in the length of the mix, with the gain of the mix."""
        stem = np.zeros((2, samples), np.float32)
        stem[:, self.offset : self.offset + self.sound.shape[1]] = self.sound * np.float32(gain)
        return stem


def place(row: LayerRow, sound: np.ndarray, sample_rate: int) -> Placed:
    """Put the sound (C, S) of a row, of one or two channels, in its place. Silence has no loudness to bring to another.

    Raises:
        ValueError: a fade is longer than the sound.
    """
    channels, samples = sound.shape
    fades = [round(seconds * sample_rate) for seconds in (row.fade_in, row.fade_out)]
    for name, length in zip(("fade_in", "fade_out"), fades, strict=True):
        if length > samples:
            raise ValueError(f"{name} is longer than the sound's {samples / sample_rate:g} s")
    level = row.level
    measured = -math.inf if row.loudness is None else levelling_loudness(sound, sample_rate)
    if row.loudness is not None and math.isfinite(measured):
        level += row.loudness - measured
    gains = 10 ** (level / 20) * pan_gains(row.pan, channels)  # (2,)
    placed = gains[:, None] * fade(samples, *fades) * sound  # (2, S)
    left, right = gains.tolist()
    return Placed(placed.astype(np.float32), round(row.start * sample_rate), (left, right))


@dataclass(frozen=True)
class Mix:
    """Layers added up.

    Attributes:
        sound: (2, S) float32, the sum of the stems.
        gain: by which all stems were multiplied, so that neither they nor the mix pass the ceiling.
        loudness: integrated, in LUFS; -inf for silence.
        reached: whether that is the loudness asked for, within 0.1 LU; true if none was.
    """

    sound: np.ndarray
    gain: float
    loudness: float
    reached: bool


def mix(
    layers: Sequence[Placed], sample_rate: int, target: float | None, ceiling: float = 1.0
) -> Mix:
    """Add layers up, with one gain for all.

    Args:
        layers: at least one.
        sample_rate: in Hz.
        target: loudness of the mix in LUFS; None changes the level only where it would pass the ceiling.
        ceiling: largest true peak of the mix and of each stem.
    """
    samples = max(layer.offset + layer.sound.shape[1] for layer in layers)
    total = np.zeros((2, samples))
    for layer in layers:
        total[:, layer.offset : layer.offset + layer.sound.shape[1]] += layer.sound
    peaks = [true_peak(sound) for sound in (total, *(layer.sound for layer in layers))]
    measured = loudness(total, sample_rate)
    wanted = 1.0
    if target is not None and math.isfinite(measured):
        wanted = 10 ** ((target - measured) / 20)
    largest = ceiling * (1 - 1e-6) / max(*peaks, 1e-30)  # the stems are rounded after this
    gain = min(wanted, largest)
    sound = (total * gain).astype(np.float32)
    reached = loudness(sound, sample_rate)
    return Mix(sound, gain, reached, target is None or abs(reached - target) <= 0.1)
