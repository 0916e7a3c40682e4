"""Procedural families of motorcycles and jets."""

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
