"""Procedural families of small mechanical things: cameras, doorbells, bicycle bells, springs."""

import numpy as np

from woosh.procedural.plan import (
    Plan,
    choose,
    counted,
    here,
    phrases,
    place,
    repeats,
    times,
    told,
)
from woosh.procedural.synthesis import (
    Signal,
    bandpass,
    burst,
    clock,
    cycles,
    decay,
    frame_count,
    gate,
    mix,
    modes,
    oscillate,
    peaks,
    ramp,
    resonate,
    rolloff,
    sample_count,
    shape,
    surround,
)

Generator = np.random.Generator


def camera(rng: Generator, seconds: float) -> Plan:
    """The mirror of a camera flips up, the curtains run, the mirror falls back."""
    kind = choose(rng, "reflex camera", "film camera")
    events = repeats(rng, seconds, 0.7, most=3)
    count = len(events)

    def render() -> Signal:
        centre, exposure = rng.uniform(1800, 3500), rng.uniform(0.06, 0.14)
        pieces = []
        for event in events:
            for onset, gain in ((0.0, 0.8), (exposure, 1.0)):
                for delay in (0.0, *rng.uniform(0.003, 0.03, 4)):
                    click = burst(rng, rng.uniform(0.015, 0.04), 900, 11_000)
                    click += 0.8 * resonate(click, centre * rng.uniform(0.8, 1.3), 0.3 * centre)
                    pieces.append((event + onset + delay, gain * rng.uniform(0.3, 1.0) * click))
                pieces.append((event + onset, 0.5 * gain * burst(rng, 0.04, 200, 900)))
            if kind == "film camera":  # a motor winds the film on
                samples = sample_count(0.35)
                teeth = 0.5 + 0.5 * np.sin(2 * np.pi * cycles(ramp(samples, 90, 160, 150)))
                motor = bandpass(rng.standard_normal(samples), 1200, 7000) * teeth**3
                pieces.append((event + exposure + 0.05, 0.25 * motor * gate(samples, 0.03)))
        audio = mix(sample_count(seconds), pieces)
        return here(rng, surround(rng, audio, rng.uniform(0.15, 0.3), 0.15, -36.0))

    return Plan(
        phrases(
            f"the shutter of a {kind} clicks {times(count)}",
            f"a {kind} taking {counted(count, 'picture')}",
            "a camera shutter",
            f"{counted(count, 'photo')} taken with a {kind}",
        ),
        told(kind=kind, repeats=times(count)),
        events,
        float(rng.uniform(0.35, 0.8)),
        render,
    )


def doorbell(rng: Generator, seconds: float) -> Plan:
    """Two bars are struck, the second a third lower."""
    pace = choose(rng, "quick", "slow")
    gap = {"quick": 0.35, "slow": 0.7}[pace] * float(rng.uniform(0.9, 1.1))
    events = repeats(rng, seconds, 3.2 * gap, most=2)
    count = len(events)

    def render() -> Signal:
        high = rng.uniform(640, 1000)
        pieces = []
        for event in events:
            for onset, pitch in ((0.0, high), (gap, high / rng.choice([1.26, 1.19]))):
                ratios = np.array([1.0, 1.003, 2.0, 2.76, 5.4])
                decays = rng.uniform(1.2, 2.2) / ratios**0.7
                amplitudes = np.array([1.0, 0.5, 0.1, 0.5, 0.35])
                bar = modes(pitch * ratios, decays, amplitudes, sample_count(2.5))
                pieces += [(event + onset, bar), (event + onset, 0.2 * burst(rng, 0.02, 800, 6000))]
        audio = mix(sample_count(seconds), pieces)
        return here(rng, surround(rng, audio, rng.uniform(0.4, 0.8), 0.5, -32.0))

    return Plan(
        phrases(
            f"a doorbell with a {pace} ding-dong, rung {times(count)}",
            f"a doorbell rings {times(count)}",
            "a doorbell",
            f"the {pace} ding-dong of a doorbell",
        ),
        told(pace=pace, repeats=times(count)),
        events,
        float(rng.uniform(0.4, 0.85)),
        render,
    )


def bicycle_bell(rng: Generator, seconds: float) -> Plan:
    """A thumb's push makes washers strike a small steel dome several times."""
    events, where = repeats(rng, seconds, 0.75, most=3), place(rng)
    count = len(events)

    def render() -> Signal:
        pitch = rng.uniform(1900, 3200)
        ratios = np.array([1.0, 1.004, 1.9, 1.91, 2.85, 4.1])
        decays = rng.uniform(0.8, 1.6) / ratios**0.8
        dome = modes(pitch * ratios, decays, rng.uniform(0.3, 1.0, 6), sample_count(1.8))
        step = rng.uniform(0.035, 0.06)
        pieces = []
        for event in events:
            for number in range(int(rng.integers(4, 8))):
                onset = event + number * step * rng.uniform(0.95, 1.05)
                pieces += [(onset, rng.uniform(0.4, 1.0) * dome)]
                pieces += [(onset, 0.5 * burst(rng, 0.015, 2000, 10_000))]
        audio = mix(sample_count(seconds), pieces)
        return where.room(rng, surround(rng, audio, 0.4, 0.2, -46.0))

    return Plan(
        phrases(
            f"a bicycle bell rings {times(count)} {where.words}",
            f"{counted(count, 'ring')} of a bicycle bell {where.words}",
            "a bicycle bell",
            f"a cyclist ringing the bell {where.words}",
        ),
        told(repeats=times(count), distance=where.words),
        events,
        where.level(rng, 0.85),
        render,
    )


def spring(rng: Generator, seconds: float) -> Plan:
    """A comic spring: a twang whose pitch and colour swing faster and less until it rests."""
    tone = choose(rng, "deep", "")
    kind = choose(rng, "comic", "cartoon")
    length = min(1.3, 0.9 * seconds)
    events = repeats(rng, seconds, length, most=2)
    count = len(events)

    def render() -> Signal:
        base = rng.uniform(68, 85) if tone == "deep" else rng.uniform(82, 120)
        speed, depth = rng.uniform(5.2, 7.0), rng.uniform(0.12, 0.25)
        fall, bend = rng.uniform(0.7, 0.9), rng.uniform(0.12, 0.22)
        pieces = []
        for event in events:
            samples = sample_count(length)
            time = clock(samples)
            rest = np.exp(-time / 0.5)
            swing = np.sin(2 * np.pi * cycles(speed * rng.uniform(0.95, 1.05) * (1 + 0.8 * time)))
            pitch = base * (1 + bend * (1 - np.exp(-time / 0.2))) * (1 + depth * rest * swing)
            wire = oscillate(cycles(pitch), rolloff(1.6 * base, rng.uniform(0.5, 0.7), 9000), 0.3)
            frames = np.linspace(0, samples - 1, frame_count(samples)).astype(int)
            colour = 1 + 0.6 * (rest * np.sin(2 * np.pi * speed * time))[frames]
            centres = colour[:, None] * np.array([700.0, 1500, 2600])
            gains = peaks(centres, np.array([150.0, 250, 400]), np.array([1.0, 0.8, 0.5])) + 0.05
            twang = shape(wire, gains) * decay(samples, fall, 0.002)
            pieces.append((event, twang * rng.uniform(0.7, 1.0)))
        audio = mix(sample_count(seconds), pieces)
        return surround(rng, audio, rng.uniform(0.2, 0.4), 0.13, -53.0)

    return Plan(
        phrases(
            f"{counted(count, f'{tone} boing')} of a {kind} spring",
            f"a {kind} spring goes boing {times(count)}",
            f"a {kind} spring",
            f"the {tone} {choose(rng, 'twang', 'boing')} of a spring",
        ),
        told(tone=tone, kind=kind, boings=count),
        events,
        float(rng.uniform(0.5, 0.95)),
        render,
    )
