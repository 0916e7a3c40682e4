"""Procedural families of single blows: an arrow in a target, a hit on a metal plate."""

import numpy as np

from woosh.procedural.plan import (
    Plan,
    choose,
    counted,
    phrases,
    repeats,
    times,
    told,
)
from woosh.procedural.synthesis import (
    Signal,
    burst,
    clock,
    mix,
    modes,
    noise,
    ramp,
    sample_count,
    saturate,
    surround,
    sweep_band,
)

Generator = np.random.Generator


def arrow(rng: Generator, seconds: float) -> Plan:
    """A short rush of air, the thud of the head, and the shaft that goes on trembling."""
    target = choose(rng, "straw", "wooden", "foam")
    flight = min(float(rng.uniform(0.15, 0.28)), 0.4 * seconds)
    starts = repeats(rng, seconds - flight, 1.6, most=3)
    events = tuple(round(start + flight, 4) for start in starts)
    count = len(events)

    def render() -> Signal:
        top = {"straw": 2200.0, "wooden": 3000.0, "foam": 2600.0}[target] * rng.uniform(0.9, 1.1)
        ring = {"straw": 0.12, "wooden": 0.28, "foam": 0.18}[target] * rng.uniform(0.8, 1.2)
        shaft, tremble = rng.uniform(190, 260), rng.uniform(22, 34)
        decays = rng.uniform(0.65, 0.95) * np.array([0.5, 0.3, 0.2])
        pieces = []
        for event in events:
            samples = sample_count(flight)
            centre = ramp(samples, rng.uniform(1300, 2400), 2800)
            rush = sweep_band(noise(rng, samples), centre, 0.6) * ramp(samples, 0.0, 1.0)
            pieces.append((event - flight, rng.uniform(0.02, 0.06) * rush / np.abs(rush).max()))
            thud = burst(rng, rng.uniform(0.14, 0.21), rng.uniform(140, 175), top)
            pieces.append((event, thud / np.abs(thud).max()))
            tap = burst(rng, 0.02, 800, 9000)
            pieces.append((event, 0.05 * tap / np.abs(tap).max()))
            samples = sample_count(0.6)
            ratios, amplitudes = np.array([1.0, 2.7, 5.2]), np.array([1.0, 0.6, 0.3])
            wave = modes(shaft * ratios, decays, amplitudes, samples)
            wave *= 1 + np.sin(2 * np.pi * tremble * clock(samples))
            pieces.append((event, ring * wave))
        audio = mix(sample_count(seconds), pieces)
        return surround(rng, audio, rng.uniform(0.4, 0.65), rng.uniform(0.22, 0.35), -36.0)

    return Plan(
        phrases(
            f"an arrow hits a {target} target"
            if count == 1
            else f"arrows hit a {target} target {times(count)}",
            f"{counted(count, 'arrow')} hitting a {target} target",
            "an arrow hitting a target" if count == 1 else "arrows hitting a target",
            f"{counted(count, 'arrow')} shot into a {target} target",
        ),
        told(target=target, repeats=times(count) if count > 1 else ""),
        events,
        float(rng.uniform(0.45, 0.9)),
        render,
    )


def metal_plate(rng: Generator, seconds: float) -> Plan:
    """Bending waves of a plate: many modes without order, the high ones soon gone."""
    size = choose(rng, "small", "large")
    events = repeats(rng, seconds, 1.6, most=3)
    count = len(events)

    def render() -> Signal:
        lowest = {"small": rng.uniform(500, 640), "large": rng.uniform(400, 500)}[size]
        number, span = int(rng.integers(32, 44)), rng.uniform(18, 24)
        frequencies = lowest * np.sort(rng.uniform(1, span, number))
        ratios = frequencies / frequencies[0]
        decays = rng.uniform(2.3, 3.0) * ratios ** -rng.uniform(0.3, 0.4)
        pieces = []
        for event in events:
            amplitudes = rng.uniform(0.2, 1.0, number) / ratios
            plate = modes(frequencies, decays, amplitudes, sample_count(2.5))
            pieces.append((event, plate / np.abs(plate).max()))
            pieces.append((event, rng.uniform(0.75, 1.1) * burst(rng, 0.03, 300, 8000)))
        audio = saturate(mix(sample_count(seconds), pieces), rng.uniform(2.3, 3.2))
        return surround(rng, audio, rng.uniform(0.45, 0.6), rng.uniform(0.08, 0.2), -40.0)

    return Plan(
        phrases(
            f"{counted(count, 'hit')} on a {size} metal plate",
            f"a {size} metal plate is hit {times(count)}",
            f"a {size} metal plate struck {times(count)}",
            f"{counted(count, 'clang')} of a metal plate",
        ),
        told(size=size, repeats=counted(count, "hit")),
        events,
        float(rng.uniform(0.4, 0.85)),
        render,
    )
