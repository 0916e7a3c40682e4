"""Procedural families of the kitchen: frying, pouring, boiling, chopping."""

import numpy as np

from woosh.procedural.plan import (
    Plan,
    choose,
    phrases,
    spaced,
    told,
)
from woosh.procedural.synthesis import (
    Signal,
    bandpass,
    bubble,
    burst,
    curve,
    highpass,
    mix,
    noise,
    poisson,
    ramp,
    resonate,
    sample_count,
    saturate,
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
        low = {"glass": 340.0, "mug": 310.0, "jug": 280.0}[vessel] * rng.uniform(0.92, 1.08)
        centre = low * ramp(samples, 1.0, 1.8, rng.uniform(2.6, 3.0))
        centre *= 1 + 0.04 * curve(rng, samples, 8, -1, 1)
        jet = noise(rng, samples, rng.uniform(0.6, 0.8)) * curve(rng, samples, 81, 0.22, 1.0)
        column = sweep_band(jet, centre, rng.uniform(0.75, 0.9))
        spray = bandpass(noise(rng, samples), 800, 9000) * curve(rng, samples, 76, 0.28, 1.0)
        size = rng.uniform(1000, 1300)
        grains = [
            bubble(size * 2 ** rng.uniform(-1.2, 1), rng.uniform(0.006, 0.025), rng.uniform(0, 0.4))
            for _ in range(60)
        ]
        onsets = poisson(rng, seconds, rng.uniform(50, 68))
        weights = 0.1 + np.minimum(rng.pareto(2.8, len(onsets)), 8.0)
        bubbles = scatter(rng, samples, onsets, weights, grains)
        audio = column / column.std() + rng.uniform(0.36, 0.46) * spray / spray.std()
        audio += rng.uniform(0.85, 1.05) * bubbles / (bubbles.std() + 1e-9)
        audio *= curve(rng, samples, rng.uniform(5, 7), rng.uniform(0.75, 0.9), 1.0)
        audio *= np.interp(np.linspace(0, 1, samples), [0, 0.025, 0.87, 1], [0.05, 1, 1, 0.3])
        return surround(rng, tame(audio, 5.2), 0.35, rng.uniform(0.18, 0.28), -44.0)

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
    """Small bubbles of steam rise and burst by the hundred, the water seethes, the pot resounds."""
    vessel = choose(rng, "pot", "kettle", "saucepan", "cauldron")
    manner = choose(rng, "gently", "vigorously")

    def render() -> Signal:
        samples = sample_count(seconds)
        size, rise = rng.uniform(430, 570), rng.uniform(0.5, 1.0)
        grains = []
        for octave in rng.uniform(-0.35, 1.3, 60):
            length = 0.015 * rng.uniform(0.5, 1.5) * 2 ** (-0.3 * octave)
            grains.append(bubble(size * 2**octave, length, rng.uniform(0.05, rise)))
        rate = {"gently": rng.uniform(230, 290), "vigorously": rng.uniform(330, 430)}[manner]
        onsets = poisson(rng, seconds, rate)
        weights = 0.1 + np.minimum(rng.pareto(rng.uniform(3.4, 4.0), len(onsets)), 8.0)
        bubbles = scatter(rng, samples, onsets, weights, grains)
        bubbles *= curve(rng, samples, rng.uniform(7, 11), rng.uniform(0.5, 0.75), 1.0)
        seething = bandpass(noise(rng, samples, 1.74), 248, rng.uniform(2100, 3000))
        seething *= curve(rng, samples, 49, 0.1, 1.0)
        audio = bubbles / (bubbles.std() + 1e-9)
        audio += rng.uniform(0.2, 0.42) * seething / seething.std()
        burst_grains = [burst(rng, rng.uniform(0.003, 0.012), 479, 3500) for _ in range(20)]
        onsets = poisson(rng, seconds, 13.5)
        bursts = scatter(rng, samples, onsets, rng.pareto(2.0, len(onsets)), burst_grains)
        audio += 0.037 * bursts / (bursts.std() + 1e-9)
        body = rng.uniform(195, 245)
        audio += rng.uniform(1.3, 1.7) * resonate(audio, body, 0.65 * body)
        steam = highpass(noise(rng, samples), 3000) * curve(rng, samples, 8, 0.6, 1.0)
        audio += rng.uniform(0.03, 0.08) * audio.std() * steam / steam.std()
        return surround(rng, tame(audio, 5.3), rng.uniform(0.18, 0.26), 0.58, -50.0)

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


def chopping(rng: Generator, seconds: float) -> Plan:
    """A blade comes down on a board, which sounds short and hollow, and what it cut falls after it."""
    food = choose(rng, "an onion", "carrots", "vegetables", "herbs", "celery")
    pace = choose(rng, "quickly", "slowly")
    step = {"quickly": 0.36, "slowly": 0.48}[pace] * float(rng.uniform(0.9, 1.1))
    events = spaced(rng, seconds, step, 0.16)

    def render() -> Signal:
        board = rng.uniform(480, 600) * np.array([1.0, rng.uniform(1.9, 2.2), 2.46])
        width, blade = rng.uniform(0.45, 0.7), rng.uniform(1300, 1700)
        low, softest = rng.uniform(165, 215), rng.uniform(0.35, 0.55)
        hollow, knife = rng.uniform(0.4, 0.7), rng.uniform(0.06, 0.11)
        pieces = []
        for event in events:
            force = rng.uniform(softest, 1.0)
            blow = burst(rng, rng.uniform(0.06, 0.09), low, 906)
            blow /= np.abs(blow).max()
            rung = np.pad(blow, (0, 4000))
            ring = np.zeros(len(rung))
            for mode, gain in zip(board * rng.uniform(0.94, 1.06, 3), (1.0, 0.7, 0.4), strict=True):
                ring += gain * resonate(rung, mode, width * mode)
            contact = burst(rng, 0.026, blade, 12_000, 0.0003)
            pieces.append((event, force * hollow * ring / np.abs(ring).max()))
            pieces.append((event, force * 0.45 * blow))
            pieces.append((event, force * knife * contact / np.abs(contact).max()))
            if rng.uniform() < 0.7:
                fall = burst(rng, 0.03, 300, 5000)
                delay = rng.uniform(0.03, 0.12)
                pieces.append((event + delay, 0.25 * fall / np.abs(fall).max()))
        audio = saturate(mix(sample_count(seconds), pieces), rng.uniform(2.5, 3.4))
        return surround(rng, audio, rng.uniform(0.55, 0.7), rng.uniform(0.18, 0.26), -49.0)

    return Plan(
        phrases(
            f"chopping {food} {pace} on a wooden board",
            f"a knife chopping {food} on a board",
            f"somebody chops {food} {pace}",
            "chopping on a board",
        ),
        told(food=food, pace=pace),
        events,
        float(rng.uniform(0.4, 0.85)),
        render,
    )
