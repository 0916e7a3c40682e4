"""Procedural families of blows, falls and blasts."""

from dataclasses import dataclass

import numpy as np

from woosh.procedural.plan import (
    Plan,
    choose,
    counted,
    here,
    phrases,
    place,
    repeats,
    spaced,
    times,
    told,
)
from woosh.procedural.synthesis import (
    Signal,
    burst,
    clock,
    curve,
    decay,
    highpass,
    lowpass,
    mix,
    modes,
    noise,
    sample_count,
    scatter,
    surround,
    sweep_band,
)

Generator = np.random.Generator


@dataclass(frozen=True)
class Material:
    """How a body of some material rings.

    Attributes:
        lowest: range in Hz of the lowest mode of a middle-sized body.
        stretch: mode k lies near k ** stretch; bars and plates are above 1.
        ring: range in seconds of the 60 dB decay of low modes.
        damped: Hz above which modes decay faster, in proportion to frequency.
        contact: share of noise from the contact itself.
    """

    lowest: tuple[float, float]
    stretch: float
    ring: tuple[float, float]
    damped: float
    contact: float


MATERIALS = {
    "wood": Material((150, 380), 1.35, (0.10, 0.22), 900, 0.5),
    "metal": Material((220, 700), 1.25, (0.8, 2.5), 5000, 0.15),
    "glass": Material((1100, 2200), 1.2, (0.25, 0.8), 6000, 0.12),
    "plastic": Material((260, 700), 1.1, (0.05, 0.11), 1200, 0.5),
    "stone": Material((700, 1600), 1.15, (0.03, 0.08), 3000, 0.9),
    "ceramic": Material((700, 1500), 1.2, (0.15, 0.4), 4000, 0.25),
}


@dataclass(frozen=True)
class Body:
    """Modes of one object: frequencies in Hz, decays in seconds, amplitudes, each (M,)."""

    frequencies: Signal
    decays: Signal
    amplitudes: Signal
    contact: float


def make_body(rng: Generator, material: str, scale: float = 1.0, count: int = 18) -> Body:
    """A random object; a larger `scale` is a larger object with lower modes that ring longer."""
    kind = MATERIALS[material]
    order = np.arange(1, count + 1) ** kind.stretch
    frequencies = rng.uniform(*kind.lowest) / scale * order * rng.uniform(0.9, 1.1, count)
    ring = rng.uniform(*kind.ring) * scale**0.5
    decays = ring * rng.uniform(0.6, 1.2, count) / (1 + frequencies / kind.damped)
    return Body(frequencies, decays, rng.gamma(2.0, 0.5, count), kind.contact)


def hit(rng: Generator, body: Body, seconds: float, brightness: float = 4000.0) -> Signal:
    """One blow: the modes under the spectrum of the contact (Hz), plus the contact's own noise.

    Another place is hit each time, which changes the amplitudes but not the frequencies.
    """
    samples = sample_count(seconds)
    force = 1 / (1 + (body.frequencies / brightness) ** 2)
    amplitudes = body.amplitudes * force * rng.uniform(0.6, 1.2, len(force))
    decays = np.minimum(body.decays, seconds)  # nothing may break off
    ring = modes(body.frequencies, decays, amplitudes / amplitudes.sum(), samples)
    contact = burst(rng, 0.03, 0.2 * brightness, 2.5 * brightness)
    return mix(samples, [(0.0, ring), (0.0, 0.5 * body.contact * contact)])


def to_peak(audio: Signal) -> Signal:
    """The signal scaled to a peak of 1."""
    return audio / np.abs(audio).max()


def thump(rng: Generator, cutoff: float, seconds: float) -> Signal:
    """A dull blow without a pitch: noise under `cutoff` Hz that falls by 60 dB over `seconds`.

    Clean modes are heard as a drum or as a wood block.
    """
    samples = sample_count(seconds)
    return to_peak(lowpass(noise(rng, samples), cutoff) * decay(samples, seconds))


def impact(rng: Generator, seconds: float) -> Plan:
    """A blow or several on an object of some material and size."""
    material = choose(rng, *MATERIALS)
    size = choose(rng, "small", "large", "")
    force = choose(rng, "soft", "hard", "")
    events = repeats(rng, seconds, 0.45, most=3)
    count, where = len(events), place(rng)
    thing = choose(rng, f"{material} object", f"piece of {material}")
    again = times(count) if count > 1 else ""

    def render() -> Signal:
        body = make_body(rng, material, {"small": 0.6, "large": 1.8}.get(size, 1.0))
        brightness = {"soft": 1200.0, "hard": 7000.0}.get(force, 3500.0)
        blows = [(event, hit(rng, body, seconds - event, brightness)) for event in events]
        return where.room(rng, mix(sample_count(seconds), blows))

    return Plan(
        phrases(
            f"a {force} hit on a {size} {thing} {again} {where.words}",
            f"a {size} {thing} being struck {again}",
            f"something hits {material} {again}",
            f"{material} impact",
            f"knocking on a {size} piece of {material}" if count > 1 else f"a {material} hit",
        ),
        told(material=material, size=size, force=force, repeats=again, distance=where.words),
        events,
        where.level(rng, {"soft": 0.5, "hard": 1.0}.get(force, 0.8)),
        render,
    )


def knock(rng: Generator, seconds: float) -> Plan:
    """Knuckles on a wooden door."""
    pace = choose(rng, "slow", "quick", "")
    force = choose(rng, "gentle", "loud", "")
    gap = {"slow": 0.55, "quick": 0.17}.get(pace, 0.28)
    fits = max(1, min(8, int((seconds - 0.1) / gap)))
    wanted = int(rng.integers(2, 7))
    events = spaced(rng, seconds, gap, 0.1)[: min(wanted, fits)]
    count, where = len(events), place(rng)

    def render() -> Signal:
        dull = {"gentle": 280.0, "loud": 560.0}.get(force, 400.0)
        panel = rng.uniform(90, 150) * np.array([1.0, 1.7, 2.6])
        blows = []
        for event in events:
            rings = rng.uniform(0.08, 0.16, 3)
            ring = modes(panel, rings, rng.uniform(0.5, 1, 3), sample_count(0.2))
            knuckles = thump(rng, dull, 0.2) + 0.5 * to_peak(ring)
            blows.append((event, rng.uniform(0.7, 1) * knuckles))
        return where.room(rng, surround(rng, mix(sample_count(seconds), blows), 0.3))

    return Plan(
        phrases(
            f"{counted(count, f'{pace} {force} knock')} on a door {where.words}",
            f"someone knocks on a wooden door {times(count)}",
            f"{force} knocking at the door {where.words}" if count > 1 else f"a {force} door knock",
            f"a visitor knocking {times(count)} on a door",
        ),
        told(count=count, pace=pace, force=force, distance=where.words),
        events,
        where.level(rng, {"gentle": 0.45, "loud": 1.0}.get(force, 0.75)),
        render,
    )


def door_slam(rng: Generator, seconds: float) -> Plan:
    """A door falls shut, with its latch and rattle."""
    material = choose(rng, "wooden", "metal", "heavy wooden", "heavy metal")
    manner = choose(rng, "slams shut", "closes hard", "bangs shut")
    where, event = place(rng), 0.02

    def render() -> Signal:
        dull = 250 * (0.7 if "heavy" in material else 1.0)
        pieces = []
        if "metal" in material:
            dull *= 1.5
            plate = make_body(rng, "metal", 1.5, 8)
            plate = Body(plate.frequencies, 0.3 * plate.decays, plate.amplitudes, 0.0)
            pieces.append((event, 0.4 * to_peak(hit(rng, plate, 0.8, 1100))))
        pieces.append((event, thump(rng, dull, 0.4)))
        pieces.append((event + rng.uniform(0.02, 0.05), 0.7 * thump(rng, 1.5 * dull, 0.24)))
        for late in (0.0, *rng.uniform(0.02, 0.25, 6)):  # the latch, then the frame rattles
            click = to_peak(burst(rng, rng.uniform(0.02, 0.06), 500, 4000))
            pieces.append((event + late, 0.6 * rng.uniform(0.4, 1) * np.exp(-4 * late) * click))
        echoed = surround(rng, mix(sample_count(seconds), pieces), 0.5, 0.3, -42)
        return where.room(rng, echoed)

    return Plan(
        phrases(
            f"a {material} door {manner} {where.words}",
            f"slamming a {material} door",
            f"a door slam {where.words}",
            f"someone slams a {material} door shut",
        ),
        told(material=material, manner=manner, distance=where.words),
        (event,),
        where.level(rng),
        render,
    )


def glass_shatter(rng: Generator, seconds: float) -> Plan:
    """A glass object bursts and its pieces fall."""
    thing = choose(rng, "window", "bottle", "drinking glass", "large pane of glass")
    where, event = place(rng), 0.02

    def render() -> Signal:
        size = {"window": 1.4, "large pane of glass": 2.0, "bottle": 0.9}.get(thing, 0.6)
        samples = sample_count(seconds)
        shards = []
        for _ in range(16):
            body = make_body(rng, "glass", rng.uniform(0.25, 1.0) * size, 7)
            shards.append(hit(rng, body, 0.35, 9000))
        first = event + rng.exponential(0.05, int(50 * size))
        falling = event + 0.1 + rng.gamma(2.0, 0.16 * size, int(45 * size))
        onsets = np.concatenate([first, falling])
        onsets = onsets[onsets < seconds]
        weights = rng.exponential(0.35, len(onsets))
        crash = mix(samples, [(event, 1.5 * highpass(burst(rng, 0.25, 1500, 12000), 1200))])
        return where.room(rng, crash + scatter(rng, samples, onsets, weights, shards))

    return Plan(
        phrases(
            f"a {thing} shattering {where.words}",
            f"a {thing} breaks into pieces {where.words}",
            f"{choose(rng, 'breaking', 'smashing')} a {thing}",
            f"glass shattering {where.words}",
        ),
        told(thing=thing, distance=where.words),
        (event,),
        where.level(rng),
        render,
    )


def bounces(rng: Generator, seconds: float, first: float, ratio: float) -> tuple[float, ...]:
    """Onsets of a bouncing object: each flight lasts `ratio` of the one before."""
    gaps = first * ratio ** np.arange(40) * rng.uniform(0.96, 1.04, 40)
    onsets = 0.02 + np.concatenate([[0.0], np.cumsum(gaps[gaps > 0.025])])
    return tuple(round(float(onset), 4) for onset in onsets if onset < seconds - 0.04)


def coin(rng: Generator, seconds: float) -> Plan:
    """A coin falls on a hard surface, bounces and settles."""
    surface = choose(rng, "wooden table", "stone floor", "metal plate")
    metal = choose(rng, "small", "heavy", "")
    events = bounces(rng, seconds, float(rng.uniform(0.2, 0.35)), float(rng.uniform(0.6, 0.75)))

    def render() -> Signal:
        disc = make_body(rng, "metal", {"small": 0.11, "heavy": 0.2}.get(metal, 0.14), 9)
        ground = make_body(rng, surface.split()[0].replace("wooden", "wood"), 1.2, 10)
        pieces = []
        for number, event in enumerate(events):
            gain = 0.8**number
            pieces.append((event, gain * hit(rng, disc, 0.9, 12000)))
            pieces.append((event, 0.3 * gain * hit(rng, ground, 0.2, 3000)))
        return here(rng, mix(sample_count(seconds), pieces))

    return Plan(
        phrases(
            f"a {metal} coin dropped on a {surface}",
            f"a {metal} coin falls and bounces on a {surface}",
            "a coin hitting a hard surface and settling",
            "a coin drop",
        ),
        told(surface=surface, size=metal),
        events,
        float(rng.uniform(0.4, 0.8)),
        render,
    )


def ball(rng: Generator, seconds: float) -> Plan:
    """A ball bounces faster and faster."""
    kind = choose(rng, "basketball", "ping pong ball", "rubber ball")
    longest = {"basketball": 0.6, "ping pong ball": 0.42, "rubber ball": 0.5}[kind]
    first = min(longest, 0.4 * seconds) * float(rng.uniform(0.85, 1.1))
    events, where = bounces(rng, seconds, first, float(rng.uniform(0.78, 0.87))), place(rng)

    def render() -> Signal:
        dull, length = {"basketball": (320, 0.08), "ping pong ball": (900, 0.05)}.get(
            kind, (400, 0.08)
        )
        dull *= rng.uniform(0.85, 1.15)
        thuds = [
            (event, rng.uniform(0.6, 1) * 0.88**number * thump(rng, dull, length))
            for number, event in enumerate(events)
        ]
        # A hall with its hum of people and air: over silence these are drums.
        echoed = surround(rng, mix(sample_count(seconds), thuds), 0.6, 0.6, -34)
        return where.room(rng, echoed)

    return Plan(
        phrases(
            f"a {kind} bouncing on the floor {where.words}",
            f"a dropped {kind} bounces until it comes to rest",
            f"a bouncing {kind}",
            "a ball bouncing faster and faster" if len(events) > 2 else f"a {kind} hits the floor",
        ),
        told(kind=kind, distance=where.words),
        events,
        where.level(rng, 0.8),
        render,
    )


def bell(rng: Generator, seconds: float) -> Plan:
    """A bell is struck; partials hum, prime, tierce, quint, nominal (Rossing 2000)."""
    kind = choose(rng, "church", "hand", "ship's", "small")
    gap = {"church": 1.7, "hand": 0.55, "ship's": 0.8, "small": 0.6}[kind]
    events, where = repeats(rng, seconds, gap, most=3, jitter=0.05), place(rng)
    count = len(events)

    def render() -> Signal:
        prime = {"church": 260.0, "hand": 900.0, "ship's": 620.0, "small": 1900.0}[kind]
        prime *= rng.uniform(0.8, 1.25)
        ratios = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.51, 2.66, 3.01, 4.17, 5.43, 6.8, 8.2])
        ratios = np.concatenate([ratios, ratios * rng.uniform(1.001, 1.004, 12)])  # slow beats
        decays = {"church": 9.0, "small": 2.0}.get(kind, 3.5) / ratios**0.8
        amplitudes = rng.uniform(0.5, 1.0, 24) / (1 + 0.3 * ratios)
        strike = modes(prime * ratios, decays, amplitudes / 12, sample_count(seconds))
        clapper = burst(rng, 0.02, 1500, 9000)
        pieces = [(event, rng.uniform(0.8, 1.0) * strike) for event in events]
        pieces += [(event, 0.35 * clapper) for event in events]
        return where.room(rng, mix(sample_count(seconds), pieces))

    return Plan(
        phrases(
            f"a {kind} bell rings {times(count)} {where.words}",
            f"{counted(count, 'strike')} of a {kind} bell {where.words}",
            f"a {kind} bell ringing {where.words}",
            f"the {choose(rng, 'toll', 'chime', 'clang')} of a {kind} bell",
        ),
        told(kind=kind, repeats=times(count), distance=where.words),
        events,
        where.level(rng, 0.9),
        render,
    )


def explosion(rng: Generator, seconds: float) -> Plan:
    """A pressure front, the noise of fire that darkens, a long rumble, debris."""
    size = choose(rng, "small", "huge", "powerful")
    debris = choose(rng, "", "with falling debris")
    where, event = place(rng), 0.02

    def render() -> Signal:
        samples = sample_count(seconds - event)
        length = {"small": 1.3, "huge": 4.2}.get(size, 2.6)
        fire = noise(rng, samples, 1.0)
        fire = sweep_band(fire, 100 + 800 * np.exp(-4 / length * clock(samples)), 1.8)
        fire *= decay(samples, 1.4 * length, 0.008)
        rumble = lowpass(noise(rng, samples, 1.0), 120) * curve(rng, samples, 12, 0.4, 1.0)
        rumble *= decay(samples, 2.2 * length, 0.02)
        # A stronger front than this is heard as a shot.
        front = mix(samples, [(0, 0.3 * to_peak(burst(rng, 0.1, 60, 6000)))])
        audio = np.tanh(4 * (to_peak(fire) + 1.5 * to_peak(rumble) + front))
        if debris:
            onsets = 0.15 + rng.gamma(2.5, 0.16 * length, 80)
            onsets = onsets[onsets < seconds - event - 0.1]
            stones = [to_peak(burst(rng, rng.uniform(0.02, 0.08), 200, 5000)) for _ in range(10)]
            weights = rng.exponential(0.15, len(onsets))
            audio += scatter(rng, samples, onsets, weights, stones)
        echoed = surround(rng, mix(sample_count(seconds), [(event, audio)]), 1.0, 0.5, -50)
        return where.room(rng, echoed)

    return Plan(
        phrases(
            f"a {size} explosion {debris} {where.words}",
            f"a {size} blast {where.words}",
            f"an explosion {debris}",
            f"{choose(rng, 'a bomb going off', 'something exploding')} {where.words}",
        ),
        told(size=size, debris=debris, distance=where.words),
        (event,),
        where.level(rng),
        render,
    )


def gunshot(rng: Generator, seconds: float) -> Plan:
    """Muzzle blast: a shock of a millisecond, its noise, and the echo of the surroundings."""
    weapon = choose(rng, "pistol", "rifle", "shotgun")
    events, where = repeats(rng, seconds, 0.5, most=3), place(rng)
    count = len(events)

    def render() -> Signal:
        bass, length = {"pistol": (240, 0.4), "rifle": (150, 0.7)}.get(weapon, (100, 0.9))
        crack = lowpass(burst(rng, length, bass, 20_000, 0.0002), 4000, 1)
        shot = np.tanh(5 * crack)  # the blast drives any microphone into clipping
        shots = [(event, rng.uniform(0.9, 1.0) * shot) for event in events]
        echoed = surround(rng, mix(sample_count(seconds), shots), 0.4, 0.4, -50)
        return where.room(rng, echoed)

    return Plan(
        phrases(
            f"{counted(count, f'{weapon} shot')} {where.words}",
            f"a {weapon} fires {times(count)} {where.words}",
            f"{'a gunshot' if count == 1 else 'gunshots'} {where.words}",
            f"{'a single shot' if count == 1 else counted(count, 'shot')} from a {weapon}",
        ),
        told(count=count, weapon=weapon, distance=where.words),
        events,
        where.level(rng),
        render,
    )
