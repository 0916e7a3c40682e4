"""Procedural families of horses."""

import numpy as np

from woosh.procedural.animals import heard_from
from woosh.procedural.plan import (
    Plan,
    choose,
    counted,
    phrases,
    place,
    repeats,
    spaced,
    times,
    told,
)
from woosh.procedural.synthesis import (
    RATE,
    Signal,
    bandpass,
    bubble,
    curve,
    cycles,
    decay,
    mix,
    noise,
    ramp,
    sample_count,
    surround,
    swell,
)
from woosh.procedural.voices import voice

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


def snort(rng: Generator, length: float) -> Signal:
    """Air that flutters the nostrils, at unit level."""
    samples = sample_count(length)
    flutter = np.exp(-5 * (cycles(rng.uniform(16, 24) * ramp(samples, 1.2, 0.8)) % 1.0))
    air = bandpass(noise(rng, samples, 0.5), 200, 2500) * flutter * swell(samples, 0.25, 1.2)
    return air / air.std()


def neigh(rng: Generator, seconds: float) -> Plan:
    """A whinny: a strained voice that shakes eight to nine times a second as it sinks, then a snort."""
    who = choose(rng, "horse", "horse", "stallion", "pony")
    length = min(float(rng.uniform(1.1, 1.6)), 0.8 * seconds)
    events, where = repeats(rng, seconds, length + 0.7, most=2), place(rng)
    count = len(events)

    def render() -> Signal:
        top = {"stallion": 600.0, "pony": 900.0}.get(who, 740.0) * rng.uniform(0.9, 1.1)
        size = {"stallion": 1.02, "pony": 1.12}.get(who, 1.06)
        start, end, speed = rng.uniform(0.6, 0.78), rng.uniform(0.65, 0.82), rng.uniform(8, 9.2)
        throat = rng.uniform(1450, 1750)  # Hz, where the open mouth rings most
        mouth = [
            tuple(size * f for f in moment)
            for moment in (
                (0.6 * throat, 1500, 2600, 3600),
                (throat, 1800, 3000, 4200),
                (1.1 * throat, 1800, 3000, 4200),
                (0.8 * throat, 1500, 2700, 3800),
                (0.5 * throat, 1200, 2400, 3500),
            )
        ]

        def call() -> Signal:
            samples = sample_count(length * rng.uniform(0.9, 1.0))
            grow = ramp(samples, 0.0, 0.3, 1.0, 1.0, 1.0)
            pace = speed * curve(rng, samples, 4, 0.85, 1.15) * ramp(samples, 1.1, 1.0, 0.8)
            shake = np.sin(2 * np.pi * cycles(pace))
            pitch = top * ramp(samples, start, 0.9, 1.0, 0.95, 0.88, 0.85, end)
            level = ramp(samples, 0.0, 0.8, 1.0, 1.0, 0.8, 0.6, 0.4, 0.0)
            level = level * (1 - 0.72 * grow * (0.5 + 0.5 * shake))
            whinny = voice(rng, pitch * (1 + 0.1 * grow * shake), mouth, 0.33, 0.48, 0.23) * level
            after = (0.95 * len(whinny) / RATE, 0.23 * snort(rng, 0.5))
            return mix(sample_count(length + 0.6), [(0.0, whinny), after])

        return heard_from(rng, where, seconds, events, call)

    return Plan(
        phrases(
            f"a {who} neighs {times(count)} {where.words}",
            f"a {who} neighing {where.words}",
            f"{counted(count, 'neigh')} of a {who} {where.words}",
            f"the neigh of a {who}, {choose(rng, 'then a snort', 'ending in a snort')}",
        ),
        told(who=who, repeats=times(count), distance=where.words),
        events,
        where.level(rng, 0.9),
        render,
    )
