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
    sample_count,
    scatter,
    shape,
    surround,
    sweep_band,
    swell,
    tame,
)

Generator = np.random.Generator

OCTAVES = 31.25 * 2.0 ** np.arange(9)  # Hz, lower edges of the bands of `octaves`
# Octaves above 350 Hz, where wind and sea are about loudest, (9, 1).
HEIGHT = np.log2(OCTAVES / 350)[:, None]


def octaves(
    rng: Generator, samples: int, wobble: float, rate: float, faster: float = 0.0
) -> Signal:
    """Noise in bands of one octave, (9, S), each of which wavers on its own as moving air does.

    Args:
        rng: source of the noise.
        samples: length.
        wobble: decibels by which a band waves up and down.
        rate: independent levels per second at 250 Hz.
        faster: the rate grows with frequency to this power.
    """
    bands = np.zeros((len(OCTAVES), samples))
    for band, low in zip(bands, OCTAVES, strict=True):
        part = bandpass(rng.standard_normal(samples), low, 2 * low, 2)
        level = curve(rng, samples, rate * (low / 250) ** faster, -wobble, wobble)
        band[:] = part / part.std() * 10 ** (level / 20)
    return bands


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
    """Wavering noise that follows the gusts; whistling adds narrow moving resonances."""
    force = choose(rng, "gentle", "strong", "gusty")
    voice = choose(rng, "", "howling", "whistling") if force != "gentle" else ""
    around = choose(rng, "", "through trees", "around a house", "across an open field")

    def render() -> Signal:
        samples = sample_count(seconds)
        rate = {"gentle": 0.4, "strong": 0.9, "gusty": 1.3}[force]
        depth = {"gentle": 0.4, "strong": 0.5, "gusty": 0.85}[force]
        gust = 1 - depth + depth * curve(rng, samples, rate)
        highest = {"gentle": 0.8, "strong": 1.4, "gusty": 1.1}[force]
        level = -3 * np.abs(HEIGHT) - 6 * np.maximum(HEIGHT - highest, 0)
        strength = {"gentle": 3.0, "strong": 4.0, "gusty": 8.0}[force] * (2 * gust - 1)
        audio = (10 ** ((level + strength) / 20) * octaves(rng, samples, 4, 20)).sum(axis=0)
        if voice:
            frames = frame_count(samples)
            base = 480.0 if voice == "howling" else 1300.0
            pitch = base * (0.6 + 0.8 * gust[np.linspace(0, samples - 1, frames).astype(int)])
            centres = pitch[:, None] * np.array([1.0, 1.52])
            tone = shape(noise(rng, samples), peaks(centres, np.array([45.0, 70.0]), np.ones(2)))
            audio = audio / audio.std() + 0.35 * tone * gust / tone.std()
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
        # A wave brightens as it breaks and hisses as it runs back.
        surge = {"calm": 6.0, "rough": 9.0}.get(sea, 7.5) * (2 * np.minimum(crest, 1.1) - 1)
        level = -2 * np.abs(HEIGHT) - 6 * np.maximum(HEIGHT - 3, 0)
        level = level + surge * (1 + 0.15 * HEIGHT) + 2 * back * np.clip(HEIGHT, 0, 3)
        audio = (10 ** (level / 20) * octaves(rng, samples, 3, 10)).sum(axis=0)
        audio /= audio.std()
        if shore == "a pebble beach":
            onsets = poisson(rng, seconds, 900)
            weights = rng.exponential(1.0, len(onsets)) * back[(onsets * RATE).astype(int)]
            stones = [burst(rng, 0.01, rng.uniform(1500, 4000), 9000, 0.002) for _ in range(10)]
            rattle = scatter(rng, samples, onsets, weights, stones)
            audio += 0.1 * rattle / (rattle.std() + 1e-12)
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
    """An irregular rumble that swells, rolls and fades; a near one cracks, a far one is duller."""
    kind = choose(rng, "loud crack of thunder", "distant rumble of thunder", "rolling thunder")
    event = round(float(rng.uniform(0.01, 0.06)), 4)
    near = kind == "loud crack of thunder"

    def render() -> Signal:
        samples = sample_count(seconds - event)
        time = clock(samples)
        # It swells up out of nothing; a near one cracks a moment later.
        swelling = 30 * np.exp(-time / (0.2 if near else 0.5))
        crack = np.exp(-np.abs(time - 0.35) / 0.25) if near else 0.0
        slow, fast = curve(rng, samples, 1.2, -10, 10), curve(rng, samples, 6, -6, 6)
        decibels = slow + fast - swelling - 8 * time / seconds + 8 * crack
        # The rumble falls above its highest band, the crack less; each band crumples on its own.
        highest = (-1.7 if kind == "distant rumble of thunder" else -1.3) + 1.5 * crack
        fall = 10 * np.maximum(HEIGHT - highest, 0)
        audio = (10 ** ((decibels - fall) / 20) * octaves(rng, samples, 5, 15, 0.4)).sum(axis=0)
        audio = highpass(audio, 180, 1) * np.minimum(time / (0.03 if near else 0.3), 1)
        audio += 0.001 * audio.std() * noise(rng, samples, 0.7)
        whole = mix(sample_count(seconds), [(event, audio)])
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


def plops(
    rng: Generator,
    onset: float,
    pitch: float,
    lengths: tuple[float, float],
    rises: tuple[float, float],
    most: int,
) -> list[tuple[float, Signal]]:
    """One to `most` bubbles close together, each weaker, of all sizes around `pitch` (Hz).

    Args:
        rng: source of their differences.
        onset: of the first, in seconds.
        pitch: Hz of a middling bubble.
        lengths: shortest and longest, in seconds.
        rises: least and greatest growth of the pitch, as in `bubble`.
        most: number of bubbles at most.
    """
    pieces = []
    for number in range(int(rng.integers(1, most + 1))):
        frequency = min(pitch * (1 + 0.3 * number) * 2 ** rng.normal(0, 0.6), 8000.0)
        ring = bubble(frequency, rng.uniform(*lengths), rng.uniform(*rises))
        pieces.append((onset + number * rng.uniform(0.01, 0.05), 0.6**number * ring))
    return pieces


def bubbles(rng: Generator, seconds: float) -> Plan:
    """Flurries of bubbles rise to the surface of a liquid that moves a little."""
    size = choose(rng, "small", "large", "")
    speed = choose(rng, "slowly", "quickly", "")
    liquid = choose(rng, "water", "a thick liquid", "a fish tank")
    rate = {"slowly": 5.0, "quickly": 28.0}.get(speed, 12.0)
    gap = float(rng.uniform(0.9, 1.1)) / rate
    events = spaced(rng, seconds, gap, 0.8)

    def render() -> Signal:
        pitch = {"small": 900.0, "large": 400.0}.get(size, 600.0)
        thick = liquid == "a thick liquid"
        pitch *= 0.7 if thick else 1.0
        pieces = []
        for event in events:
            rise = (0.6, 1.5) if thick else (0.3, 1.0)
            gain = rng.uniform(0.4, 1.0)
            for onset, ring in plops(rng, event, pitch, (0.03, 0.09), rise, 12):
                pieces.append((onset, gain * ring))
        audio = mix(sample_count(seconds), pieces)
        return here(rng, surround(rng, audio, 0.6, 0.4, -16.0))

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
    """Drops fall one by one into water: a tiny splash, then the rings of its bubbles."""
    pace = choose(rng, "slow", "fast", "steady")
    around = choose(rng, "in a cave", "in a sink", "in a bucket", "")
    gap = {"slow": 1.2, "fast": 0.28, "steady": 0.65}[pace] * float(rng.uniform(0.9, 1.1))
    events = spaced(rng, seconds, gap, 0.08)

    def render() -> Signal:
        pitch = {"in a bucket": 700.0, "in a sink": 1400.0}.get(around, 1000.0)
        pitch *= rng.uniform(0.8, 1.3)
        pieces = []
        for event in events:
            gain = rng.uniform(0.5, 1.0)
            splash = burst(rng, rng.uniform(0.004, 0.02), rng.uniform(1500, 3000), 11_000)
            pieces.append((event, gain * splash))
            for onset, ring in plops(rng, event + 0.004, pitch, (0.015, 0.05), (1.0, 2.0), 8):
                pieces.append((onset, gain * ring))
        sixty, wet = {"in a cave": (1.5, 0.5), "in a bucket": (0.25, 0.4)}.get(around, (0.5, 0.3))
        audio = mix(sample_count(seconds), pieces)
        return here(rng, surround(rng, audio, sixty, wet, -38.0))

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
