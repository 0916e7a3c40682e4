"""Clips made by rule in which sound and picture agree exactly: data for sound that follows a video.

A scene is a small flat world, seen by a camera that may sway, amid clutter and things that move without a sound. What
is heard begins where the record's events say, or is as loud as its intensity says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from woosh.procedural.synthesis import gate, room, sample_count
from woosh.scenes import courses, events
from woosh.scenes.camera import Canvas, make_camera

EVENT_FAMILIES: tuple[str, ...] = tuple(events.FAMILIES)
COURSE_FAMILIES: tuple[str, ...] = tuple(courses.FAMILIES)
FAMILIES = EVENT_FAMILIES + COURSE_FAMILIES
FRAME_RATE = 24.0  # pictures per second
SHORTEST, LONGEST = 1.0, 60.0  # seconds


@dataclass(frozen=True)
class SceneClip:
    """A clip with what is known about it.

    Attributes:
        frames: pictures (F, H, W, 3), 8 bits, 24 per second.
        audio: (S,), float32, 48 kHz, peak at most 1; empty if it was left out.
        captions: the first names every parameter.
        family: of the scene.
        seconds: length.
        events: moments in seconds at which a sound begins; of continuous scenes, its beginning.
        intensity: of a continuous scene at every picture (F,), 0 to 1; None for one of events.
        parameters: what was drawn, in the words of the first caption.
    """

    frames: np.ndarray
    audio: np.ndarray
    captions: tuple[str, ...]
    family: str
    seconds: float
    events: tuple[float, ...]
    intensity: np.ndarray | None
    parameters: Mapping[str, str | int]


def generate_scene(
    seed: int,
    family: str | None = None,
    seconds: float = 8.0,
    size: int = 112,
    with_audio: bool = True,
) -> SceneClip:
    """Render a clip; the same arguments give the same samples and pictures.

    Args:
        seed: of numpy's default generator, 0 or more.
        family: one of `FAMILIES`; without it the seed chooses.
        seconds: length, 1 to 60.
        size: height and width of the pictures in pixels.
        with_audio: whether to make the sound, too; the pictures are the same without it.

    Raises:
        ValueError: an unknown family, or a length or size out of range.
    """
    rng = np.random.default_rng(seed)
    drawn = FAMILIES[int(rng.integers(len(FAMILIES)))]
    name = drawn if family is None else family
    if name not in FAMILIES:
        raise ValueError(f"unknown family {name!r}; choose one of: {', '.join(FAMILIES)}")
    if not SHORTEST <= seconds <= LONGEST or size < 8:
        raise ValueError(
            f"seconds must be in {SHORTEST:g} to {LONGEST:g} and size at least 8, "
            f"not {seconds} and {size}"
        )
    scene = {**events.FAMILIES, **courses.FAMILIES}[name](rng, seconds)
    camera = make_camera(rng)
    times = np.arange(round(seconds * FRAME_RATE)) / FRAME_RATE
    frames = np.empty((len(times), size, size, 3), dtype=np.uint8)
    for number, time in enumerate(times):
        canvas = Canvas(size, camera, float(time), scene.backdrop.wall)
        scene.backdrop.draw(canvas, float(time))
        scene.draw(canvas, float(time))
        frames[number] = canvas.picture()
    audio = np.zeros(0, dtype=np.float32)
    if with_audio:
        heard = room(rng, scene.render(), rng.uniform(1, 5))
        heard = (heard - heard.mean()) * gate(sample_count(seconds), 0.004)
        audio = (heard * (rng.uniform(0.5, 0.95) / np.abs(heard).max())).astype(np.float32)
    return SceneClip(
        frames,
        audio,
        scene.captions,
        name,
        seconds,
        scene.events,
        None if scene.intensity is None else scene.intensity(times),
        scene.parameters,
    )
