"""Procedural families of people whose sounds are not words."""

import numpy as np

from woosh.procedural.plan import Plan, choose, counted, here, phrases, spaced, told
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
