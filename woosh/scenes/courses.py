"""Scenes that go on: the sound is as loud as the picture is lively."""

from __future__ import annotations

import math

import numpy as np

from woosh.procedural.machines import motor
from woosh.procedural.nature import drops
from woosh.procedural.plan import choose, phrases, told
from woosh.procedural.synthesis import (
    Signal,
    bandpass,
    burst,
    clock,
    lowpass,
    mix,
    noise,
    poisson,
    sample_count,
    scatter,
)
from woosh.scenes.camera import Canvas, Colour, Generator, contrasting, make_backdrop
from woosh.scenes.scene import Scene, wandering

RANGE = 30.0  # decibels between an intensity of 0 and of 1
ONTO = {"": "", "a metal roof": "on a metal roof", "leaves": "on leaves", "puddles": "on puddles"}


def gain(intensity: np.ndarray) -> np.ndarray:
    """Amplitude of an intensity from 0 to 1."""
    return 10 ** (RANGE / 20 * (intensity - 1))


def rain(rng: Generator, seconds: float) -> Scene:
    """Rain that comes and goes."""
    surface, course = choose(rng, *ONTO), wandering(rng, seconds, rng.uniform(0.2, 0.5))
    backdrop = make_backdrop(rng, rng.uniform(0.75, 0.9))
    colour = contrasting(rng, backdrop.wall)
    slant, speed, width = rng.uniform(-0.15, 0.15), rng.uniform(1.5, 2.5), rng.uniform(0.006, 0.01)
    streaks = [tuple(rng.uniform(0, 1, 3)) for _ in range(120)]

    def draw(canvas: Canvas, time: float) -> None:
        strength = float(course(np.array([time]))[0])
        for x, y, threshold in streaks:
            if threshold > 0.05 + 0.95 * strength:
                continue
            height = (y + speed * time * (0.8 + 0.4 * threshold)) % 1.2 - 0.1
            x = 1.2 * x - 0.1 + slant * height
            canvas.bar((x, height), (x + 0.07 * slant, height + 0.07), width, colour)

    def render() -> Signal:
        samples = sample_count(seconds)
        strength = course(clock(samples))
        onsets = poisson(rng, seconds, 500.0)
        onsets = onsets[rng.uniform(size=len(onsets)) < 0.1 + 0.9 * course(onsets)]
        weights = 0.35 * rng.pareto(2.6, len(onsets)) + 0.05
        near = scatter(rng, samples, onsets, weights, drops(rng, surface))
        bed = bandpass(noise(rng, samples, rng.uniform(0.3, 1.4)), 300, 6000)
        return gain(strength) * (0.5 * near / near.std() + bed / bed.std())

    return Scene(
        phrases(
            f"rain falling {ONTO[surface]}, now weaker, now stronger",
            f"rain {ONTO[surface]} comes and goes",
            f"rain {ONTO[surface]}",
        ),
        told(surface=surface),
        (0.0,),
        course,
        backdrop,
        draw,
        render,
    )


def flames(rng: Generator, seconds: float) -> Scene:
    """A fire that flares up and dies down."""
    kind, course = (
        choose(rng, "campfire", "bonfire"),
        wandering(rng, seconds, rng.uniform(0.2, 0.6)),
    )
    backdrop = make_backdrop(rng, rng.uniform(0.78, 0.88))
    x, wide = rng.uniform(0.35, 0.65), rng.uniform(0.16, 0.26)
    tongues = [(rng.uniform(-1, 1), rng.uniform(0.6, 1), rng.uniform(2, 9)) for _ in range(7)]
    colours: tuple[Colour, ...] = ((220, 60, 20), (250, 140, 30), (255, 230, 120))

    def draw(canvas: Canvas, time: float) -> None:
        strength = float(course(np.array([time]))[0])
        base = backdrop.horizon + 0.05
        for start, end in ((-1, 0.9), (-0.9, 1)):
            canvas.bar((x + start * wide, base + 0.02), (x + end * wide, base), 0.04, (80, 50, 30))
        for layer, colour in enumerate(colours):
            inner = 1 - 0.3 * layer
            for place, tall, pace in tongues:
                flicker = 0.75 + 0.25 * math.sin(2 * math.pi * pace * time + 7 * place)
                height = inner * tall * flicker * (0.08 + 0.45 * strength)
                middle, half = x + 0.7 * place * wide, 0.35 * wide * inner
                tip = (middle + 0.03 * math.sin(5 * time + 9 * place), base - height)
                canvas.shape([(middle - half, base), tip, (middle + half, base)], colour)

    def render() -> Signal:
        samples = sample_count(seconds)
        strength = course(clock(samples))
        onsets = poisson(rng, seconds, 30.0)
        onsets = onsets[rng.uniform(size=len(onsets)) < 0.1 + 0.9 * course(onsets)]
        grains = []
        for _ in range(12):
            low = rng.uniform(500, 3500)
            grains.append(
                np.pad(burst(rng, rng.uniform(0.003, 0.02), low, 5 * low, 0.0002), (0, 960))
            )
        weights = np.minimum(rng.pareto(1.8, len(onsets)) + 0.1, 6.0)
        crackle = scatter(rng, samples, onsets, weights, grains)
        roar = lowpass(noise(rng, samples, 1.0), 500)
        hiss = bandpass(noise(rng, samples), 1500, 9000)
        bed = roar / roar.std() + 0.3 * hiss / hiss.std()
        return gain(strength) * (0.5 * crackle / (crackle.std() + 1e-9) + bed)

    return Scene(
        phrases(
            f"a {kind} flaring up and dying down", f"the flames of a {kind}", "a crackling fire"
        ),
        told(kind=kind),
        (0.0,),
        course,
        backdrop,
        draw,
        render,
    )


def draw_vehicle(canvas: Canvas, kind: str, x: float, ground: float, colour: Colour) -> None:
    """A vehicle from its side, with its middle at x."""
    scale = {"car": 1.0, "truck": 1.5, "motorcycle": 0.6}[kind]
    half, tall = 0.14 * scale, 0.09 * scale
    canvas.box(x - half, ground - tall, x + half, ground, colour)
    if kind == "truck":
        canvas.box(x - half, ground - 2.2 * tall, x + 0.4 * half, ground, colour)
    else:
        canvas.box(x - 0.5 * half, ground - 1.7 * tall, x + 0.5 * half, ground, colour)
    for wheel in (-0.6, 0.6):
        canvas.disc(x + wheel * half, ground, 0.035 * scale, (20, 20, 20))


def vehicle(rng: Generator, seconds: float) -> Scene:
    """Vehicles pass, one after another."""
    kind = choose(rng, "car", "truck", "motorcycle")
    backdrop = make_backdrop(rng, rng.uniform(0.6, 0.7))
    speed = rng.uniform(0.5, 1.1)  # widths of the picture per second
    passing = [float(rng.uniform(0.8, 2.5))]
    while passing[-1] + 2.2 / speed + 1.0 < seconds:
        passing.append(passing[-1] + 2.2 / speed + float(rng.uniform(0.5, 2.5)))
    sides = rng.choice([-1.0, 1.0], len(passing))
    colours = [contrasting(rng, backdrop.wall, backdrop.floor) for _ in passing]

    def place(times: np.ndarray, number: int) -> np.ndarray:
        return 0.5 + sides[number] * speed * (times - passing[number])

    def course(times: np.ndarray) -> np.ndarray:
        away = np.min([np.abs(place(times, n) - 0.5) for n in range(len(passing))], axis=0)
        near = 1 / (
            1 + (away / 0.35) ** 2
        )  # of the power, as from a road a third of the picture away
        return np.clip(1 + 10 * np.log10(near) / RANGE, 0, 1)

    def draw(canvas: Canvas, time: float) -> None:
        ground = backdrop.horizon + 0.16
        canvas.box(-1, backdrop.horizon + 0.08, 2, ground + 0.08, (70, 70, 75))
        for number, colour in enumerate(colours):
            x = float(place(np.array(time), number))
            if -0.4 < x < 1.4:
                draw_vehicle(canvas, kind, x, ground, colour)

    def render() -> Signal:
        samples = sample_count(seconds)
        times = clock(samples)
        total = np.zeros(samples)
        firing = {"car": 75.0, "truck": 40.0, "motorcycle": 110.0}[kind] * rng.uniform(0.8, 1.2)
        for number in range(len(passing)):
            away = place(times, number) - 0.5
            towards = -np.sign(sides[number]) * away / np.sqrt(away**2 + 0.35**2)
            rate = firing * (
                1 + 0.08 * towards
            )  # the Doppler effect, for one who stands at the road
            near = 1 / np.sqrt(1 + (away / 0.35) ** 2)
            tyres = bandpass(noise(rng, samples, 0.5), 300, 3500)
            total += near * (motor(rng, rate, 4, np.ones(samples)) + 0.4 * tyres / tyres.std())
        return total + mix(samples, [(0.0, 0.02 * noise(rng, samples, 1.0))])

    return Scene(
        phrases(f"a {kind} passing by", f"a {kind} drives past", f"a {kind}"),
        told(kind=kind),
        (0.0,),
        course,
        backdrop,
        draw,
        render,
    )


FAMILIES = {"rain": rain, "flames": flames, "vehicle": vehicle}
