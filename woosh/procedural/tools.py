"""Procedural families of power tools and compressed air."""

import numpy as np

from woosh.procedural.plan import (
    Plan,
    choose,
    phrases,
    place,
    repeats,
    told,
)
from woosh.procedural.synthesis import (
    Signal,
    bandpass,
    clock,
    curve,
    cycles,
    highpass,
    mix,
    noise,
    oscillate,
    ramp,
    rolloff,
    sample_count,
    saturate,
    surround,
    tame,
)

Generator = np.random.Generator


def universal_motor(rng: Generator, turn: Signal, highest: float, rough: float) -> Signal:
    """A motor with brushes at unit level: uneven harmonics of its turns, and noise in their rhythm.

    Args:
        rng: source of the harmonics and of the noise.
        turn: turns per second, (S,).
        highest: frequency of the highest harmonic in Hz.
        rough: level of the brushes' noise against the harmonics.
    """
    weights = rolloff(float(turn.max()), 0.35, highest)
    weights = weights * rng.uniform(0.05, 1.0, len(weights))
    wave = oscillate(cycles(turn), weights, 0.7)
    brushes = bandpass(noise(rng, len(turn)), 1500, 8000) * (1 + wave / wave.std()) ** 2
    audio = wave / wave.std() + rough * brushes / brushes.std()
    return audio / audio.std()


def drill(rng: Generator, seconds: float) -> Plan:
    """An electric drill: the motor's scream and the gears' rasp, slower and rougher under load."""
    manner = choose(rng, "running", "drilling into wood", "starting")
    where = place(rng)

    def render() -> Signal:
        samples = sample_count(seconds)
        load = 0.92 + 0.08 * curve(rng, samples, 1.5)
        if manner == "starting":
            load = load * (1 - 0.8 * np.exp(-clock(samples) / 0.25))
        turn = rng.uniform(170, 260) * load * (1 + 0.006 * curve(rng, samples, 20, -1, 1))
        audio = universal_motor(rng, turn, 9000.0, 0.5)
        gears = oscillate(cycles(turn * rng.uniform(5.2, 7.8)), [1.0, 0.5, 0.3, 0.2], 0.3)
        audio += 0.8 * gears / gears.std() * curve(rng, samples, 40, 0.3, 1.0)
        if manner == "drilling into wood":
            rasp = bandpass(noise(rng, samples), 400, 4000) * curve(rng, samples, 45)
            audio += 0.8 * rasp / rasp.std()
        air = bandpass(noise(rng, samples, 0.5), 500, 7000)
        audio += 1.0 * air / air.std()
        audio = saturate(tame(audio, 3.0), 1.5) * (0.2 + 0.8 * load)
        return where.room(rng, surround(rng, audio, 0.4, 0.4, -45))

    return Plan(
        phrases(
            f"an electric drill {manner} {where.words}",
            f"a power drill {manner}",
            f"the whine of an electric drill {where.words}",
            "an electric drill",
        ),
        told(manner=manner, distance=where.words),
        (0.0,),
        where.level(rng, 0.8),
        render,
    )


def air_hiss(rng: Generator, seconds: float) -> Plan:
    """Compressed air from a nozzle: turbulence that is brightest while the pressure is highest."""
    manner = choose(rng, "steady", "fading", "short")
    events = repeats(rng, seconds, 0.5, most=4) if manner == "short" else (0.0,)

    def render() -> Signal:
        samples = sample_count(seconds)
        if manner == "short":
            puffs = []
            for onset in events:
                length = sample_count(rng.uniform(0.2, 0.4))
                edge = np.minimum(clock(length) / 0.006, 1) * ramp(length, 1.0, 0.85, 0.7, 0.0)
                puffs.append((onset, edge * noise(rng, length)))
            audio = mix(samples, puffs)
        else:
            course = ramp(samples, 1.0, 0.5, 0.2) if manner == "fading" else np.ones(samples)
            audio = noise(rng, samples) * course * curve(rng, samples, 12, 0.85, 1.0)
        audio = highpass(audio, rng.uniform(1500, 3500), 1)
        throat = bandpass(audio, *(rng.uniform(3500, 6500) * np.array([0.8, 1.25])))
        return surround(rng, audio + throat, 0.25, 0.25, -55)

    return Plan(
        phrases(
            f"a {manner} hiss of compressed air"
            if len(events) == 1
            else "short hisses of compressed air",
            "compressed air hissing out of a nozzle",
            "hiss of compressed air",
        ),
        told(manner=manner),
        events,
        float(rng.uniform(0.4, 0.9)),
        render,
    )
