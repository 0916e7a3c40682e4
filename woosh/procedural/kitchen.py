"""Procedural families of the kitchen: frying, pouring, boiling."""

import numpy as np

from woosh.procedural.plan import (
    Plan,
    choose,
    phrases,
    told,
)
from woosh.procedural.synthesis import (
    Signal,
    bandpass,
    bubble,
    burst,
    curve,
    highpass,
    noise,
    poisson,
    ramp,
    resonate,
    sample_count,
    scatter,
    surround,
    sweep_band,
    tame,
)

Generator = np.random.Generator


def frying(rng: Generator, seconds: float) -> Plan:
    """Steam escapes from hot fat: a bright hiss that wavers, and drops that spatter."""
    food = choose(rng, "bacon", "an egg", "onions", "potatoes", "meat", "fish")
    heat = choose(rng, "gently", "fiercely")

    def render() -> Signal:
        samples = sample_count(seconds)
        bed = highpass(noise(rng, samples), rng.uniform(3800, 5200), 1)
        bed *= curve(rng, samples, rng.uniform(15, 25), rng.uniform(0.5, 0.8), 1.0)
        longest = rng.uniform(0.009, 0.015)
        grains = [burst(rng, rng.uniform(0.001, longest), 4000, 14_000) for _ in range(24)]
        rate = {"gently": rng.uniform(180, 240), "fiercely": rng.uniform(250, 330)}[heat]
        onsets = poisson(rng, seconds, rate)
        weights = np.minimum(rng.pareto(rng.uniform(1.4, 1.7), len(onsets)), 20.0)
        spatter = scatter(rng, samples, onsets, weights, grains)
        audio = bed / bed.std() + rng.uniform(0.65, 0.9) * spatter / (spatter.std() + 1e-9)
        return surround(rng, audio, 0.25, rng.uniform(0.35, 0.55), -50.0)

    return Plan(
        phrases(
            f"{food} frying {heat} in a pan",
            f"{food} frying in a pan",
            f"frying {food} in hot fat",
            f"the sizzle of {food} frying",
        ),
        told(food=food, heat=heat),
        (0.0,),
        float(rng.uniform(0.35, 0.8)),
        render,
    )


def pouring(rng: Generator, seconds: float) -> Plan:
    """A jet drives air under the surface; the shorter the air above it, the higher it sounds."""
    drink = choose(rng, "water", "juice", "milk", "wine", "lemonade", "tea")
    vessel = choose(rng, "glass", "mug", "jug")

    def render() -> Signal:
        samples = sample_count(seconds)
        low = {"glass": 320.0, "mug": 290.0, "jug": 240.0}[vessel] * rng.uniform(0.9, 1.15)
        centre = low * ramp(samples, 1.0, rng.uniform(1.4, 1.6), rng.uniform(2.1, 2.6))
        centre = centre * (1 + 0.03 * curve(rng, samples, 8, -1, 1))
        jet = noise(rng, samples, rng.uniform(0.7, 1.1)) * curve(rng, samples, 50, 0.2, 1.0)
        column = sweep_band(jet, centre, rng.uniform(0.32, 0.45))
        spray = bandpass(noise(rng, samples), 2000, 9000) * curve(rng, samples, 40, 0.3, 1.0)
        size = rng.uniform(1200, 1900)
        grains = [
            bubble(size * 2 ** rng.uniform(-1, 1), rng.uniform(0.01, 0.05), rng.uniform(0.1, 0.6))
            for _ in range(40)
        ]
        onsets = poisson(rng, seconds, rng.uniform(60, 90))
        bubbles = scatter(rng, samples, onsets, 0.1 + rng.pareto(2.0, len(onsets)), grains)
        audio = column / column.std() + rng.uniform(0.4, 0.7) * spray / spray.std()
        audio += rng.uniform(0.35, 0.6) * bubbles / (bubbles.std() + 1e-9)
        return surround(rng, tame(audio, 5.0), 0.3, rng.uniform(0.1, 0.25), -45.0)

    return Plan(
        phrases(
            f"pouring {drink} into a {vessel}",
            f"{drink} poured into a {vessel}",
            f"somebody pours {drink} into a {vessel}",
            f"a {vessel} filling up while {drink} is poured",
        ),
        told(drink=drink, vessel=vessel),
        (0.0,),
        float(rng.uniform(0.35, 0.8)),
        render,
    )


def boiling(rng: Generator, seconds: float) -> Plan:
    """Bubbles of steam rise, thickest where the water boils up, and the pot resounds below them."""
    vessel = choose(rng, "pot", "kettle", "saucepan", "cauldron")
    manner = choose(rng, "gently", "vigorously")

    def render() -> Signal:
        samples = sample_count(seconds)
        size = rng.uniform(310, 400)
        grains = []
        for octave in rng.uniform(-1.15, 1.0, 60):
            length = 0.038 * rng.uniform(0.5, 1.5) * 2 ** (-0.3 * octave)
            grains.append(bubble(size * 2**octave, length, rng.uniform(0.05, 0.85)))
        rate = {"gently": rng.uniform(200, 260), "vigorously": rng.uniform(280, 360)}[manner]
        onsets = poisson(rng, seconds, rate)
        activity = curve(rng, samples, rng.uniform(3, 6), 0.4, 1.0)
        moments = np.minimum((onsets * len(activity) / seconds).astype(int), samples - 1)
        onsets = onsets[rng.uniform(size=len(onsets)) < activity[moments]]
        weights = 0.1 + np.minimum(rng.pareto(rng.uniform(2.1, 2.5), len(onsets)), 8.0)
        bubbles = scatter(rng, samples, onsets, weights, grains)
        rumble = bandpass(noise(rng, samples, 1.7), 100, 1700) * curve(rng, samples, 16, 0.2, 1.0)
        audio = bubbles / (bubbles.std() + 1e-9) + rng.uniform(0.03, 0.15) * rumble / rumble.std()
        body = rng.uniform(195, 260)
        audio += rng.uniform(2.0, 3.0) * resonate(audio, body, 0.53 * body)
        return surround(rng, audio, 0.3, rng.uniform(0.25, 0.5), -45.0)

    return Plan(
        phrases(
            f"water boiling {manner} in a {vessel}",
            f"water boiling in a {vessel}",
            f"a {vessel} of boiling water",
            f"boiling water bubbles {manner}",
        ),
        told(manner=manner, vessel=vessel),
        (0.0,),
        float(rng.uniform(0.35, 0.8)),
        render,
    )
