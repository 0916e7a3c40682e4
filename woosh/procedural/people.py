"""Procedural families of people whose sounds are not words."""

import numpy as np

from woosh.procedural.plan import Plan, choose, counted, here, phrases, repeats, spaced, told
from woosh.procedural.synthesis import (
    Signal,
    bandpass,
    curve,
    cycles,
    frame_count,
    mix,
    noise,
    peaks,
    ramp,
    sample_count,
    shape,
    surround,
    swell,
)

Generator = np.random.Generator


def snore(rng: Generator, seconds: float) -> Plan:
    """The soft palate flaps as breath is drawn in; the breath out only hisses."""
    how = choose(rng, "loudly", "softly", "")
    gap = float(rng.uniform(2.2, 3.4))
    events = spaced(rng, seconds, gap, 0.08)
    count = len(events)

    def render() -> Signal:
        rate = rng.uniform(28, 55)
        breath = {"loudly": 0.25, "softly": 0.6}.get(how, 0.4)
        pieces = []
        for event in events:
            samples = sample_count(0.45 * gap)
            flap = cycles(
                rate * ramp(samples, 0.8, 1.1, 1.0, 0.8) * curve(rng, samples, 25, 0.8, 1.2)
            )
            air = noise(rng, samples, 0.5)
            source = np.exp(-6 * (flap % 1.0)) * (1 + 0.8 * air) + 0.3 * breath * air
            frames = frame_count(samples)
            centres = np.tile([280.0, 750.0, 1500.0, 2600.0], (frames, 1)) * rng.uniform(0.9, 1.1)
            widths, strengths = np.array([150.0, 250, 400, 600]), np.array([1.0, 0.7, 0.4, 0.25])
            drawn = shape(source - source.mean(), peaks(centres, widths, strengths))
            pieces.append((event, drawn / drawn.std() * swell(samples, 0.55, 1.0)))
            out = sample_count(0.35 * gap)
            sigh = bandpass(noise(rng, out), 400, 3000) * swell(out, 0.3, 1.2)
            pieces.append((event + 0.55 * gap, 0.4 * breath * sigh))
        breaths = mix(sample_count(seconds), pieces)
        return here(rng, surround(rng, breaths, rng.uniform(0.2, 0.4), 0.25, -48.0))

    return Plan(
        phrases(
            f"a person snoring {how}, {counted(count, 'breath')}",
            f"someone {choose(rng, 'asleep and snoring', 'snoring')} {how}",
            f"a person snoring {how}",
            "a person snoring",
        ),
        told(how=how, breaths=counted(count, "breath")),
        events,
        float(rng.uniform(0.7, 0.95)) * {"softly": 0.4}.get(how, 1.0),
        render,
    )


def burp(rng: Generator, seconds: float) -> Plan:
    """Air from the stomach opens the gullet in slow uneven pulses; the mouth opens and closes."""
    how = choose(rng, "loud", "long", "short", "")
    person = choose(rng, "man", "woman", "person")
    length = {"long": 1.3, "short": 0.4}.get(how, 0.8) * float(rng.uniform(0.85, 1.15))
    length = min(length, 0.85 * seconds)
    events = repeats(rng, seconds, length + 0.4, most=2)
    count = len(events)

    def render() -> Signal:
        size = {"woman": 1.12}.get(person, 0.95) * rng.uniform(0.9, 1.1)
        rate = size * rng.uniform(40, 85)
        shut, wide = (350, 900, 2300, 3200), (650, 1100, 2450, 3400)
        mouth = np.array([shut, wide, wide, (450, 850, 2300, 3200)]) * size
        pieces = []
        for event in events:
            samples = sample_count(length * rng.uniform(0.85, 1.0))
            course = rate * ramp(samples, 0.8, 1.1, 1.0, 0.95, 0.7)
            opening = cycles(course * curve(rng, samples, 25, 0.75, 1.25)) % 1.0
            air = noise(rng, samples, 0.5)
            source = np.exp(-6 * opening) * (1 + 0.6 * air) * curve(rng, samples, 40, 0.3, 1.0)
            source += 0.04 * air
            frames = frame_count(samples)
            moments = np.linspace(0, frames - 1, len(mouth))
            centres = np.stack(
                [np.interp(np.arange(frames), moments, track) for track in mouth.T], axis=1
            )
            gains = peaks(centres, 70 + 0.1 * centres, np.array([1.0, 0.8, 0.4, 0.3])) + 0.01
            belch = shape(source - source.mean(), gains)
            level = ramp(samples, 0.0, 0.9, 1.0, 0.9, 0.8, 0.5, 0.0)
            pieces.append((event, belch / belch.std() * level * rng.uniform(0.7, 1.0)))
        burps = mix(sample_count(seconds), pieces)
        return here(rng, surround(rng, burps, rng.uniform(0.2, 0.4), 0.25, -48.0))

    return Plan(
        phrases(
            f"{counted(count, f'{how} burp')} of a {person}",
            f"a {person} {choose(rng, 'burping', 'letting out a burp', 'who burps')}",
            f"a {how} burp" if count == 1 else f"{how} burps",
            f"a burping {person}",
        ),
        told(how=how, person=person, burps=count),
        events,
        {"loud": 0.95}.get(how, 0.7) * float(rng.uniform(0.85, 1.0)),
        render,
    )
