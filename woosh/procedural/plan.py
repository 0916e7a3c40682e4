"""What every procedural family shares: its plan, its random choices and its words."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from woosh.procedural.synthesis import Signal, room

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Plan:
    """Everything about a sound except its samples, so that captions cost nothing.

    Attributes:
        captions: texts that are true of the sound; the first names every parameter.
        parameters: name -> value as the first caption says it (counts as integers).
        events: onset times in seconds.
        level: peak of the finished audio, 0.1 to 1.
        render: gives the samples, (S,), of any scale; to be called once.
    """

    captions: tuple[str, ...]
    parameters: Mapping[str, str | int]
    events: tuple[float, ...]
    level: float
    render: Callable[[], Signal]


@dataclass(frozen=True)
class Place:
    """Where a sound happens: words for the caption ("" if not told) and metres to the listener."""

    words: str
    metres: float

    def level(self, rng: np.random.Generator, loudness: float = 1.0) -> float:
        """Peak level: quieter with distance, a little random; `loudness` 1 is a loud sound."""
        gain = 1.0 / (1.0 + self.metres / 35.0)
        return float(np.clip(rng.uniform(0.75, 0.98) * gain * loudness, 0.12, 0.98))

    def room(self, rng: np.random.Generator, audio: Signal) -> Signal:
        """The sound as heard from here."""
        return room(rng, audio, self.metres)


def choose(rng: np.random.Generator, *options: str) -> str:
    """One of the options, each equally likely."""
    return options[int(rng.integers(len(options)))]


def place(rng: np.random.Generator) -> Place:
    """Half of all sounds tell no distance; the others are near or far."""
    kind = rng.uniform()
    if kind < 0.5:
        return Place("", float(rng.uniform(2, 8)))
    if kind < 0.72:
        return Place(choose(rng, "nearby", "close by", "up close"), float(rng.uniform(0.5, 1.5)))
    words = choose(rng, "in the distance", "far away", "from a distance")
    return Place(words, float(rng.uniform(50, 120)))


def here(rng: np.random.Generator, audio: Signal) -> Signal:
    """The sound from an ordinary distance that no caption tells."""
    return room(rng, audio, rng.uniform(1, 6))


def told(**values: str | int) -> dict[str, str | int]:
    """Parameters without those that the caption leaves out (empty texts)."""
    return {name: value for name, value in values.items() if value != ""}


def phrases(*templates: str) -> tuple[str, ...]:
    """Distinct captions from templates in which some words may be empty: spaces, commas, articles."""
    texts = []
    for template in templates:
        text = re.sub(r"\s+", " ", template).strip(" ,")
        text = re.sub(r"( ,)+", ",", text)
        text = re.sub(r"\ba (?=[aeiou])", "an ", text)
        texts.append(text)
    return tuple(dict.fromkeys(texts))


def times(count: int) -> str:
    """Adverb of repetition: once, twice, three times ..."""
    return {1: "once", 2: "twice"}.get(count, f"{NUMBERS[min(count, 10)]} times")


def counted(count: int, noun: str, plural: str = "") -> str:
    """Noun with its number in words: one bark, two barks."""
    return f"{NUMBERS[count]} {noun}" if count == 1 else f"{NUMBERS[count]} {plural or noun + 's'}"


def repeats(
    rng: np.random.Generator, seconds: float, gap: float, most: int = 4, jitter: float = 0.1
) -> tuple[float, ...]:
    """Onsets of one or more repetitions, at least `gap` seconds apart, that fit into `seconds`.

    Short clips hold up to `most`; long ones up to ten, so that they do not end in a long silence.
    """
    fits = int(seconds / gap)
    highest = max(1, min(fits, max(most, min(10, int(0.6 * fits)))))
    count = int(rng.integers(max(1, highest // 2), highest + 1))
    step = float(np.clip(0.95 * seconds / count, gap, 1.6 * gap))
    return spaced(rng, seconds, step, jitter)[:count]


def spaced(
    rng: np.random.Generator, seconds: float, gap: float, jitter: float = 0.05
) -> tuple[float, ...]:
    """Onsets every `gap` seconds over the whole clip, each moved by up to `jitter` gaps."""
    first = rng.uniform(0.01, 0.04)
    steady = first + gap * np.arange(max(1, int(np.ceil((seconds - first - 0.05) / gap))))
    moved = steady + rng.uniform(0, jitter * gap, len(steady))
    moved[0] = first
    return tuple(round(float(onset), 4) for onset in moved if onset < seconds - 0.04)
