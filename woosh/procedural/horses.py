"""Procedural families of horses."""

import numpy as np

from woosh.procedural.plan import Plan, choose, phrases, spaced, told
from woosh.procedural.synthesis import (
    Signal,
    bandpass,
    bubble,
    curve,
    decay,
    mix,
    sample_count,
    surround,
    swell,
)

Generator = np.random.Generator


def hoof(rng: Generator, pitch: float, length: float) -> Signal:
    """A hollow hoof on a hard road: a knock near `pitch` Hz, the iron's clatter, and the ground's thud."""
    samples = sample_count(2.5 * length)
    knock = bandpass(rng.standard_normal(samples), 0.7 * pitch, 1.4 * pitch)
    knock *= decay(samples, length, 0.002)
    iron = bandpass(rng.standard_normal(samples), 1500, 7000) * decay(samples, 0.6 * length)
    thud = bubble(rng.uniform(60, 110), 2.5 * length, -0.3)[:samples]
    clatter = rng.uniform(0.26, 0.32) * iron / iron.std()
    return 0.3 * knock / knock.std() + clatter + 0.55 * thud


def trot(rng: Generator, seconds: float) -> Plan:
    """Hooves fall two by two, of one pair nearly together, and throw up a little grit."""
    pace, speed = [("slowly", 3.7), ("briskly", 4.7), ("", 4.3)][int(rng.integers(3))]
    ground = choose(rng, "a road", "a paved street", "cobblestones")
    gap = 1 / (speed * float(rng.uniform(0.95, 1.05)))
    events = spaced(rng, seconds, gap, 0.12)

    def render() -> Signal:
        uneven = 0.09 if ground == "cobblestones" else 0.05
        tones = rng.uniform(880, 1120) * np.array([1.0, 0.78, 1.12, 0.86])
        weights, length = rng.uniform(0.5, 1.0, 4), rng.uniform(0.021, 0.026)
        pieces = []
        for number, event in enumerate(events):
            side = number % 2
            for onset, leg in ((0.0, side), (rng.uniform(0.012, 0.04), side + 2)):
                if leg == side or rng.uniform() < 0.7:
                    pitch = tones[leg] * rng.uniform(1 - uneven, 1 + uneven)
                    weight = weights[leg] * rng.uniform(0.7, 1.0) * (1.0 if leg == side else 0.5)
                    step = hoof(rng, pitch, length * rng.uniform(0.8, 1.2))
                    pieces.append((event + onset, weight * step))
            samples = sample_count(rng.uniform(0.16, 0.24))
            grains = rng.standard_normal(samples) * curve(rng, samples, 150) ** 3
            grit = bandpass(grains, 450, 3800)
            grit *= rng.uniform(0.06, 0.17) / grit.std() * swell(samples, 0.25, 1.3)
            pieces.append((event, grit))
        audio = mix(sample_count(seconds), pieces)
        return surround(rng, audio, rng.uniform(0.35, 0.7), rng.uniform(0.5, 0.65), -33.5)

    return Plan(
        phrases(
            f"a horse trotting {pace} on {ground}",
            f"the hooves of a trotting horse on {ground}",
            f"{choose(rng, 'clip-clop', 'the clip-clop')} of a horse trotting on {ground}",
            f"a horse {choose(rng, 'trots', 'trots along')} {pace}",
        ),
        told(pace=pace, ground=ground),
        events,
        float(rng.uniform(0.45, 0.9)),
        render,
    )
