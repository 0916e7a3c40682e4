"""Procedural families of what gives way piece by piece: zippers, tearing paper."""

import numpy as np

from woosh.procedural.plan import (
    Plan,
    choose,
    counted,
    phrases,
    repeats,
    spaced,
    times,
    told,
)
from woosh.procedural.synthesis import (
    Signal,
    bandpass,
    burst,
    curve,
    cycles,
    mix,
    noise,
    poisson,
    ramp,
    sample_count,
    scatter,
    surround,
    sweep_band,
    swell,
)

Generator = np.random.Generator


def zipper(rng: Generator, seconds: float) -> Plan:
    """A slider passes tooth after tooth, faster and faster, and the cloth rubs."""
    garment = choose(rng, "jacket", "bag", "tent", "pair of trousers")
    pace = choose(rng, "quickly", "slowly")
    length = {"quickly": 0.26, "slowly": 0.38}[pace]
    events = repeats(rng, seconds, 1.2, most=3)
    count = len(events)

    def render() -> Signal:
        low, slow, fast = rng.uniform(1150, 1600), rng.uniform(140, 190), rng.uniform(340, 400)
        longest, rub = rng.uniform(0.013, 0.017), rng.uniform(0.32, 0.45)
        grains = [burst(rng, rng.uniform(0.002, longest), low, 12_000) for _ in range(12)]
        pieces = []
        for event in events:
            samples = sample_count(length * rng.uniform(0.85, 1.15))
            rate = ramp(samples, slow, fast) * (1 + 0.1 * curve(rng, samples, 8, -1, 1))
            teeth = np.diff(np.floor(cycles(rate))).nonzero()[0] / len(rate)
            onsets = teeth * (samples / sample_count(1.0))
            clicks = scatter(rng, samples, onsets, rng.uniform(0.3, 1.0, len(onsets)), grains)
            cloth = bandpass(noise(rng, samples), low, 9000) * curve(rng, samples, 40)
            pull = clicks / clicks.std() + rub * cloth / cloth.std()
            pieces.append((event, pull * swell(samples, 0.6, 0.7)))
        audio = mix(sample_count(seconds), pieces)
        return surround(rng, audio, 0.25, rng.uniform(0.04, 0.12), rng.uniform(-37, -34))

    return Plan(
        phrases(
            f"the zipper of a {garment} is pulled {pace} {times(count)}",
            f"a zipper pulled {pace}",
            f"{counted(count, 'pull')} of the zipper of a {garment}",
            "a zipper",
        ),
        told(garment=garment, pace=pace, repeats=times(count)),
        events,
        float(rng.uniform(0.4, 0.85)),
        render,
    )


def tearing(rng: Generator, seconds: float) -> Plan:
    """Fibres snap one after another, the faster the brighter, up to a jerk at the end."""
    sheet = choose(rng, "thin paper", "stiff paper", "newspaper", "wrapping paper")
    gap = float(rng.uniform(0.62, 0.85))
    events = spaced(rng, seconds, gap, 0.2)

    def render() -> Signal:
        low = 1250.0 if sheet in ("thin paper", "wrapping paper") else 900.0
        low *= rng.uniform(0.9, 1.1)
        grains = [burst(rng, rng.uniform(0.0008, 0.0084), low, 14_000) for _ in range(24)]
        rate, octaves = rng.uniform(260, 550), rng.uniform(1.4, 1.9)
        first, last = rng.uniform(1500, 2000), rng.uniform(7000, 8000)
        pieces = []
        for event in events:
            samples = sample_count(rng.uniform(1.2, 1.7) * gap)
            onsets = poisson(rng, samples / sample_count(1.0), rate)
            weights = 0.05 + np.minimum(rng.pareto(2.5, len(onsets)), 10.0)
            fibres = scatter(rng, samples, onsets, weights, grains)
            rub = bandpass(noise(rng, samples), 3000, 9000) * curve(rng, samples, 60, 0.2, 1.0)
            tear = fibres / fibres.std() + rng.uniform(0.05, 0.1) * rub / rub.std()
            tear *= curve(rng, samples, 12, 0.4, 1.0)
            tear = sweep_band(tear, ramp(samples, first, last), octaves)
            pieces.append((event, tear * swell(samples, 0.88, 1.0)))
        audio = mix(sample_count(seconds), pieces)
        return surround(rng, audio, 0.25, rng.uniform(0.35, 0.55), -48.0)

    return Plan(
        phrases(
            f"tearing {sheet} to pieces",
            f"{sheet} being torn",
            f"somebody tears up {sheet}",
            "tearing paper" if sheet != "newspaper" else "tearing a newspaper",
        ),
        told(sheet=sheet),
        events,
        float(rng.uniform(0.4, 0.85)),
        render,
    )
