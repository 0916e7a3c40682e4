"""What every rendered scene shares: a camera over a flat world, colours, a backdrop and things that only distract.

The world is a square: x from 0 to 1 rightwards, y from 0 to 1 downwards.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from woosh.command_line import missing_extra

Generator = np.random.Generator
Colour = tuple[int, int, int]
Point = tuple[float, float]

OVERSAMPLING = 2  # pixels drawn for one of the result, along each side


@dataclass(frozen=True)
class Camera:
    """Where the world is seen from; it may sway.

    Attributes:
        centre: point of the world in the middle of the picture.
        zoom: 1 shows the whole square.
        angle: in radians.
        sway: how far the centre moves.
        pace: radians per second of that movement.
    """

    centre: Point
    zoom: float
    angle: float
    sway: float
    pace: float


class Canvas:
    """One picture being drawn, in the world's coordinates.

    Args:
        size: height and width of the picture in pixels.
        camera: that looks on.
        time: in seconds.
        ground: colour that fills it.
    """

    def __init__(self, size: int, camera: Camera, time: float, ground: Colour) -> None:
        pixels = size * OVERSAMPLING
        try:
            from PIL import Image, ImageDraw
        except ImportError as error:
            raise missing_extra("clips made by rule need pillow", "train") from error
        self.image = Image.new("RGB", (pixels, pixels), ground)
        self.draw = ImageDraw.Draw(self.image)
        self.scale = camera.zoom * pixels
        self.cosine, self.sine = math.cos(camera.angle), math.sin(camera.angle)
        phase = camera.pace * time
        self.centre = (
            camera.centre[0] + camera.sway * math.sin(phase),
            camera.centre[1] + 0.6 * camera.sway * math.sin(0.73 * phase + 1.0),
        )
        self.middle = pixels / 2

    def place(self, x: float, y: float) -> Point:
        """A point of the world in pixels."""
        x, y = x - self.centre[0], y - self.centre[1]
        return (
            self.middle + self.scale * (self.cosine * x - self.sine * y),
            self.middle + self.scale * (self.sine * x + self.cosine * y),
        )

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """A filled circle."""
        across, down = self.place(x, y)
        reach = max(0.5, radius * self.scale)
        self.draw.ellipse((across - reach, down - reach, across + reach, down + reach), colour)

    def ring(self, x: float, y: float, radius: float, colour: Colour, width: float) -> None:
        """A circle seen from the side: half as high as wide."""
        across, down = self.place(x, y)
        reach = max(1.0, radius * self.scale)
        box = (across - reach, down - reach / 2, across + reach, down + reach / 2)
        self.draw.ellipse(box, outline=colour, width=max(1, round(width * self.scale)))

    def bar(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        """A line with round ends."""
        points = [self.place(*start), self.place(*end)]
        self.draw.line(points, colour, max(1, round(width * self.scale)))
        for x, y in (start, end):
            self.disc(x, y, width / 2, colour)

    def shape(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon."""
        self.draw.polygon([self.place(*point) for point in points], colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """A filled rectangle."""
        self.shape([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def picture(self) -> np.ndarray:
        """The finished picture (H, W, 3) of 8 bits."""
        return np.asarray(self.image.reduce(OVERSAMPLING))


Draw = Callable[[Canvas, float], None]  # onto a canvas, at a time in seconds


@dataclass(frozen=True)
class Backdrop:
    """What stands around: the wall, the floor, clutter and silent movers.

    Attributes:
        wall: colour above the floor.
        floor: colour of it.
        horizon: height at which the floor begins.
        clutter: draws what stands still.
        movers: draw what moves without a sound.
    """

    wall: Colour
    floor: Colour
    horizon: float
    clutter: Draw
    movers: tuple[Draw, ...]

    def draw(self, canvas: Canvas, time: float) -> None:
        """The world before anything happens in it."""
        canvas.box(-1, self.horizon, 2, 2, self.floor)
        self.clutter(canvas, time)
        for mover in self.movers:
            mover(canvas, time)


def make_camera(rng: Generator) -> Camera:
    """A camera near the middle; half of them stand still."""
    return Camera(
        centre=(rng.uniform(0.45, 0.55), rng.uniform(0.46, 0.54)),
        zoom=rng.uniform(0.85, 1.1),
        angle=rng.uniform(-0.08, 0.08),
        sway=rng.uniform(0.005, 0.025) if rng.uniform() < 0.5 else 0.0,
        pace=rng.uniform(0.3, 2.0),
    )


def make_colour(rng: Generator, dark: float = 0.0, bright: float = 1.0) -> Colour:
    """A random colour whose value (as in HSV) lies in a range."""
    red, green, blue = colorsys.hsv_to_rgb(
        rng.uniform(), rng.uniform(0.1, 0.9), rng.uniform(dark, bright)
    )
    return round(255 * red), round(255 * green), round(255 * blue)


def contrasting(rng: Generator, *others: Colour) -> Colour:
    """A colour that can be told from others."""
    tried = [make_colour(rng, 0.05, 1.0) for _ in range(12)]

    def distance(colour: Colour) -> int:
        return min(sum(abs(a - b) for a, b in zip(colour, other, strict=True)) for other in others)

    return max(tried, key=distance)


def blended(colour: Colour, other: Colour, part: float) -> Colour:
    """A colour on its way to another, `part` of it."""
    red, green, blue = (round(a + part * (b - a)) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def nothing(_: Canvas, __: float) -> None:
    """Draw nothing."""


def make_backdrop(rng: Generator, horizon: float) -> Backdrop:
    """A random one with up to six pieces of clutter and two movers."""
    wall, floor = make_colour(rng, 0.1, 0.9), make_colour(rng, 0.1, 0.8)
    pieces = [
        (
            rng.uniform(-0.1, 1.1),
            rng.uniform(0.0, horizon),
            rng.uniform(0.03, 0.14),
            make_colour(rng, 0.1, 0.9),
            rng.uniform() < 0.5,
        )
        for _ in range(int(rng.integers(0, 7)))
    ]

    def clutter(canvas: Canvas, _: float) -> None:
        for x, y, reach, colour, is_round in pieces:
            if is_round:
                canvas.disc(x, y, reach, colour)
            else:
                canvas.box(x - reach, y - 0.7 * reach, x + reach, y + 0.7 * reach, colour)

    movers = tuple(_make_mover(rng) for _ in range(int(rng.integers(0, 3))))
    return Backdrop(wall, floor, horizon, clutter, movers)


def _make_mover(rng: Generator) -> Draw:
    """Something that floats, swings or turns, and is never heard."""
    colour, kind = make_colour(rng, 0.2, 1.0), int(rng.integers(3))
    x, y, reach = rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.35), rng.uniform(0.02, 0.06)
    pace, phase = rng.uniform(0.5, 5.0), rng.uniform(0, 2 * math.pi)

    def floating(canvas: Canvas, time: float) -> None:
        turn = pace * time + phase
        canvas.disc(x + 0.2 * math.sin(0.6 * turn), y + 0.08 * math.sin(turn), reach, colour)

    def swinging(canvas: Canvas, time: float) -> None:
        angle = 0.6 * math.sin(pace * time + phase)
        end = (x + 0.25 * math.sin(angle), y + 0.25 * math.cos(angle))
        canvas.bar((x, y), end, 0.008, colour)
        canvas.disc(*end, reach, colour)

    def turning(canvas: Canvas, time: float) -> None:
        for blade in range(3):
            angle = pace * time + phase + blade * 2 * math.pi / 3
            end = (x + 2 * reach * math.cos(angle), y + 2 * reach * math.sin(angle))
            canvas.bar((x, y), end, 0.5 * reach, colour)

    return (floating, swinging, turning)[kind]
