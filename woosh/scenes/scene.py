"""A scene: what is seen, what is heard and what is true of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from woosh.procedural.synthesis import Signal
from woosh.scenes.camera import Backdrop, Draw, Generator


@dataclass(frozen=True)
class Scene:
    """Everything about a clip except its samples and pictures.

    Attributes:
        captions: texts that are true of it; the first names every parameter.
        parameters: name -> value as the first caption says it.
        events: moments in seconds at which a sound begins; of continuous scenes, its beginning.
        intensity: of a continuous scene at a time in seconds, 0 to 1; None for one of events.
        backdrop: behind it.
        draw: the scene itself.
        render: gives the samples (S,) of any scale; to be called once.
    """

    captions: tuple[str, ...]
    parameters: Mapping[str, str | int]
    events: tuple[float, ...]
    intensity: Callable[[np.ndarray], np.ndarray] | None
    backdrop: Backdrop
    draw: Draw
    render: Callable[[], Signal]


def happenings(rng: Generator, seconds: float, gap: float) -> tuple[float, ...]:
    """Irregular moments, 0.5 to 2 per second on average, at least `gap` seconds apart, and at least one."""
    rate = rng.uniform(0.5, min(2.0, 0.8 / gap))
    times = [float(rng.uniform(0.1, min(1.2, 0.5 * seconds)))]
    while times[-1] < seconds:
        times.append(times[-1] + gap + float(rng.exponential(1 / rate - gap)))
    return tuple(round(time, 4) for time in times if time < seconds - 0.1)


def wandering(rng: Generator, seconds: float, pace: float) -> Callable[[np.ndarray], np.ndarray]:
    """A smooth random course from 0 to 1 that uses both ends: `pace` turns per second."""
    knots = np.arange(-1.0, seconds * pace + 3)
    values = rng.uniform(0, 1, len(knots))
    # Highs and lows take turns, so that no clip stays the same.
    values = 0.35 * values + 0.65 * ((np.arange(len(knots)) + rng.integers(2)) % 2)
    values = (values - values.min()) / (values.max() - values.min())

    def course(times: np.ndarray) -> np.ndarray:
        position = np.clip(times * pace, 0, len(knots) - 3) + 1
        index = position.astype(int)
        part = position - index
        weight = part * part * (3 - 2 * part)
        return values[index] * (1 - weight) + values[index + 1] * weight

    return course
