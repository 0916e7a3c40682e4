"""Procedural families of motorcycles, jets and small airplanes."""

import numpy as np

from woosh.procedural.machines import knocks, speed_changes, throttle
from woosh.procedural.plan import (
    Plan,
    choose,
    phrases,
    place,
    told,
)
from woosh.procedural.synthesis import (
    Signal,
    bandpass,
    curve,
    cycles,
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


def motorcycle(rng: Generator, seconds: float) -> Plan:
    """Two cylinders without much of a silencer: loud single firings through a short pipe."""
    manner = choose(rng, "idling", "revving", "running", "accelerating")
    where = place(rng)
    events = speed_changes(rng, seconds, manner)

    def render() -> Signal:
        samples = sample_count(seconds)
        course = "speeding up" if manner == "accelerating" else manner
        speed = throttle(rng, samples, course, events)
        rate = (rng.uniform(20, 30) + rng.uniform(75, 150) * speed) * (
            1 + 0.02 * curve(rng, samples, 9, -1, 1)
        )
        firings = lowpass(knocks(rng, rate, 2), 2500, 1)
        pipe = np.sum(
            [
                gain * resonate(firings, frequency * rng.uniform(0.85, 1.15), 0.4 * frequency)
                for frequency, gain in ((95, 1.0), (230, 1.0), (520, 0.9), (1100, 0.7), (2300, 0.5))
            ],
            axis=0,
        )
        pipe = saturate(tame(pipe / pipe.std(), 3.0), 2.0)
        pressure = lowpass(np.abs(pipe), 90, 1)
        breath = bandpass(noise(rng, samples, 0.7), 250, 5000) * pressure
        audio = pipe / pipe.std() + rng.uniform(0.3, 0.6) * breath / breath.std()
        return where.room(rng, surround(rng, audio * (0.4 + 0.6 * speed), 0.3, 0.3, -45))

    return Plan(
        phrases(
            f"a motorcycle {manner} {where.words}",
            f"the {choose(rng, 'rumbling', 'throaty')} engine of a motorcycle {manner}",
            f"a motorbike {manner} {where.words}",
            "a motorcycle",
        ),
        told(manner=manner, distance=where.words),
        events,
        where.level(rng, 0.6 if manner == "idling" else 0.9),
        render,
    )


def jet(rng: Generator, seconds: float) -> Plan:
    """Turbulence of the exhaust, which deepens as the jet goes, and the whine of the fan."""
    motion = choose(rng, "flying over", "approaching", "flying away")

    def render() -> Signal:
        samples = sample_count(seconds)
        course, doppler = {
            "approaching": (ramp(samples, 0.4, 0.55, 0.75, 1.0), ramp(samples, 1.15, 1.1)),
            "flying away": (ramp(samples, 1.0, 0.75, 0.55, 0.4), ramp(samples, 0.9, 0.85)),
        }.get(
            motion, (0.35 + 0.65 * swell(samples, 0.45, 1.5), ramp(samples, 1.2, 1.15, 0.85, 0.8))
        )
        low = lowpass(noise(rng, samples, 1.3), 2500, 1) * curve(rng, samples, 14, 0.45, 1.0)
        high = bandpass(noise(rng, samples, 0.5), 900, 6000) * course
        pitch = rng.uniform(1400, 2600) * doppler
        whine = oscillate(cycles(pitch), [1.0, 0.5, 0.2]) + 0.5 * oscillate(
            cycles(pitch * rng.uniform(1.1, 1.4)), [1.0, 0.3]
        )
        whine *= np.clip(course * ramp(samples, 1.0, 0.7, 0.4), 0, 1)
        audio = low / low.std() + rng.uniform(0.2, 0.35) * high / high.std()
        audio = (audio + rng.uniform(0.12, 0.25) * whine / whine.std()) * course
        return surround(rng, audio, 1.2, 0.5, -45)

    return Plan(
        phrases(
            f"a jet {motion}",
            f"the {choose(rng, 'roar', 'rumbling roar')} of a jet {motion}",
            f"a jet plane {motion}",
            "a jet engine in the sky",
        ),
        told(motion=motion),
        (0.0,),
        float(rng.uniform(0.6, 0.95)),
        render,
    )


def airplane(rng: Generator, seconds: float) -> Plan:
    """A propeller's blades beat the air at the harmonics of their passing; the engine fires between."""
    motion = choose(rng, "flying past", "circling in the sky", "approaching", "flying away")

    def render() -> Signal:
        samples = sample_count(seconds)
        course, doppler = {
            "approaching": (ramp(samples, 0.45, 0.6, 0.8, 1.0), ramp(samples, 1.06, 1.05)),
            "flying away": (ramp(samples, 1.0, 0.8, 0.6, 0.45), ramp(samples, 0.95, 0.94)),
            "flying past": (
                0.4 + 0.6 * swell(samples, rng.uniform(0.35, 0.65), 1.5),
                ramp(samples, 1.07, 1.05, 1.0, 0.95, 0.93),
            ),
        }.get(motion, (curve(rng, samples, 0.7, 0.7, 1.0), np.ones(samples)))
        rate = rng.uniform(36, 50) * doppler * (1 + 0.05 * curve(rng, samples, 0.6, -1, 1))
        rate = rate * (1 + 0.01 * curve(rng, samples, 9, -1, 1))
        firings = knocks(rng, rate, 4)
        exhaust = np.zeros(samples)
        for hertz, gain in ((180, 1.0), (900, 0.25), (2200, 0.6)):
            part = resonate(firings, hertz * rng.uniform(0.85, 1.15), 0.4 * hertz)
            exhaust += gain * part / part.std()
        exhaust = saturate(tame(exhaust, 3.0), 0.5)
        blades = oscillate(cycles(rate * rng.uniform(1.7, 2.0)), rolloff(100, 1.1, 4000), 0.3)
        blades /= blades.std()
        air = bandpass(noise(rng, samples, 1.2), 100, 5000) * (0.1 + 0.45 * (1 + blades) ** 2)
        audio = exhaust / exhaust.std() + 1.5 * blades + 1.5 * air / air.std()
        audio = lowpass(audio * curve(rng, samples, 2.1, 0.87, 1.0), 8500, 1) * course
        return surround(rng, audio, rng.uniform(0.3, 0.5), rng.uniform(0.15, 0.25), -50)

    return Plan(
        phrases(
            f"a small airplane {motion}",
            f"the {choose(rng, 'drone', 'buzz', 'engine')} of a small propeller plane {motion}",
            f"a light aircraft {motion}",
            "the propeller of a small airplane",
        ),
        told(motion=motion),
        (0.0,),
        float(rng.uniform(0.5, 0.95)),
        render,
    )
