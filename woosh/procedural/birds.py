"""Procedural families of birds that call rather than sing."""

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
    Signal,
    bandpass,
    curve,
    cycles,
    mix,
    noise,
    oscillate,
    ramp,
    sample_count,
    surround,
    swell,
)
from woosh.procedural.voices import voice

Generator = np.random.Generator


def crow(rng: Generator, seconds: float) -> Plan:
    """Caws: a harsh voice, nearly noise, in an open beak."""
    bird = choose(rng, "crow", "crow", "raven")
    length = min({"raven": 0.42}.get(bird, 0.3) * float(rng.uniform(0.8, 1.2)), 0.8 * seconds)
    events, where = repeats(rng, seconds, length + float(rng.uniform(0.2, 0.5)), most=5), place(rng)
    count = len(events)

    def render() -> Signal:
        base = {"raven": 300.0}.get(bird, 480.0) * rng.uniform(0.85, 1.15)
        scale = {"raven": 0.85}.get(bird, 1.0)
        beak = [
            tuple(scale * f for f in moment)
            for moment in (
                (900, 1500, 2500, 3900),
                (1150, 1700, 2800, 4200),
                (1150, 1650, 2700, 4200),
                (900, 1400, 2500, 3900),
            )
        ]

        def call() -> Signal:
            samples = sample_count(length)
            pitch = base * ramp(samples, 0.9, 1.05, 1.0, 0.85)
            rattle = 1 + 0.5 * np.sin(2 * np.pi * cycles(np.full(samples, rng.uniform(55, 85))))
            caw = voice(rng, pitch, beak, 0.3, 1.2, 0.9)
            return caw * rattle * ramp(samples, 0.0, 1.0, 0.95, 0.85, 0.6, 0.0)

        return heard_from(rng, where, seconds, events, call)

    return Plan(
        phrases(
            f"a {bird} caws {times(count)} {where.words}",
            f"{counted(count, 'caw')} of a {bird} {where.words}",
            f"a {bird} cawing {where.words}",
            f"a {bird} {choose(rng, 'in a field', 'on a roof', 'in a tree')}",
        ),
        told(bird=bird, repeats=times(count), distance=where.words),
        events,
        where.level(rng, 0.8),
        render,
    )


def duck(rng: Generator, seconds: float) -> Plan:
    """Quacks: short, nasal and buzzing, a series that falls in pitch and strength."""
    length = min(float(rng.uniform(0.14, 0.24)), 0.8 * seconds)
    events, where = repeats(rng, seconds, length + 0.14, most=6, jitter=0.12), place(rng)
    count = len(events)
    spot = choose(rng, "on a pond", "by a lake", "")

    def render() -> Signal:
        base = rng.uniform(210, 290)
        mouth = [(1160, 1780, 2800, 4100), (1320, 2020, 3200, 4650), (1160, 1780, 2800, 4100)]
        pieces = []
        for number, event in enumerate(events):
            samples = sample_count(length * rng.uniform(0.9, 1.1))
            fall = 1.06 - 0.02 * min(number, 5)
            course = base * fall * ramp(samples, 0.87, 1.0, 1.04, 1.04, 0.85)
            quack = voice(rng, course, mouth, 0.5, 0.12, 0.42) * swell(samples, 0.35, 0.8)
            pieces.append((event, quack * rng.uniform(0.8, 1.0) * fall))
        quacks = mix(sample_count(seconds), pieces)
        return where.room(rng, surround(rng, quacks, rng.uniform(0.3, 0.6), 0.3, -45.0))

    return Plan(
        phrases(
            f"a duck quacks {times(count)} {spot} {where.words}",
            f"{counted(count, 'quack')} of a duck {spot}",
            f"a duck quacking {where.words}",
            "a duck quacking",
        ),
        told(repeats=times(count), spot=spot, distance=where.words),
        events,
        where.level(rng, 0.8),
        render,
    )


def seagull(rng: Generator, seconds: float) -> Plan:
    """Cries that leap up and fall slowly, one after the other."""
    who = choose(rng, "a seagull", "a gull", "seagulls")
    length = min(float(rng.uniform(0.35, 0.7)), 0.8 * seconds)
    events, where = repeats(rng, seconds, length + float(rng.uniform(0.1, 0.4)), most=5), place(rng)
    count = len(events)

    def render() -> Signal:
        base = rng.uniform(850, 1250)
        beak = [(1300, 2600, 4300), (1900, 3200, 5000), (1700, 3000, 4800), (1300, 2600, 4300)]

        def call() -> Signal:
            samples = sample_count(length * rng.uniform(0.7, 1.1))
            pitch = base * rng.uniform(0.9, 1.1) * ramp(samples, 0.7, 1.15, 1.1, 0.95, 0.8, 0.65)
            cry = voice(rng, pitch, beak, 0.5, 0.15, 0.25)
            return cry * ramp(samples, 0.0, 0.9, 1.0, 0.8, 0.5, 0.0)

        return heard_from(rng, where, seconds, events, call)

    return Plan(
        phrases(
            f"{who} calling, {counted(count, 'cry', 'cries')} {where.words}",
            f"{counted(count, 'cry', 'cries')} of a seagull {where.words}",
            f"{who} {choose(rng, 'calling', 'crying', 'screeching')} {where.words}",
            f"{who} {choose(rng, 'at the sea', 'over a harbour', 'by the coast')}",
        ),
        told(who=who, count=count, distance=where.words),
        events,
        where.level(rng, 0.8),
        render,
    )


def hen(rng: Generator, seconds: float) -> Plan:
    """Clucks, short and uneven; now and then one that is drawn out and rises."""
    who = choose(rng, "a hen", "hens", "chickens")
    events, where = spaced(rng, seconds, float(rng.uniform(0.25, 0.42)), 0.5), place(rng)

    def render() -> Signal:
        base = rng.uniform(380, 560)
        beak = [(800, 1700, 3000, 4200), (1100, 2000, 3300, 4600), (800, 1600, 2900, 4100)]

        def call() -> Signal:
            long = rng.uniform() < 0.15
            samples = sample_count(rng.uniform(0.3, 0.5) if long else rng.uniform(0.06, 0.12))
            course = (0.8, 1.0, 1.4, 1.2) if long else (1.1, 1.0, 0.8)
            pitch = base * rng.uniform(0.85, 1.15) * ramp(samples, *course)
            cluck = voice(rng, pitch, beak, 0.5, 0.25, 0.45) * swell(samples, 0.3, 0.7)
            return cluck * (1.0 if long else rng.uniform(0.4, 0.9))

        return heard_from(rng, where, seconds, events, call)

    return Plan(
        phrases(
            f"{who} clucking {choose(rng, 'softly', 'busily', '')} {where.words}",
            f"the clucking of {who} {where.words}",
            f"{who} clucking {where.words}",
            f"{who} {choose(rng, 'in a coop', 'on a farm', 'in a yard')}",
        ),
        told(who=who, distance=where.words),
        events,
        where.level(rng, 0.65),
        render,
    )


def pigeon(rng: Generator, seconds: float) -> Plan:
    """Coos from a closed beak, nearly without overtones: a short one, a long one, often a last one."""
    who = choose(rng, "pigeon", "pigeon", "dove", "collared dove")
    spot = choose(rng, "on a roof", "in a tree", "on a balcony", "")
    notes = int(rng.integers(2, 4))
    pace = float(rng.uniform(1.05, 1.3))
    gap = pace * (float(rng.uniform(0.4, 0.65)) + {2: 0.78, 3: 1.12}[notes])
    events = spaced(rng, seconds, gap, 0.08)

    def render() -> Signal:
        base, flutter = rng.uniform(480, 570), rng.uniform(18, 28)
        bend, depth = rng.uniform(0.25, 0.35), rng.uniform(0.08, 0.2)
        call = [(0.0, 0.22, 1.0, 0.8), (0.28, 0.5, 1.0, 1.0), (0.95, 0.17, 0.99, 0.6)][:notes]
        pieces = []
        for event in events:
            for onset, length, height, level in call:
                samples = sample_count(length * pace * rng.uniform(0.95, 1.05))
                course = 1 + bend * ramp(samples, -1.0, 0.0, 0.3, 0.0, -0.4, -1.2)
                pitch = base * height * course * (1 + 0.008 * curve(rng, samples, 40, -1, 1))
                air = bandpass(noise(rng, samples), 0.7 * base, 3 * base)
                coo = oscillate(cycles(pitch), [1.0, rng.uniform(0.03, 0.05), 0.01], 0.5)
                beat = 0.5 + 0.5 * np.sin(2 * np.pi * cycles(np.full(samples, flutter)))
                coo = (coo + 0.013 * air) * (1 - depth * beat) * swell(samples, 0.45, 0.8)
                pieces.append((event + onset * pace, level * rng.uniform(0.85, 1.0) * coo))
        coos = mix(sample_count(seconds), pieces)
        return surround(rng, coos, rng.uniform(0.2, 0.5), 0.05, -68.0)

    return Plan(
        phrases(
            f"a {who} cooing {spot}, {counted(notes, 'note')} a call",
            f"a {who} cooing {spot}",
            f"the {choose(rng, 'coo', 'cooing')} of a {who}",
            f"a {who} coos {spot}",
        ),
        told(who=who, spot=spot, notes=notes),
        events,
        float(rng.uniform(0.4, 0.85)),
        render,
    )
