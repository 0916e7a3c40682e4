"""Procedural families of weather, water, fire and explosions."""

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
    bubble,
    burst,
    clock,
    curve,
    decay,
    frame_count,
    highpass,
    lowpass,
    mix,
    modes,
    noise,
    peaks,
    poisson,
    resonate,
    sample_count,
    scatter,
    shape,
    sweep_band,
    swell,
    tame,
)

Generator = np.random.Generator


def drops(rng: Generator, surface: str) -> list[Signal]:
    """A dozen different drops hitting a surface."""
    grains = []
    for _ in range(12):
        if surface == "a metal roof":
            frequencies = rng.uniform(350, 5000, 6)
            ring = modes(frequencies, rng.uniform(0.02, 0.09, 6), rng.uniform(0.2, 1, 6), 4800)
            grains.append(0.25 * ring + np.pad(burst(rng, 0.01, 1500, 9000), (0, 4320)))
        elif surface == "a window":
            grains.append(burst(rng, rng.uniform(0.006, 0.02), 900, 4500))
        elif surface == "leaves":
            grains.append(burst(rng, rng.uniform(0.01, 0.03), 1200, 6000, 0.003))
        elif surface == "puddles":
            plop = 0.5 * bubble(rng.uniform(900, 4500), rng.uniform(0.01, 0.04), 0.2)
            grains.append(mix(1920, [(0, plop), (0, burst(rng, 0.006, 2000, 12_000))]))
        else:
            grains.append(burst(rng, rng.uniform(0.003, 0.012), rng.uniform(700, 3500), 9000))
    return grains


def rain(rng: Generator, seconds: float) -> Plan:
    """A bed of countless far drops and single near ones."""
    force = choose(rng, "light", "steady", "heavy")
    surface = choose(rng, "", "", "a metal roof", "a window", "leaves", "puddles")

    def render() -> Signal:
        samples = sample_count(seconds)
        rate = {"light": 70.0, "steady": 250.0, "heavy": 900.0}[force] * rng.uniform(0.7, 1.4)
        onsets = poisson(rng, seconds, rate)
        weights = 0.35 * rng.pareto(2.6, len(onsets)) + 0.05
        near = scatter(rng, samples, onsets, weights, drops(rng, surface))
        low, high = {"light": (900, 6000), "steady": (400, 5000), "heavy": (150, 4500)}[force]
        bed = bandpass(noise(rng, samples, rng.uniform(0.3, 1.4)), low, high)
        bed *= 0.85 + 0.3 * curve(rng, samples, 1.0)
        depth = {"light": 0.35, "steady": 0.8, "heavy": 1.4}[force]
        audio = near / near.std() + depth * bed / bed.std()
        return tame(here(rng, audio), 5.0)

    onto = f"on {surface}" if surface else ""
    return Plan(
        phrases(
            f"{force} rain falling {onto}",
            f"{force} rain {onto or choose(rng, 'outdoors', 'in the street', '')}",
            f"the sound of {force} rainfall {onto}",
            f"{choose(rng, 'rain', 'raindrops')} {onto or 'falling'}",
            {"light": "a gentle drizzle", "steady": "it is raining", "heavy": "a downpour"}[force],
        ),
        told(force=force, surface=surface),
        (0.0,),
        {"light": 0.3, "steady": 0.5, "heavy": 0.8}[force] * float(rng.uniform(0.8, 1.15)),
        render,
    )


def wind(rng: Generator, seconds: float) -> Plan:
    """Noise whose band follows the gusts; whistling adds narrow moving resonances."""
    force = choose(rng, "gentle", "strong", "gusty")
    voice = choose(rng, "", "howling", "whistling") if force != "gentle" else ""
    around = choose(rng, "", "through trees", "around a house", "across an open field")

    def render() -> Signal:
        samples = sample_count(seconds)
        rate = {"gentle": 0.4, "strong": 0.9, "gusty": 1.3}[force]
        depth = {"gentle": 0.4, "strong": 0.5, "gusty": 0.85}[force]
        gust = 1 - depth + depth * curve(rng, samples, rate)
        centre = {"gentle": 300.0, "strong": 420.0, "gusty": 380.0}[force] * (0.5 + gust)
        audio = sweep_band(noise(rng, samples, 0.6), centre, 1.1) * gust**1.5
        if voice:
            frames = frame_count(samples)
            base = 480.0 if voice == "howling" else 1300.0
            pitch = base * (0.6 + 0.8 * gust[np.linspace(0, samples - 1, frames).astype(int)])
            centres = pitch[:, None] * np.array([1.0, 1.52])
            tone = shape(noise(rng, samples), peaks(centres, np.array([45.0, 70.0]), np.ones(2)))
            audio = audio / audio.std() + 0.9 * tone * gust**2 / tone.std()
        if around == "through trees":
            leaves = bandpass(noise(rng, samples), 2500, 9000) * gust**2 * curve(rng, samples, 12)
            audio = audio / audio.std() + 0.5 * leaves / leaves.std()
        return tame(audio, 4.0)

    return Plan(
        phrases(
            f"{force} {voice} wind blowing {around}",
            f"a {force} wind {around}",
            f"{voice or 'rushing'} wind {around}",
            f"the wind {voice or choose(rng, 'blowing', 'rushing past')} {around}",
        ),
        told(force=force, voice=voice, around=around),
        (0.0,),
        {"gentle": 0.3, "strong": 0.8, "gusty": 0.7}[force] * float(rng.uniform(0.8, 1.15)),
        render,
    )


def waves(rng: Generator, seconds: float) -> Plan:
    """Each wave swells, breaks and hisses back over the sound of the open sea."""
    sea = choose(rng, "calm", "rough", "")
    shore = choose(rng, "a sandy beach", "a pebble beach", "rocks", "the shore")
    period = {"calm": 6.0, "rough": 3.6}.get(sea, 4.8) * float(rng.uniform(0.85, 1.15))
    first = float(rng.uniform(0.0, min(0.8, 0.3 * seconds)))
    events = tuple(
        round(first + period * n, 4) for n in range(4) if first + period * n < seconds - 0.05
    )

    def render() -> Signal:
        samples = sample_count(seconds)
        coarse = np.arange(0, seconds + 0.02, 0.01)  # swells are slow: 100 points per second do
        crest, back = np.zeros(len(coarse)), np.zeros(len(coarse))
        for event in (first - period, *events):
            rise = period * rng.uniform(0.22, 0.32)
            since = np.clip((coarse - event) / rise, 0, None)
            crest += rng.uniform(0.7, 1.0) * since**2 * np.exp(2 * (1 - since))
            late = np.clip(since - 1.2, 0, None)
            back += late * np.exp(1 - late)
        crest, back = (np.interp(clock(samples), coarse, part) for part in (crest, back))
        depth = {"calm": 0.5, "rough": 1.3}.get(sea, 0.9)
        deep = sweep_band(noise(rng, samples, 0.9), 250 + 900 * crest, 1.5) * (0.12 + crest)
        foam = highpass(noise(rng, samples, 0.3), 1800) * (0.04 + 0.35 * crest**2 + 0.25 * back)
        foam *= 0.6 + 0.8 * curve(rng, samples, 25)
        audio = depth * deep / deep.std() + 0.7 * foam / foam.std()
        if shore == "a pebble beach":
            onsets = poisson(rng, seconds, 350)
            weights = rng.exponential(1.0, len(onsets)) * back[(onsets * RATE).astype(int)]
            stones = [burst(rng, 0.01, rng.uniform(1500, 4000), 9000) for _ in range(10)]
            audio += 2.5 * scatter(rng, samples, onsets, weights, stones)
        return tame(here(rng, audio), 4.5)

    return Plan(
        phrases(
            f"{sea} sea waves {choose(rng, 'breaking on', 'rolling onto', 'washing over')} {shore}",
            f"waves of a {sea} sea on {shore}",
            f"sea waves on {shore}",
            f"{choose(rng, 'ocean waves', 'waves', 'the surf')} at {shore}",
            f"{sea} sea waves",
        ),
        told(sea=sea, shore=shore),
        events or (0.0,),
        {"calm": 0.4, "rough": 0.85}.get(sea, 0.6) * float(rng.uniform(0.85, 1.1)),
        render,
    )


def fire(rng: Generator, seconds: float) -> Plan:
    """Crackles in clusters, a hiss and the flutter of the flames."""
    size = choose(rng, "small", "large", "")
    kind = choose(rng, "campfire", "fireplace", "fire", "wood fire")
    mood = choose(rng, "gently", "loudly", "")

    def render() -> Signal:
        samples = sample_count(seconds)
        rate = {"gently": 3.0, "loudly": 11.0}.get(mood, 6.0)
        parents = np.concatenate([[rng.uniform(0, 0.1 * seconds)], poisson(rng, seconds, rate)])
        children = rng.poisson(3.0, len(parents)) + 1
        onsets = np.repeat(parents, children)
        onsets = np.abs(onsets + rng.exponential(0.04, len(onsets)))
        onsets = onsets[onsets < seconds]
        grains = []
        for _ in range(16):
            low = rng.uniform(500, 3500)
            snap = burst(rng, rng.uniform(0.002, 0.02), low, low * 5, 0.0002)
            grains.append(mix(4800, [(0, snap), (0, 0.3 * burst(rng, 0.05, 200, 1200))]))
        weights = np.minimum(rng.pareto(1.6, len(onsets)) + 0.1, 12.0)
        crackle = scatter(rng, samples, onsets, weights, grains)
        flutter = lowpass(noise(rng, samples, 1.0), 350) * (0.4 + curve(rng, samples, 7))
        hiss = bandpass(noise(rng, samples), 1500, 9000) * (0.5 + curve(rng, samples, 2))
        roar = {"small": 0.15, "large": 0.9}.get(size, 0.4)
        audio = crackle / crackle.std() + roar * flutter / flutter.std() + 0.12 * hiss / hiss.std()
        return tame(here(rng, audio), 9.0)

    return Plan(
        phrases(
            f"a {size} {kind} crackling {mood}",
            f"a {size} crackling {kind.removeprefix('wood ')}",
            f"a {kind} {choose(rng, 'burning', 'crackling', 'popping and crackling')}",
            f"the crackle of burning {choose(rng, 'logs', 'wood')} {mood and f'snapping {mood}'}",
            "crackling fire",
        ),
        told(size=size, kind=kind, mood=mood),
        (0.0,),
        {"gently": 0.4, "loudly": 0.85}.get(mood, 0.6) * float(rng.uniform(0.85, 1.1)),
        render,
    )


def thunder(rng: Generator, seconds: float) -> Plan:
    """A tortuous channel: many claps that arrive spread in time; with distance only the rumble."""
    kind = choose(rng, "loud crack of thunder", "distant rumble of thunder", "rolling thunder")
    event = round(float(rng.uniform(0.01, 0.06)), 4)

    def render() -> Signal:
        samples = sample_count(seconds - event)
        spread = {"loud crack of thunder": 0.5}.get(kind, 1.4)
        arrivals = np.concatenate([[0.0], np.sort(rng.gamma(1.5, spread, 24))])
        arrivals = arrivals[arrivals < seconds - event]
        lobes = [
            (a, rng.uniform(0.3, 1) * decay(samples, rng.uniform(0.5, 2.0), 0.03)) for a in arrivals
        ]
        rumble = lowpass(noise(rng, samples, 1.2), 320) * mix(samples, lobes)
        audio = rumble / rumble.std()
        if kind == "loud crack of thunder":
            snaps = [
                (a, rng.uniform(0.3, 1) * burst(rng, 0.25, 250, 9000)) for a in arrivals[:7] / 3
            ]
            crack = mix(samples, snaps)
            audio += 3 * crack / np.abs(crack).max() * 2
        else:
            audio = lowpass(audio, 600 if kind.startswith("rolling") else 180)
        tail = np.exp(-clock(samples) * 2.0 / max(seconds, 1.0))
        whole = mix(sample_count(seconds), [(event, audio * tail)])
        return here(rng, whole)

    article = "" if kind == "rolling thunder" else "a"
    return Plan(
        phrases(
            f"{article} {kind}",
            f"{article} {kind} during a storm",
            f"{kind} {choose(rng, 'in the sky', 'from a thunderstorm', 'in the night')}",
            "thunder",
        ),
        told(kind=kind),
        (event,),
        {"loud crack of thunder": 0.95, "rolling thunder": 0.6}.get(kind, 0.3)
        * float(rng.uniform(0.9, 1.0)),
        render,
    )


def stream(rng: Generator, seconds: float) -> Plan:
    """Running water: hundreds of bubbles of all sizes per second over a soft noise."""
    kind = choose(rng, "small brook", "mountain stream", "fast river")
    bed = choose(rng, "over stones", "through a forest", "")

    def render() -> Signal:
        samples = sample_count(seconds)
        rate = {"small brook": 110.0, "mountain stream": 260.0}.get(kind, 450.0)
        pitch = {"small brook": 900.0, "mountain stream": 700.0}.get(kind, 450.0)
        grains = [
            bubble(pitch * 2 ** rng.normal(0, 0.8), rng.uniform(0.015, 0.07), rng.uniform(0, 0.3))
            for _ in range(28)
        ]
        onsets = poisson(rng, seconds, rate)
        weights = rng.lognormal(-1, 0.7, len(onsets)) * rng.choice([-1.0, 1.0], len(onsets))
        audio = scatter(rng, samples, onsets, weights, grains)
        audio *= 0.7 + 0.6 * curve(rng, samples, 3)
        hiss = bandpass(noise(rng, samples, 0.7), 400, 7000)
        depth = {"small brook": 0.2, "mountain stream": 0.45}.get(kind, 1.0)
        audio = audio / audio.std() + depth * hiss / hiss.std()
        return tame(here(rng, audio), 5.0)

    flowing = choose(rng, "flowing", "running", "babbling")
    return Plan(
        phrases(
            f"a {kind} {flowing} {bed}",
            f"water {choose(rng, 'flowing', 'rushing', 'gurgling')} in a {kind} {bed}",
            f"a {kind}",
            f"running water {bed}",
        ),
        told(kind=kind, bed=bed),
        (0.0,),
        {"small brook": 0.4, "mountain stream": 0.55}.get(kind, 0.75)
        * float(rng.uniform(0.85, 1.1)),
        render,
    )


def bubbles(rng: Generator, seconds: float) -> Plan:
    """Bubbles rise to the surface of a liquid."""
    size = choose(rng, "small", "large", "")
    speed = choose(rng, "slowly", "quickly", "")
    liquid = choose(rng, "water", "a thick liquid", "a fish tank")
    rate = {"slowly": 5.0, "quickly": 28.0}.get(speed, 12.0)
    gap = float(rng.uniform(0.9, 1.1)) / rate
    events = spaced(rng, seconds, gap, 0.8)

    def render() -> Signal:
        pitch = {"small": 1100.0, "large": 260.0}.get(size, 520.0)
        thick = liquid == "a thick liquid"
        grains = [
            bubble(
                pitch * (0.6 if thick else 1.0) * 2 ** rng.normal(0, 0.35),
                rng.uniform(0.05, 0.12),
                rng.uniform(0.3, 1.0) if thick else rng.uniform(0.1, 0.5),
            )
            for _ in range(16)
        ]
        weights = rng.uniform(0.4, 1.0, len(events))
        audio = scatter(rng, sample_count(seconds), np.array(events), weights, grains)
        return here(rng, audio)

    return Plan(
        phrases(
            f"{size} bubbles rising {speed} in {liquid}",
            f"{liquid} bubbling {speed}",
            f"{size} bubbles",
            f"the gurgle of {size} bubbles in {liquid}",
        ),
        told(size=size, speed=speed, liquid=liquid),
        events,
        float(rng.uniform(0.35, 0.8)),
        render,
    )


def drips(rng: Generator, seconds: float) -> Plan:
    """Drops fall one by one into water: a tiny splash, then the ring of the bubble."""
    pace = choose(rng, "slow", "fast", "steady")
    around = choose(rng, "in a cave", "in a sink", "in a bucket", "")
    gap = {"slow": 1.2, "fast": 0.28, "steady": 0.65}[pace] * float(rng.uniform(0.9, 1.1))
    events = spaced(rng, seconds, gap, 0.08)

    def render() -> Signal:
        pitch = {"in a bucket": 500.0, "in a sink": 1100.0}.get(around, 800.0)
        pitch *= rng.uniform(0.8, 1.3)
        pieces = []
        for event in events:
            gain = rng.uniform(0.6, 1.0)
            splash = burst(rng, 0.012, 1500, 10_000)
            ring = bubble(pitch * rng.uniform(0.9, 1.15), rng.uniform(0.05, 0.12), 0.25)
            pieces += [(event, 0.3 * gain * splash), (event + 0.004, gain * ring)]
        audio = here(rng, mix(sample_count(seconds), pieces))
        if around == "in a cave":
            tail = resonate(noise(rng, 60_000), pitch, 400) * decay(60_000, 1.25, 0.02)
            echo = mix(len(audio), [(event, tail) for event in events])
            audio = audio / np.abs(audio).max() + 0.25 * echo / np.abs(echo).max()
        return audio

    return Plan(
        phrases(
            f"{pace} {choose(rng, 'water drops', 'drips of water')} falling {around}",
            f"water dripping {around} at a {pace} pace",
            f"water dripping {around}",
            f"{pace} dripping",
        ),
        told(pace=pace, around=around),
        events,
        float(rng.uniform(0.3, 0.8)),
        render,
    )


def splash(rng: Generator, seconds: float) -> Plan:
    """Something falls into water."""
    size = choose(rng, "small", "big", "")
    thing = choose(rng, "pebble" if size == "small" else "heavy object", "stone")
    where, event = place(rng), 0.02

    def render() -> Signal:
        samples = sample_count(seconds - event)
        length = {"small": 0.5, "big": 1.6}.get(size, 0.9)
        spray = sweep_band(noise(rng, samples), 1200 + 2500 * swell(samples, 0.2), 1.1)
        spray *= decay(samples, 1.3 * length, 0.008) * (0.5 + curve(rng, samples, 50))
        plunge = bubble({"small": 420.0, "big": 110.0}.get(size, 220.0), 0.35 * length, 0.6)
        onsets = 0.05 + rng.gamma(2.0, 0.2 * length, int(70 * length))
        onsets = onsets[onsets < seconds - event]
        grains = [bubble(rng.uniform(500, 3000), rng.uniform(0.02, 0.06), 0.3) for _ in range(16)]
        weights = rng.exponential(0.12, len(onsets))
        audio = spray / np.abs(spray).max() + scatter(rng, samples, onsets, weights, grains)
        audio += mix(samples, [(0.01, 0.8 * plunge), (0, 0.6 * burst(rng, 0.06, 300, 5000))])
        return where.room(rng, mix(sample_count(seconds), [(event, audio)]))

    return Plan(
        phrases(
            f"a {size} splash as a {thing} falls into water {where.words}",
            f"a {thing} {choose(rng, 'plunges', 'falls', 'drops')} into water",
            f"a {size} splash of water {where.words}",
            f"a {thing} splashing into a {choose(rng, 'lake', 'pool', 'pond')}",
        ),
        told(size=size, thing=thing, distance=where.words),
        (event,),
        where.level(rng, {"small": 0.5, "big": 1.0}.get(size, 0.75)),
        render,
    )
