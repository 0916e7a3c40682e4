"""Procedural families of engines and motors."""

import numpy as np

from woosh.procedural.plan import (
    Plan,
    choose,
    here,
    phrases,
    place,
    spaced,
    told,
)
from woosh.procedural.synthesis import (
    Signal,
    bandpass,
    clock,
    curve,
    cycles,
    highpass,
    lowpass,
    noise,
    oscillate,
    ramp,
    resonate,
    rolloff,
    sample_count,
    saturate,
    swell,
    tame,
)

Generator = np.random.Generator


def speed_changes(rng: Generator, seconds: float, manner: str) -> tuple[float, ...]:
    """Onsets of the revs of an engine; other manners only start."""
    return (
        spaced(rng, seconds, float(rng.uniform(1.0, 1.6)), 0.15) if manner == "revving" else (0.0,)
    )


def throttle(rng: Generator, samples: int, manner: str, revs: tuple[float, ...]) -> Signal:
    """Speed of an engine between 0 (idle) and 1 (full), (S,)."""
    if manner == "idling":
        return 0.04 * curve(rng, samples, 2)
    if manner == "speeding up":
        return ramp(samples, 0.0, 0.12, 0.45, 0.8, 1.0) + 0.02 * curve(rng, samples, 2)
    if manner != "revving":
        return 0.45 + 0.25 * curve(rng, samples, 0.8)
    speed = np.zeros(samples)
    time = clock(samples)
    for onset in revs:
        since = np.clip(time - onset, 0, None)
        pulse = (1 - np.exp(-since / 0.15)) * np.exp(-np.clip(since - 0.35, 0, None) / 0.3)
        speed = np.maximum(speed, rng.uniform(0.6, 1.0) * pulse)
    return speed


def motor(
    rng: Generator, rate: Signal, cylinders: int, load: Signal, breath: float = 0.3
) -> Signal:
    """Combustion engine: one pulse per firing, no two cylinders alike, plus noise in their rhythm.

    Args:
        rng: source of the differences between cylinders and of the noise.
        rate: firings per second, (S,).
        cylinders: firings until the pattern repeats.
        load: loudness of the firing, (S,).
        breath: share of intake and exhaust noise.
    """
    wander = 1 + 0.015 * curve(rng, len(rate), 12, -1, 1)
    phase = cycles(rate * wander / cylinders)
    size = 2048
    position = np.arange(size) / size * cylinders
    strength = rng.uniform(0.7, 1.0, cylinders)
    table = strength[position.astype(int)] * np.exp(-5 * (position % 1.0)) - 0.2
    pulses = np.interp((phase % 1.0) * size, np.arange(size + 1), np.append(table, table[0]))
    hiss = noise(rng, len(rate), 0.5) * np.maximum(pulses, 0)
    return (pulses - pulses.mean() + breath * hiss) * load


def engine(rng: Generator, seconds: float) -> Plan:
    """A vehicle engine behind its exhaust."""
    vehicle = choose(rng, "car", "truck", "motorcycle", "tractor")
    manner = choose(rng, "idling", "revving", "running", "speeding up")
    where = place(rng)
    events = speed_changes(rng, seconds, manner)

    def render() -> Signal:
        speed = throttle(rng, sample_count(seconds), manner, events)
        idle, full, cylinders = {
            "car": (27, 150, 4),
            "truck": (34, 110, 6),
            "motorcycle": (22, 170, 2),
            "tractor": (18, 60, 3),
        }[vehicle]
        rate = (idle + (full - idle) * speed) * rng.uniform(0.9, 1.1)
        audio = motor(rng, rate, cylinders, 0.35 + 0.65 * speed)
        pipe = np.sum(
            [
                gain * resonate(audio, frequency * rng.uniform(0.85, 1.15), 0.4 * frequency)
                for frequency, gain in (
                    (90, 1.0),
                    (190, 0.8),
                    (420, 0.6),
                    (1100, 0.45),
                    (2600, 0.3),
                )
            ],
            axis=0,
        )
        valves = 0.05 * highpass(noise(rng, len(rate)), 2500) * (0.2 + speed)
        return where.room(rng, saturate(pipe, 1.5) + valves)

    return Plan(
        phrases(
            f"a {vehicle} engine {manner} {where.words}",
            f"the engine of a {vehicle} {manner}",
            f"a {vehicle} {manner} {where.words}",
            f"an engine {manner}",
        ),
        told(vehicle=vehicle, manner=manner, distance=where.words),
        events,
        where.level(rng, 0.5 if manner == "idling" else 0.9),
        render,
    )


def helicopter(rng: Generator, seconds: float) -> Plan:
    """Blade slap as gated low noise and a pulse, a tail rotor and a turbine."""
    motion = choose(rng, "flying", "hovering", "flying past", "approaching", "flying away")
    where = place(rng) if motion in ("flying", "hovering") else None
    words = where.words if where else choose(rng, "overhead", "in the sky", "")

    def render() -> Signal:
        samples = sample_count(seconds)
        course = {
            "approaching": ramp(samples, 0.15, 0.3, 0.55, 1.0),
            "flying away": ramp(samples, 1.0, 0.55, 0.3, 0.15),
            "flying past": 0.2 + 0.8 * swell(samples, rng.uniform(0.35, 0.65), 1.5),
        }.get(motion, 0.85 + 0.15 * curve(rng, samples, 0.5))
        doppler = {
            "approaching": np.full(samples, 1.04),
            "flying away": np.full(samples, 0.96),
            "flying past": ramp(samples, 1.06, 1.05, 1.0, 0.95, 0.94),
        }.get(motion, np.ones(samples))
        rate = rng.uniform(10, 19) * doppler
        phase = cycles(rate)
        chop = (0.5 + 0.5 * np.cos(2 * np.pi * phase)) ** rng.uniform(3, 9)
        thump = oscillate(phase, np.exp(-0.5 * ((np.arange(1, 16) - 4) / 3.5) ** 2), 0.02)
        air = bandpass(noise(rng, samples, 0.8), 120, 2200) * (0.12 + chop)
        tail = oscillate(cycles(rate * rng.uniform(4.5, 6)), rolloff(90, 1.2, 1500), 0.1)
        whine = oscillate(cycles(rate * rng.uniform(90, 160)), [1.0, 0.4, 0.2])
        audio = thump / thump.std() + rng.uniform(0.8, 1.6) * air / air.std()
        audio += 0.2 * tail / tail.std() + rng.uniform(0.01, 0.06) * whine * course
        audio = tame(audio, 3.5) * course
        return where.room(rng, audio) if where else audio

    return Plan(
        phrases(
            f"a helicopter {motion} {words}",
            f"{choose(rng, 'rotor blades', 'the chopping blades')} of a helicopter {motion} {words}",
            f"a helicopter {motion}",
            f"the rotor of a helicopter {words}",
        ),
        told(motion=motion, place=words),
        (0.0,),
        where.level(rng, 0.9) if where else float(rng.uniform(0.7, 0.95)),
        render,
    )


def chainsaw(rng: Generator, seconds: float) -> Plan:
    """A two-stroke engine: one firing per turn, a harsh pipe, the chain's hiss."""
    manner = choose(rng, "idling", "revving", "running", "cutting wood")
    where = place(rng)
    events = speed_changes(rng, seconds, manner)

    def render() -> Signal:
        speed = throttle(rng, sample_count(seconds), manner, events)
        samples = len(speed)
        rate = rng.uniform(38, 48) + rng.uniform(95, 140) * speed
        if manner == "cutting wood":
            rate = rate * (0.8 + 0.18 * curve(rng, samples, 1.5))
        audio = motor(rng, rate, 2, 0.35 + 0.65 * speed, 0.35)
        harsh = highpass(saturate(audio, 4.0), 120)
        pipe = 0.5 * harsh + np.sum(
            [
                gain * resonate(harsh, frequency * rng.uniform(0.85, 1.15), 0.35 * frequency)
                for frequency, gain in (
                    (320, 0.8),
                    (900, 1.0),
                    (1900, 1.0),
                    (3600, 0.9),
                    (6000, 0.6),
                )
            ],
            axis=0,
        )
        chain = bandpass(noise(rng, samples), 3000, 10_000) * (0.05 + speed)
        wood = bandpass(noise(rng, samples), 500, 3500) * curve(rng, samples, 40)
        cut = 0.35 * wood if manner == "cutting wood" else 0.0
        return where.room(rng, pipe / pipe.std() + 0.12 * chain + cut)

    return Plan(
        phrases(
            f"a chainsaw {manner} {where.words}",
            f"the {choose(rng, 'buzzing', 'roaring', 'whining')} motor of a chainsaw {manner}",
            f"someone using a chainsaw {where.words}"
            if manner != "idling"
            else "a chainsaw ticking over",
            f"a chainsaw {where.words}",
        ),
        told(manner=manner, distance=where.words),
        events,
        where.level(rng, 0.6 if manner == "idling" else 0.95),
        render,
    )


def hum(rng: Generator, seconds: float) -> Plan:
    """Steady drones: mains, transformers, spaceships."""
    kind = choose(rng, "refrigerator", "transformer", "spaceship", "synthesizer drone")
    pitch = choose(rng, "low", "deep", "")

    def render() -> Signal:
        samples = sample_count(seconds)
        base = {"refrigerator": 100.0, "transformer": 120.0, "spaceship": 55.0}.get(kind, 82.0)
        base *= rng.uniform(0.9, 1.1) * (0.6 if pitch == "deep" else 1.0)
        audio = np.zeros(samples)
        for voice in range(3 if kind in ("spaceship", "synthesizer drone") else 1):
            drift = base * (1 + 0.004 * voice + 0.002 * curve(rng, samples, 0.5, -1, 1))
            weights = rolloff(base, 1.3, 2500)
            weights = weights * rng.uniform(0.2, 1.0, len(weights))
            audio += oscillate(cycles(drift), weights, 1.0)
        audio /= audio.std()
        audio *= 0.85 + 0.3 * curve(rng, samples, 1.0)
        air = lowpass(noise(rng, samples, 0.8), 900)
        return here(rng, audio + 0.25 * air / air.std())

    return Plan(
        phrases(
            f"the {pitch} hum of a {kind}",
            f"a {kind} humming steadily",
            f"a {pitch} humming noise",
            f"a constant {pitch} drone",
        ),
        told(kind=kind, pitch=pitch),
        (0.0,),
        float(rng.uniform(0.3, 0.7)),
        render,
    )


def appliance(rng: Generator, seconds: float) -> Plan:
    """Household machines: a motor's whine in a stream of air."""
    kind = choose(rng, "vacuum cleaner", "hair dryer", "electric fan", "power drill")
    where = place(rng)

    def render() -> Signal:
        samples = sample_count(seconds)
        base, air, tilt = {
            "vacuum cleaner": (230.0, 1.2, 0.9),
            "hair dryer": (290.0, 1.6, 1.1),
            "electric fan": (60.0, 1.4, 1.4),
        }.get(kind, (310.0, 0.35, 0.5))
        turn = base * rng.uniform(0.8, 1.25) * (1 + 0.01 * curve(rng, samples, 1, -1, 1))
        weights = rolloff(1.3 * base, tilt, 9000)
        whine = oscillate(cycles(turn), weights * rng.uniform(0.1, 1.0, len(weights)), 0.5)
        stream = bandpass(noise(rng, samples, 0.7), 150, 7000)
        audio = whine / whine.std() + air * stream / stream.std()
        if kind == "electric fan":
            audio *= 0.8 + 0.2 * np.sin(2 * np.pi * cycles(turn / 9))
        return where.room(rng, audio)

    return Plan(
        phrases(
            f"a {kind} running {where.words}",
            f"the {choose(rng, 'whirring', 'steady noise')} of a {kind}",
            f"someone using a {kind} {where.words}",
            f"a {kind}",
        ),
        told(kind=kind, distance=where.words),
        (0.0,),
        where.level(rng, 0.7),
        render,
    )
