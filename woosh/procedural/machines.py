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
    RATE,
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
    surround,
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


def knocks(rng: Generator, rate: Signal, cylinders: int) -> Signal:
    """Firings of an engine as single samples: uneven cylinders, never quite in time.

    Args:
        rng: source of the unevenness.
        rate: firings per second, (S,).
        cylinders: firings until the pattern repeats.
    """
    firing = np.floor(cycles(rate)).astype(int)
    onsets = np.flatnonzero(np.diff(firing))
    strength = np.resize(rng.uniform(0.6, 1.0, cylinders), len(onsets))
    strength = strength * rng.uniform(0.7, 1.0, len(onsets))
    late = rng.normal(0, 0.04, len(onsets)) * RATE / rate[onsets]
    pulses = np.zeros(len(rate))
    np.add.at(pulses, np.clip(onsets + late.astype(int), 0, len(rate) - 1), strength)
    return pulses


def engine(rng: Generator, seconds: float) -> Plan:
    """A vehicle engine: thuds of the exhaust, breath in their rhythm and the clatter of valves."""
    vehicle = choose(rng, "car", "truck", "motorcycle", "tractor")
    manner = choose(rng, "idling", "revving", "running", "speeding up")
    where = place(rng)
    events = speed_changes(rng, seconds, manner)

    def render() -> Signal:
        samples = sample_count(seconds)
        speed = throttle(rng, samples, manner, events)
        idle, full, cylinders = {
            "car": (27, 95, 4),
            "truck": (30, 70, 6),
            "motorcycle": (22, 100, 2),
            "tractor": (18, 45, 3),
        }[vehicle]
        rate = (idle + (full - idle) * speed) * rng.uniform(0.9, 1.1)
        firings = knocks(rng, rate, cylinders)
        thuds = np.sum(
            [
                gain * resonate(firings, frequency * rng.uniform(0.8, 1.2), width)
                for frequency, width, gain in ((80, 20, 1.0), (190, 60, 0.5), (420, 150, 0.3))
            ],
            axis=0,
        )
        pressure = lowpass(firings, 0.3 * rate.mean(), 1)
        breath = lowpass(noise(rng, samples, 1.0), 400, 1)
        breath *= 0.25 + pressure / pressure.std()
        valves = bandpass(noise(rng, samples), 1500, 7000) * lowpass(firings, 50, 1)
        audio = thuds / thuds.std() + 0.5 * breath / breath.std() + valves / valves.std()
        audio = audio * (0.4 + 0.6 * speed) + 0.01 * noise(rng, samples, 1.0)
        return where.room(rng, tame(audio, 4.0))

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
    """A two-stroke engine: one firing per turn, a harsh pipe, the chain's hiss and rasp."""
    manner = choose(rng, "idling", "revving", "running", "cutting wood")
    where = place(rng)
    events = speed_changes(rng, seconds, manner)

    def render() -> Signal:
        speed = throttle(rng, sample_count(seconds), manner, events)
        samples = len(speed)
        rate = rng.uniform(48, 58) + rng.uniform(95, 140) * speed
        if manner in ("running", "cutting wood"):
            rate = rate * (0.75 + 0.2 * curve(rng, samples, 1.5))
        audio = motor(rng, rate, 2, 0.35 + 0.65 * speed, 0.9 if manner == "idling" else 0.35)
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
        rasp = bandpass(noise(rng, samples), 500, 3500) * curve(rng, samples, 40)
        rasp *= 0.5 if manner == "cutting wood" else 0.4
        return where.room(rng, pipe / pipe.std() + 0.12 * chain + rasp)

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


def mains_hum(rng: Generator, samples: int, base: float, iron: bool = True) -> Signal:
    """Steady harmonics of about `base` Hz at unit level; `iron` hums at twice the frequency."""
    pitch = base * rng.uniform(0.95, 1.05) * (1 + 0.0005 * curve(rng, samples, 0.5, -1, 1))
    weights = rolloff(base, 1.5, 2500)
    weights = weights * rng.uniform(0.4, 1.0, len(weights))
    if iron:
        weights[::2] *= 0.5
    audio = oscillate(cycles(pitch), weights, 1.0)
    return audio / audio.std()


def hum(rng: Generator, seconds: float) -> Plan:
    """Steady drones: mains, transformers, spaceships."""
    kind = choose(rng, "refrigerator", "transformer", "spaceship", "synthesizer drone")
    pitch = choose(rng, "low", "deep", "")

    def render() -> Signal:
        samples = sample_count(seconds)
        base = {"refrigerator": 50.0, "transformer": 60.0, "spaceship": 55.0}.get(kind, 62.0)
        base *= 0.8 if pitch == "deep" else 1.0
        audio = mains_hum(rng, samples, base, kind in ("refrigerator", "transformer"))
        audio *= 0.9 + 0.2 * curve(rng, samples, 1.0)
        air = lowpass(noise(rng, samples), 10_000)
        return here(rng, audio + 0.055 * air / air.std())

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
    """Household machines: a motor's whine and hum in a stream of air."""
    kind = choose(rng, "vacuum cleaner", "hair dryer", "electric fan", "power drill")
    where = place(rng)

    def render() -> Signal:
        samples = sample_count(seconds)
        base, whining, air, mains = {
            "vacuum cleaner": (300.0, 1.0, 1.2, 0.4),
            "hair dryer": (340.0, 0.9, 1.2, 0.4),
            "electric fan": (190.0, 0.3, 0.2, 1.3),
        }.get(kind, (310.0, 1.2, 0.7, 1.0))
        turn = base * rng.uniform(0.85, 1.15) * (1 + 0.002 * curve(rng, samples, 6, -1, 1))
        weights = rolloff(1.3 * base, 0.6, 9000)
        weights *= rng.uniform(0.05, 1.0, len(weights))
        weights[6] *= 3  # seven blades chop the air
        whine = oscillate(cycles(turn), weights, 0.7)
        stream = bandpass(noise(rng, samples, 0.5), 400, 5000, 2)
        audio = whining * whine / whine.std() + air * stream / stream.std()
        audio = surround(rng, audio, 0.4, 0.4) + mains * mains_hum(rng, samples, 50.0)
        if kind == "electric fan":
            audio *= 0.93 + 0.07 * np.sin(2 * np.pi * cycles(turn / 9))
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
