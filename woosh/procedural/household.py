"""Procedural families of household machines: vacuum cleaners, hair dryers, sewing machines."""

import numpy as np

from woosh.procedural.machines import mains_hum
from woosh.procedural.plan import (
    Plan,
    choose,
    phrases,
    told,
)
from woosh.procedural.synthesis import (
    RATE,
    Signal,
    bandpass,
    burst,
    clock,
    curve,
    cycles,
    lowpass,
    mix,
    noise,
    oscillate,
    resonate,
    rolloff,
    sample_count,
    saturate,
    surround,
    tame,
)

Generator = np.random.Generator


def fan(rng: Generator, turn: Signal, tilt: float, blades: float = 1.0) -> Signal:
    """The note of a motor that drives a fan, at unit level: uneven harmonics of its turns.

    Args:
        rng: source of the unevenness.
        turn: turns per second, (S,).
        tilt: the harmonics fall as their number to the power of -tilt.
        blades: gain of the sixth harmonic, at which six blades chop the air.
    """
    weights = rolloff(float(turn.max()), tilt, 9000)
    weights = weights * rng.uniform(0.05, 1.0, len(weights))
    weights[5] *= blades
    wave = oscillate(cycles(turn), weights, 0.7)
    return wave / wave.std()


def tube(rng: Generator, air: Signal, low: float, high: float, share: float) -> Signal:
    """Air at unit level with the two resonances, in Hz, of the tube through which it blows.

    Args:
        rng: of the tube: each resonance lies up to an eighth higher or lower.
        air: the stream, (S,).
        low: the lower resonance.
        high: the upper resonance.
        share: level of the resonances against the stream.
    """
    ringing = np.sum(
        [resonate(air, hertz * rng.uniform(0.88, 1.13), 0.3 * hertz) for hertz in (low, high)],
        axis=0,
    )
    audio = air / air.std() + share * ringing / ringing.std()
    return audio / audio.std()


def vacuum_cleaner(rng: Generator, seconds: float) -> Plan:
    """A fan's note and the air in the tube, both bent as the nozzle goes back and forth, and a brush."""
    manner = choose(rng, "pushed over a carpet", "pushed over the floor", "switched on")

    def render() -> Signal:
        samples = sample_count(seconds)
        pace = rng.uniform(0.6, 1.1) * curve(rng, samples, 1.0, 0.7, 1.3)
        stroke = np.sin(2 * np.pi * (cycles(pace) + rng.uniform()))
        switched_on = manner == "switched on"
        speed = 1 - 0.95 * switched_on * np.exp(-clock(samples) / 0.25)
        turn = rng.uniform(200, 245) * (1 + 0.003 * curve(rng, samples, 2.0, -1, 1))
        turn = turn * (1 + rng.uniform(0.018, 0.03) * stroke) * speed
        stream = bandpass(noise(rng, samples, rng.uniform(0.0, 0.4)), 140, 9000)
        air = tube(rng, stream, 475, 1810, rng.uniform(0.25, 0.5)) * (1 + 0.23 * stroke)
        bristles = np.maximum(0, np.sin(2 * np.pi * cycles(0.33 * turn))) ** 4
        brush = bandpass(noise(rng, samples, 0.5), 150, 3000) * bristles * (0.6 + 0.4 * stroke)
        brush *= (0.45 if manner == "pushed over a carpet" else 0.25) / brush.std()
        audio = rng.uniform(0.5, 0.65) * fan(rng, turn, 0.3, 4.0) + air + brush
        audio = saturate(tame(audio, 3.0), 0.9) * speed
        return surround(rng, audio, rng.uniform(0.18, 0.28), rng.uniform(0.5, 0.7), -50)

    return Plan(
        phrases(
            f"a vacuum cleaner {manner}",
            f"the {choose(rng, 'whine', 'roar', 'steady noise')} of a vacuum cleaner",
            f"a vacuum cleaner being {manner}",
            "a vacuum cleaner",
        ),
        told(manner=manner),
        (0.0,),
        float(rng.uniform(0.4, 0.9)),
        render,
    )


def hair_dryer(rng: Generator, seconds: float) -> Plan:
    """Hot air that hisses in a short tube, and under it the buzz of a small motor."""
    manner = choose(rng, "blowing steadily", "moved about")
    power = choose(rng, "low", "high")

    def render() -> Signal:
        samples = sample_count(seconds)
        turn = {"low": 165.0, "high": 190.0}[power] * rng.uniform(0.93, 1.07)
        turn = turn * (1 + 0.003 * curve(rng, samples, 7.0, -1, 1))
        stream = bandpass(noise(rng, samples, 0.2), rng.uniform(480, 600), 2030)
        air = tube(rng, stream, 690, 1600, rng.uniform(0.4, 1.1))
        audio = rng.uniform(0.4, 0.6) * fan(rng, turn, 0.44) + air
        audio = saturate(tame(audio, 3.0), 2.0)
        if manner == "moved about":
            audio *= curve(rng, samples, 1.2, 0.7, 1.0)
        audio = surround(rng, audio / audio.std(), rng.uniform(0.22, 0.3), 0.8, -50)
        return audio + rng.uniform(0.07, 0.12) * mains_hum(rng, samples, 50.0)

    return Plan(
        phrases(
            f"a hair dryer on {power} power, {manner}",
            f"a hair dryer {manner}",
            f"the {choose(rng, 'blowing', 'hiss and whine', 'roar')} of a hair dryer",
            "a hair dryer",
        ),
        told(power=power, manner=manner),
        (0.0,),
        float(rng.uniform(0.4, 0.9)),
        render,
    )


def sewing_machine(rng: Generator, seconds: float) -> Plan:
    """The needle's bar and the feed knock at every stitch, as fast as the pedal lets the motor turn."""
    manner = choose(rng, "steadily", "in bursts", "slowly")
    cloth = choose(rng, "thin cloth", "denim", "")

    def render() -> Signal:
        samples = sample_count(seconds)
        low, high = (0.55, 0.85) if manner == "slowly" else (0.65, 1.0)
        speed = curve(rng, samples, 1.4, low, high)
        if manner == "in bursts":
            pressed = (curve(rng, samples, 0.9) > 0.25).astype(float)
            speed = np.maximum(0.02, speed * np.clip(lowpass(pressed, 3, 1), 0, 1))
        stitch = rng.uniform(11, 15) * speed
        phase = cycles(stitch)
        starts = np.flatnonzero(np.diff(np.floor(phase), prepend=-1))
        thick = 0.9 if cloth == "denim" else 1.0
        parts = tuple(
            (delay, gain, centre * thick * rng.uniform(0.8, 1.2), length)
            for delay, gain, centre, length in (
                (0.0, 1.0, 5000, 0.026),
                (0.27, 0.25, 1800, 0.026),
                (0.55, 0.56, 2200, 0.09),
            )
        )
        pieces = []
        for start in starts:
            for delay, gain, centre, length in parts:
                knock = burst(rng, length, 0.5 * centre, 2 * centre)
                onset = start / RATE + delay * rng.uniform(0.95, 1.05) / stitch[start]
                pieces.append((onset, gain * rng.uniform(0.7, 1.0) * knock / np.abs(knock).max()))
        knocks = mix(samples, pieces)
        body = np.sum(
            [
                resonate(knocks, hertz * rng.uniform(0.85, 1.15), 0.15 * hertz)
                for hertz in (300, 700)
            ],
            axis=0,
        )
        knocks = knocks / knocks.std() + 1.06 * body / body.std()
        motor = fan(rng, 13.6 * stitch, 0.3) * (0.3 + 0.7 * speed)
        sliding = bandpass(noise(rng, samples, 0.5), 500, 7000) * speed
        sliding *= (0.5 + 0.5 * np.cos(2 * np.pi * phase)) ** 2
        audio = knocks + 0.69 * motor + 0.88 * sliding / sliding.std()
        return surround(rng, audio, rng.uniform(0.13, 0.2), rng.uniform(0.45, 0.65), -36)

    return Plan(
        phrases(
            f"a sewing machine stitching {cloth} {manner}",
            f"a sewing machine running {manner}",
            f"the {choose(rng, 'rattle', 'clatter', 'chatter')} of a sewing machine",
            "a sewing machine",
        ),
        told(cloth=cloth, manner=manner),
        (0.0,),
        float(rng.uniform(0.4, 0.9)),
        render,
    )
