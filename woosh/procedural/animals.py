"""Procedural families of farm animals and wolves, voices through moving mouths, and of purring cats."""

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
    times,
    told,
)
from woosh.procedural.synthesis import (
    Signal,
    curve,
    cycles,
    lowpass,
    mix,
    noise,
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


def cow(rng: Generator, seconds: float) -> Plan:
    """Moo: a closed mouth hums, opens, and the voice strains upward before it falls."""
    size = choose(rng, "young", "large", "")
    length = min(float(rng.uniform(1.3, 2.2)), 0.9 * seconds)
    events, where = repeats(rng, seconds, length + 0.4, most=3), place(rng)
    count = len(events)

    def render() -> Signal:
        base = {"young": 190.0, "large": 110.0}.get(size, 145.0) * rng.uniform(0.88, 1.12)
        throat = {"young": 1.15, "large": 0.9}.get(size, 1.0)
        shut, half, wide = (260, 580, 950, 1350), (340, 720, 1150, 1650), (410, 850, 1360, 1950)
        mouth = [tuple(throat * f for f in moment) for moment in (shut, half, wide, wide, half)]
        pieces = []
        for event in events:
            samples = sample_count(length * rng.uniform(0.85, 1.0))
            course = base * ramp(samples, 0.85, 1.0, 1.22, 1.22, 0.85)
            moo = voice(rng, course, mouth, 0.8, 0.2, 0.08) * swell(samples, 0.35, 0.8)
            pieces.append((event, moo * rng.uniform(0.75, 1.0)))
        moos = mix(sample_count(seconds), pieces)
        return where.room(rng, surround(rng, moos, rng.uniform(0.3, 0.7), 0.3, -45.0))

    return Plan(
        phrases(
            f"a {size} cow moos {times(count)} {where.words}",
            f"{counted(count, 'moo')} of a {size} cow {where.words}",
            f"a {size} cow mooing {where.words}",
            "a cow mooing",
        ),
        told(size=size, repeats=times(count), distance=where.words),
        events,
        where.level(rng, 0.9),
        render,
    )


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


def pig(rng: Generator, seconds: float) -> Plan:
    """Grunts: slow rough pulses of the voice through a long snout, with snorted air."""
    size = choose(rng, "small", "large", "")
    length = min(float(rng.uniform(0.12, 0.2)), 0.8 * seconds)
    events, where = repeats(rng, seconds, length + 0.4, most=6, jitter=0.15), place(rng)
    count = len(events)

    def render() -> Signal:
        base = {"small": 150.0, "large": 90.0}.get(size, 120.0) * rng.uniform(0.85, 1.15)
        snout = {"small": 1.25, "large": 0.85}.get(size, 1.0)
        mouth = [
            tuple(snout * f for f in moment)
            for moment in ((420, 950, 1600, 2300), (480, 1080, 1750, 2500), (420, 950, 1600, 2300))
        ]
        pieces = []
        for event in events:
            samples = sample_count(length * rng.uniform(0.75, 1.1))
            course = base * ramp(samples, 0.85, 1.0, 1.0, 0.85) * rng.uniform(0.93, 1.07)
            grunt = voice(rng, course, mouth, 0.5, 1.1, 0.7) * swell(samples, 0.35, 0.8)
            pieces.append((event, grunt * rng.uniform(0.5, 1.0)))
        grunts = mix(sample_count(seconds), pieces)
        return where.room(rng, surround(rng, grunts, rng.uniform(0.2, 0.4), 0.3, -45.0))

    return Plan(
        phrases(
            f"a {size} pig grunts {times(count)} {where.words}",
            f"{counted(count, 'grunt')} of a {size} pig {where.words}",
            f"a {size} pig grunting {where.words}",
            "a pig grunting",
        ),
        told(size=size, repeats=times(count), distance=where.words),
        events,
        where.level(rng, 0.8),
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


def purr(rng: Generator, seconds: float) -> Plan:
    """The larynx of a cat flutters about 26 times a second, breathing in and breathing out."""
    who = choose(rng, "cat", "cat", "kitten", "large cat")
    how = choose(rng, "loudly", "softly", "contentedly", "")

    def render() -> Signal:
        samples = sample_count(seconds)
        rate = {"kitten": 27.5, "large cat": 25.5}.get(who, 26.5) * rng.uniform(0.95, 1.05)
        stroke = cycles(rng.uniform(0.5, 0.8) * curve(rng, samples, 1.5, 0.85, 1.15))
        side = np.sin(2 * np.pi * (stroke + rng.uniform()))
        course = rate * np.where(side > 0, 1.04, 0.97) * curve(rng, samples, 12, 0.95, 1.05)
        flutter = np.exp(-rng.uniform(3.0, 6.5) * (cycles(course) % 1.0))
        chest = rng.uniform(150, 260)  # Hz: what is higher hardly leaves the body
        pulses = lowpass(flutter * curve(rng, samples, 26, 0.65, 1.0), chest, 1)
        air = lowpass(noise(rng, samples) * (flutter + 0.05), chest, 2)
        audio = (pulses - pulses.mean()) / pulses.std() + rng.uniform(0.4, 0.9) * air / air.std()
        audio *= 0.15 + 0.85 * np.abs(side) ** 0.6 * np.where(side > 0, 1.0, rng.uniform(0.6, 0.85))
        quiet = 10 ** (rng.uniform(-20, -14) / 20) * noise(rng, samples, 0.4)
        return surround(rng, audio / audio.std() + quiet, rng.uniform(0.15, 0.3), 0.1, -70.0)

    return Plan(
        phrases(
            f"a {who} purring {how}",
            f"the {choose(rng, 'purr', 'purring')} of a {who}",
            f"a {who} purrs {how} {choose(rng, 'on a lap', 'close by', 'up close')}",
            f"a purring {who}",
        ),
        told(who=who, how=how),
        (0.0,),
        float(rng.uniform(0.7, 0.95)) * {"softly": 0.4}.get(how, 1.0),
        render,
    )
