"""Procedural families of farm animals, wolves and larger birds: voices through moving mouths."""

from collections.abc import Callable, Sequence

import numpy as np

from woosh.procedural.plan import (
    Place,
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
    curve,
    cycles,
    mix,
    ramp,
    sample_count,
    surround,
    swell,
)
from woosh.procedural.voices import voice

Generator = np.random.Generator


def heard_from(
    rng: Generator,
    where: Place,
    seconds: float,
    events: Sequence[float],
    call: Callable[[], Signal],
) -> Signal:
    """A call at each event, no two alike, in a live place and from a distance."""
    pieces = [(event, rng.uniform(0.75, 1.0) * call()) for event in events]
    audio = surround(rng, mix(sample_count(seconds), pieces), rng.uniform(0.2, 0.6), 0.35, -50.0)
    return where.room(rng, audio)


def sheep(rng: Generator, seconds: float) -> Plan:
    """A bleat: a voice that trembles eight to twelve times a second."""
    who = choose(rng, "sheep", "sheep", "lamb", "goat")
    length = min(float(rng.uniform(0.6, 1.2)), 0.9 * seconds)
    events, where = repeats(rng, seconds, length + 0.3, most=3), place(rng)
    count = len(events)

    def render() -> Signal:
        base = {"lamb": 480.0, "goat": 330.0}.get(who, 260.0) * rng.uniform(0.88, 1.15)
        scale = {"lamb": 1.2, "goat": 1.05}.get(who, 1.0)
        mouth = [
            tuple(scale * f for f in moment)
            for moment in (
                (500, 1500, 2500, 3500),
                (750, 1700, 2700, 3700),
                (760, 1650, 2650, 3700),
                (650, 1500, 2600, 3600),
            )
        ]
        tremor = rng.uniform(8, 12)

        def call() -> Signal:
            samples = sample_count(length * rng.uniform(0.8, 1.0))
            shake = np.sin(2 * np.pi * cycles(tremor * (1 + 0.1 * curve(rng, samples, 4, -1, 1))))
            pitch = base * ramp(samples, 0.9, 1.06, 1.04, 1.0, 0.93) * (1 + 0.06 * shake)
            level = ramp(samples, 0.0, 0.9, 1.0, 0.9, 0.7, 0.0) * (1 + 0.45 * shake)
            return voice(rng, pitch, mouth, 0.6, 0.15, 0.3) * level

        return heard_from(rng, where, seconds, events, call)

    return Plan(
        phrases(
            f"a {who} bleats {times(count)} {where.words}",
            f"a {who} bleating {where.words}",
            f"{choose(rng, 'bleating', 'the bleat of a sheep', 'a sheep bleating')} {where.words}",
            f"a {who} {choose(rng, 'on a meadow', 'in a stable', 'on a farm')}",
        ),
        told(who=who, repeats=times(count), distance=where.words),
        events,
        where.level(rng, 0.8),
        render,
    )


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


def wolf(rng: Generator, seconds: float) -> Plan:
    """A howl: it climbs, stays, and sinks slowly, with hardly an overtone."""
    who = choose(rng, "a wolf", "a wolf", "a pack of wolves", "a dog")
    length = min(float(rng.uniform(2.2, 3.6)), 0.92 * seconds)
    events, where = repeats(rng, seconds, length + 0.6, most=1), place(rng)
    voices = 3 if who == "a pack of wolves" else 1

    def render() -> Signal:
        mouth = [(350, 900, 2300), (480, 950, 2400), (500, 950, 2400), (400, 900, 2300)]

        def call() -> Signal:
            pieces = []
            for number in range(voices):
                samples = sample_count(length * rng.uniform(0.8, 1.0))
                base = rng.uniform(380, 520) * (1 + 0.17 * number)
                pitch = base * ramp(samples, 0.6, 0.95, 1.05, 1.04, 1.03, 1.0, 0.92, 0.75)
                pitch *= 1 + 0.012 * curve(rng, samples, 5, -1, 1)
                howl = voice(rng, pitch, mouth, 1.1, 0.12, 0.06)
                level = ramp(samples, 0.0, 0.6, 1.0, 1.0, 0.9, 0.75, 0.4, 0.0)
                pieces.append((0.25 * number * rng.uniform(0.5, 1.0), howl * level))
            return mix(sample_count(length + 0.6), pieces)

        return heard_from(rng, where, seconds, events, call)

    return Plan(
        phrases(
            f"{who} howling {choose(rng, 'at night', 'at the moon', 'in the forest')} {where.words}",
            f"{who} howling {where.words}",
            f"the howl of {who} {where.words}",
            f"{choose(rng, 'a long howl', 'howling')} {where.words}",
        ),
        told(who=who, distance=where.words),
        events,
        where.level(rng, 0.8),
        render,
    )
