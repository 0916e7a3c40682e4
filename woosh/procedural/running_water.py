"""Procedural families of water that runs or falls."""

import numpy as np

from woosh.procedural.plan import Plan, choose, here, phrases, place, told
from woosh.procedural.synthesis import (
    Signal,
    bandpass,
    bubble,
    burst,
    clock,
    curve,
    highpass,
    lowpass,
    mix,
    noise,
    poisson,
    resonate,
    sample_count,
    scatter,
    surround,
    tame,
)

Generator = np.random.Generator


def waterfall(rng: Generator, seconds: float) -> Plan:
    """Falling water breaks into sheets that fall apart in bubbles: deep noise that wavers."""
    size = choose(rng, "small", "large")
    where = place(rng)

    def render() -> Signal:
        samples = sample_count(seconds)
        low, high = {"small": (350, 6000), "large": (90, 3500)}[size]
        bed = np.zeros(samples)
        for _ in range(4):  # several sheets of water, each of its own pace
            edge = rng.uniform(0.7, 1.4)
            sheet = bandpass(noise(rng, samples, 0.8), low * edge, high * edge)
            bed += sheet / sheet.std() * curve(rng, samples, rng.uniform(2, 8), 0.5, 1.0)
        grains = [
            bubble(rng.uniform(400, 2500), rng.uniform(0.01, 0.04), rng.uniform(0, 0.4))
            for _ in range(30)
        ]
        onsets = poisson(rng, seconds, {"small": 500.0, "large": 300.0}[size])
        bubbles = scatter(rng, samples, onsets, rng.exponential(0.5, len(onsets)), grains)
        audio = bed / bed.std() + {"small": 0.7, "large": 0.35}[size] * bubbles / bubbles.std()
        return tame(where.room(rng, audio), 5.0)

    return Plan(
        phrases(
            f"a {size} waterfall {where.words}",
            f"water of a {size} waterfall rushing down {where.words}",
            "a waterfall",
            f"a {size} waterfall pouring down",
        ),
        told(size=size, distance=where.words),
        (0.0,),
        where.level(rng, 0.85),
        render,
    )


def tap(rng: Generator, seconds: float) -> Plan:
    """A jet breaks up and drives air under water: hiss, and many bubbles in a basin."""
    basin = choose(rng, "metal sink", "ceramic basin", "bathtub")
    flow = choose(rng, "weak", "strong")

    def render() -> Signal:
        samples = sample_count(seconds)
        rate = {"weak": 150.0, "strong": 500.0}[flow]
        grains = [
            bubble(rng.uniform(500, 3500), rng.uniform(0.008, 0.03), rng.uniform(0, 0.5))
            for _ in range(40)
        ]
        onsets = poisson(rng, seconds, rate)
        bubbles = scatter(rng, samples, onsets, rng.exponential(0.5, len(onsets)), grains)
        low = {"metal sink": 600, "ceramic basin": 450, "bathtub": 300}[basin]
        jet = bandpass(noise(rng, samples, 0.4), low, 9000)
        jet *= curve(rng, samples, 12, 0.6, 1.0)
        audio = bubbles / bubbles.std() + {"weak": 0.5, "strong": 0.9}[flow] * jet / jet.std()
        return tame(here(rng, surround(rng, audio, rng.uniform(0.4, 0.8), 0.4, -50.0)), 5.0)

    return Plan(
        phrases(
            f"a {flow} jet of water running from a tap into a {basin}",
            f"water running into a {basin}",
            "water running from a tap",
            f"a tap running with a {flow} flow",
        ),
        told(flow=flow, basin=basin),
        (0.0,),
        float(rng.uniform(0.35, 0.8)),
        render,
    )


def toilet_flush(rng: Generator, seconds: float) -> Plan:
    """The lever clacks, water rushes down the bowl, which resounds low, and the cistern fills."""
    duration = choose(rng, "short", "long")
    start = min(float(rng.uniform(0.3, 0.5)), 0.3 * seconds)
    end = {"short": 0.85, "long": 1.2}[duration] * float(rng.uniform(2.7, 3.5))

    def render() -> Signal:
        samples = sample_count(seconds)
        time = clock(samples)
        rise, slump = rng.uniform(0.35, 0.75), rng.uniform(0.6, 1.2)
        course = ([0.0, start, start + rise, end, end + 0.8], [0.0, 0.0, 1.0, 0.95, 0.33])
        gulp = ([0.0, start, start + 0.4, start + 0.4 + slump, end + 0.8], [0, 0, 1, 0.4, 0.2])
        rush = noise(rng, samples, rng.uniform(1.15, 1.3)) * curve(rng, samples, 65, 0.53, 1.0)
        rush = lowpass(highpass(rush, rng.uniform(520, 750), 1), rng.uniform(10_000, 14_000), 1)
        centre = rng.uniform(2200, 3200)
        rush += rng.uniform(0.7, 1.0) * resonate(rush, centre, 0.6 * centre)
        bowl = rng.uniform(270, 340)
        low = noise(rng, samples, 1.0) * curve(rng, samples, rng.uniform(22, 30), 0.55, 1.0)
        low = resonate(low, bowl, rng.uniform(0.1, 0.15) * bowl)
        grains = [
            bubble(770 * 2 ** rng.uniform(-1, 1), rng.uniform(0.02, 0.08), rng.uniform(0.1, 0.8))
            for _ in range(40)
        ]
        onsets = poisson(rng, seconds, rng.uniform(26, 36))
        bubbles = scatter(rng, samples, onsets, rng.pareto(2.5, len(onsets)), grains)
        deep = rng.uniform(1.0, 1.6) * low / low.std() + bubbles / (bubbles.std() + 1e-9)
        clack = burst(rng, 0.08, 150, 5000)
        lever = mix(samples, [(0.02, rng.uniform(0.6, 1.2) * clack / np.abs(clack).max())])
        audio = np.interp(time, *course) * rush / rush.std() + np.interp(time, *gulp) * deep
        return surround(rng, tame(audio + lever, 6.0), 0.3, rng.uniform(0.65, 0.85), -45.0)

    return Plan(
        phrases(
            f"a toilet flushing with a {duration} flush",
            f"a {duration} flush of a toilet",
            "a toilet flushing",
            "somebody flushes a toilet",
        ),
        told(duration=duration),
        (0.02, round(start, 4)),
        float(rng.uniform(0.4, 0.85)),
        render,
    )
