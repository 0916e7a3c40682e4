"""Procedural families of everyday things that people handle."""

import numpy as np

from woosh.procedural.impacts import Body, hit, make_body
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
    RATE,
    Signal,
    bandpass,
    bubble,
    burst,
    curve,
    cycles,
    decay,
    gate,
    highpass,
    lowpass,
    mix,
    noise,
    poisson,
    ramp,
    resonate,
    sample_count,
    scatter,
    surround,
    sweep_band,
    swell,
)

Generator = np.random.Generator


def footstep(rng: Generator, surface: str) -> Signal:
    """One step: heel, then toe, on the given surface; about a quarter of a second."""
    samples = sample_count(0.28)
    two = decay(samples, 0.12, 0.004)
    toe = sample_count(rng.uniform(0.07, 0.1))
    two[toe:] += rng.uniform(0.4, 0.8) * decay(samples - toe, 0.14, 0.01)
    hiss = rng.standard_normal(samples)
    thump = 0.6 * mix(samples, [(0.0, bubble(rng.uniform(70, 110), 0.09, -0.3))])
    if surface in ("wood", "metal"):
        body = make_body(rng, surface, 1.9 if surface == "wood" else 1.4)
        step = hit(rng, body, 0.28, 1500)
        return mix(
            samples, [(0, step), (toe / RATE, 0.5 * hit(rng, body, 0.2, 900)), (0, thump / 3)]
        )
    if surface == "concrete":
        return bandpass(hiss, 600, 5000) * decay(samples, 0.05, 0.001) + 0.5 * thump
    if surface == "gravel":
        stones = (rng.uniform(size=samples) < 0.012) * rng.exponential(1.0, samples)
        return 3 * bandpass(stones * two * hiss, 900, 8000) + 0.15 * bandpass(hiss, 500, 6000) * two
    if surface == "snow":
        squeak = np.abs(curve(rng, samples, 160, -1, 1)) ** 2
        return bandpass(hiss, 350, 3500) * squeak * swell(samples, 0.3, 1.2)
    if surface == "dry leaves":
        crackle = (rng.uniform(size=samples) < 0.02) * rng.exponential(1.0, samples) ** 1.3
        rustle = swell(samples, 0.25, 1.0)
        return highpass((crackle * 2 + 0.1) * hiss, 2500) * rustle
    return bandpass(hiss, 900, 7000) * swell(samples, 0.2, 1.5) * 0.4 + 0.25 * thump  # grass


def footsteps(rng: Generator, seconds: float) -> Plan:
    """Someone walks or runs on a surface."""
    surface = choose(rng, "gravel", "wood", "snow", "grass", "metal", "concrete", "dry leaves")
    pace = choose(rng, "slow", "fast", "steady")
    verb = {"slow": "walking slowly", "fast": "running", "steady": "walking"}[pace]
    gap = {"slow": 0.85, "fast": 0.32, "steady": 0.58}[pace] * float(rng.uniform(0.9, 1.12))
    events, where = spaced(rng, seconds, gap, 0.06), place(rng)
    floor = {"wood": "a wooden floor", "metal": "a metal walkway"}.get(surface, surface)

    def render() -> Signal:
        loudness = rng.uniform(0.7, 1.0, len(events))
        feet = [
            (event, gain * footstep(rng, surface))
            for event, gain in zip(events, loudness, strict=True)
        ]
        return where.room(rng, mix(sample_count(seconds), feet))

    return Plan(
        phrases(
            f"{pace} footsteps on {surface} {where.words}",
            f"someone {verb} on {floor} {where.words}",
            f"{choose(rng, 'a person', 'a man', 'a woman')} {verb} on {floor}",
            f"footsteps on {floor}",
            f"{pace} steps {where.words}",
        ),
        told(surface=surface, pace=pace, distance=where.words),
        events,
        where.level(rng, 0.8),
        render,
    )


def clock_ticking(rng: Generator, seconds: float) -> Plan:
    """Tick and tock of an escapement: two alternating groups of small clicks."""
    kind = choose(rng, "wall clock", "grandfather clock", "alarm clock", "pocket watch")
    pace = {"wall clock": 1.0, "grandfather clock": 1.0, "alarm clock": 0.5, "pocket watch": 0.2}[
        kind
    ]
    pace = min(pace * float(rng.choice([0.5, 1.0])), 1.0) if kind == "wall clock" else pace
    speed = "slow" if pace >= 1 else "fast" if pace < 0.3 else "steady"
    manner = {"slow": "slowly", "fast": "fast", "steady": "steadily"}[speed]
    events = spaced(rng, seconds, min(pace, 0.45 * seconds) if seconds < 1 else pace, 0.0)

    def render() -> Signal:
        scale = {"grandfather clock": 0.8, "pocket watch": 0.12, "alarm clock": 0.2}.get(kind, 0.3)
        bodies = [make_body(rng, "metal", scale * factor, 10) for factor in (1.0, 1.12)]
        case = make_body(rng, "wood", 3 * scale, 10)
        delays = rng.uniform(0.004, 0.03, 2)
        sounds = []
        for body in bodies:
            damped = Body(body.frequencies, 0.05 * body.decays**0.5, body.amplitudes, 0.5)
            click = hit(rng, damped, 0.12, 7000) + 0.5 * hit(rng, case, 0.12, 2500)
            sounds.append(
                mix(sample_count(0.16), [(0, click), *((d, 0.4 * click) for d in delays)])
            )
        pieces = [(event, rng.uniform(0.85, 1) * sounds[n % 2]) for n, event in enumerate(events)]
        audio = mix(sample_count(seconds), pieces)
        peak = np.abs(audio).max()
        return here(rng, audio) + 0.002 * peak * noise(rng, len(audio), 1.0)

    return Plan(
        phrases(
            f"the {speed} ticking of a {kind}",
            f"a {kind} ticking {manner}",
            "a clock ticking",
            f"tick-tock of a {kind}",
            f"a clock ticks {manner} in a quiet room",
        ),
        told(kind=kind, speed=speed),
        events,
        float(rng.uniform(0.25, 0.8)),
        render,
    )


def keystroke(rng: Generator, kind: str) -> Signal:
    """The touch, the bottom and the release of one key: short noises, none of which rings."""
    low, high = {"laptop keyboard": (900, 5000), "typewriter": (700, 9000)}.get(kind, (1100, 9000))
    length = 0.04 if kind == "typewriter" else 0.03
    centre = rng.uniform(1500, 3200)

    def click(gain: float, seconds: float) -> Signal:
        grain = burst(rng, seconds, low, high) + 0.7 * resonate(
            burst(rng, seconds, 300, high), centre, 0.5 * centre
        )
        return gain * grain

    bottom = rng.uniform(0.01, 0.025)
    release = bottom + rng.uniform(0.06, 0.11)
    pieces = [
        (0.0, click(rng.uniform(0.3, 0.7), 0.5 * length)),
        (bottom, click(1.0, length)),
        (bottom, 0.5 * burst(rng, 0.04, 150, 600)),
        (release, click(rng.uniform(0.2, 0.4), length)),
    ]
    return mix(sample_count(0.2), pieces)


def typing(rng: Generator, seconds: float) -> Plan:
    """Keys of a keyboard, pressed and released."""
    kind = choose(rng, "mechanical keyboard", "laptop keyboard", "typewriter")
    speed = choose(rng, "slow", "fast")
    gap = {"slow": 0.33, "fast": 0.12}[speed]
    events = spaced(rng, seconds, gap, 0.6)

    def render() -> Signal:
        keys = [keystroke(rng, kind) for _ in range(12)]
        weights = rng.uniform(0.3, 1.0, len(events))
        audio = scatter(rng, sample_count(seconds), np.array(events), weights, keys)
        return here(rng, surround(rng, audio, rng.uniform(0.2, 0.4), 0.3, -42.0))

    return Plan(
        phrases(
            f"{speed} typing on a {kind}",
            f"someone {'quickly' if speed == 'fast' else 'slowly'} typing on a {kind}",
            f"the clicking keys of a {kind}",
            f"{speed} typing",
        ),
        told(kind=kind, speed=speed),
        events,
        float(rng.uniform(0.35, 0.8)),
        render,
    )


def applause(rng: Generator, seconds: float) -> Plan:
    """Many hands clap out of step."""
    crowd = choose(rng, "large crowd", "small audience", "few people")
    course = choose(rng, "", "that slowly dies down") if seconds > 3 else ""
    where = place(rng)

    def render() -> Signal:
        samples = sample_count(seconds)
        people = {"large crowd": 150, "small audience": 25, "few people": 5}[crowd]
        claps = []
        for _ in range(12):
            centre = rng.uniform(800, 2400)
            clap = resonate(burst(rng, 0.05, 400, 9000), centre, centre * 0.5)
            claps.append(clap + 0.25 * np.pad(burst(rng, 0.02, 1500, 9000), (0, 1440)))
        gaps = rng.uniform(0.2, 0.33, people)
        onsets = [
            np.arange(rng.uniform(0, gap if n else 0.02), seconds, gap)
            for n, gap in enumerate(gaps)
        ]
        weights = np.concatenate([np.full(len(o), rng.exponential(0.6) + 0.3) for o in onsets])
        onsets = np.concatenate(onsets)
        onsets = onsets + rng.normal(0, 0.015, len(onsets))
        audio = scatter(rng, samples, onsets, weights, claps)
        return where.room(rng, audio * (ramp(samples, 1.0, 1.0, 0.35, 0.1) if course else 1.0))

    who = f"a {crowd}"
    return Plan(
        phrases(
            f"applause from {who} {where.words} {course}",
            f"{who} clapping {course}",
            f"{choose(rng, 'hands clapping', 'people applauding')} {where.words} {course}",
            f"clapping and applause {course}",
        ),
        told(crowd=crowd, distance=where.words, course=course),
        (0.0,),
        where.level(rng, 0.9),
        render,
    )


def scissors(rng: Generator, seconds: float) -> Plan:
    """Blades slide over each other and close."""
    events = repeats(rng, seconds, 0.4, most=5)
    count = len(events)
    material = choose(rng, "paper", "cardboard", "cloth", "")

    def render() -> Signal:
        soft = {"cloth": 0.1, "cardboard": 0.2}.get(material, 0.15)
        centre = rng.uniform(1800, 3200)
        pieces = []
        for event in events:
            samples = sample_count(rng.uniform(0.06, 0.1))
            slide = bandpass(rng.standard_normal(samples), 1500, 7000) * swell(samples, 0.6, 1.2)
            closed = event + samples / RATE
            pieces += [(event, soft * slide * (0.3 + curve(rng, samples, 120)))]
            for onset, gain in ((event, 0.5), (closed, 0.7), (closed + 0.02, 0.4)):
                click = burst(rng, 0.02, 1500, 8000)
                click += 0.7 * resonate(burst(rng, 0.02, 900, 8000), centre, 0.5 * centre)
                pieces += [(onset + rng.uniform(0, 0.01), gain * rng.uniform(0.6, 1.0) * click)]
        audio = mix(sample_count(seconds), pieces)
        # Without a room's noise around them the clicks are heard as a cap gun.
        return here(rng, surround(rng, audio, rng.uniform(0.2, 0.4), 0.15, -30.0))

    return Plan(
        phrases(
            f"scissors cutting {material} {times(count)}",
            f"{counted(count, 'snip')} of scissors {'through ' + material if material else ''}",
            f"a pair of scissors snipping {times(count)}",
            f"cutting {material} with scissors",
        ),
        told(repeats=times(count), material=material),
        events,
        float(rng.uniform(0.35, 0.75)),
        render,
    )


def paper(rng: Generator, seconds: float) -> Plan:
    """A sheet is crumpled or torn."""
    action = choose(rng, "crumpled", "torn")
    sheet = choose(rng, "sheet of paper", "newspaper", "piece of cardboard")
    speed = choose(rng, "slowly", "quickly", "")

    def render() -> Signal:
        samples = sample_count(seconds)
        hiss = rng.standard_normal(samples)
        low = 700 if "cardboard" in sheet else 1800
        if action == "torn":
            rate = {"slowly": 90.0, "quickly": 260.0}.get(speed, 160.0)
            grains = [burst(rng, rng.uniform(0.004, 0.02), 0.6 * low, 12_000) for _ in range(20)]
            onsets = poisson(rng, seconds, rate)
            audio = scatter(rng, samples, onsets, rng.exponential(0.5, len(onsets)), grains)
            audio += 0.1 * bandpass(hiss, 0.6 * low, 9000)
            audio *= 0.1 + curve(rng, samples, 3) ** 1.5
        else:
            rate = {"slowly": 40.0, "quickly": 220.0}.get(speed, 100.0)
            grains = [burst(rng, rng.uniform(0.004, 0.02), low, 12_000) for _ in range(10)]
            onsets = poisson(rng, seconds, rate)
            weights = rng.exponential(0.5, len(onsets)) ** 1.5
            audio = scatter(rng, samples, onsets, weights, grains) * (0.2 + curve(rng, samples, 5))
            audio += 0.01 * bandpass(hiss, low, 9000)
        audio = surround(rng, audio, rng.uniform(0.2, 0.4), 0.3, -50.0)
        return here(rng, audio * gate(samples, 0.03))

    verb = {"crumpled": "crumpling", "torn": "tearing"}[action]
    return Plan(
        phrases(
            f"a {sheet} being {action} {speed}",
            f"someone {speed} {verb} a {sheet}",
            f"{verb} a {sheet}",
            f"the rustle of a {sheet} being {action}",
        ),
        told(action=action, sheet=sheet, speed=speed),
        (0.0,),
        float(rng.uniform(0.35, 0.8)),
        render,
    )


def creak(rng: Generator, seconds: float) -> Plan:
    """Stick and slip: irregular pulses whose rate wanders, through the resonances of a body."""
    thing = choose(rng, "wooden door", "wooden floorboard", "rusty metal gate", "old chair")
    speed = choose(rng, "slowly", "quickly", "")
    where = place(rng)

    def render() -> Signal:
        samples = sample_count(seconds)
        rate = {"slowly": 28.0, "quickly": 110.0}.get(speed, 60.0)
        course = curve(rng, samples, 2.5, 0.4, 1.6) * rate * (0.9 + 0.2 * curve(rng, samples, 60))
        phase = cycles(course * (3.0 if "metal" in thing else 1.0))
        slips = np.flatnonzero(np.diff(np.floor(phase), prepend=0.0))
        train = np.zeros(samples)
        train[slips] = rng.uniform(0.5, 1.0, len(slips))
        audio = np.zeros(samples)
        for frequency in rng.uniform(350, 3200, 7):
            width = 25 if "metal" in thing else 120
            audio += rng.uniform(0.4, 1.0) * resonate(train, frequency, width)
        audio += 0.05 * bandpass(rng.standard_normal(samples), 800, 5000) * lowpass(train, 200)
        return where.room(rng, audio * (0.15 + curve(rng, samples, 4)) * gate(samples, 0.04))

    return Plan(
        phrases(
            f"a {thing} creaking {speed} {where.words}",
            f"a {thing} {speed} creaks and groans",
            f"the creak of a {thing} {where.words}",
            f"creaking {'metal' if 'metal' in thing else 'wood'}",
        ),
        told(thing=thing, speed=speed, distance=where.words),
        (0.0,),
        where.level(rng, 0.7),
        render,
    )


def whoosh(rng: Generator, seconds: float) -> Plan:
    """Air around something that flies past: noise whose band and level rise and fall."""
    speed = choose(rng, "fast", "slow", "")
    thing = choose(rng, "stick", "sword", "heavy object", "")
    length = {"fast": 0.3, "slow": 1.1}.get(speed, 0.55)
    length = min(length * float(rng.uniform(0.8, 1.2)), 0.9 * seconds)
    events = repeats(rng, seconds, 1.15 * length, most=3)
    count = len(events)

    def render() -> Signal:
        top = {"heavy object": 700.0, "sword": 3200.0, "stick": 1700.0}.get(thing, 1300.0)
        top *= {"fast": 1.3, "slow": 0.6}.get(speed, 1.0)
        pieces = []
        for event in events:
            samples = sample_count(length)
            peak = rng.uniform(0.35, 0.6)
            air = sweep_band(noise(rng, samples), 150 + top * swell(samples, peak, 1.5), 0.7)
            pieces.append((event, air * swell(samples, peak, 2.5) / air.std()))
            if thing == "sword":
                edge = swell(samples, peak, 4.0) * bandpass(noise(rng, samples), 5000, 9000)
                pieces.append((event, 0.4 * edge))
        return here(rng, mix(sample_count(seconds), pieces))

    what = f"of a {thing}" if thing else choose(rng, "of air", "passing by")
    return Plan(
        phrases(
            f"a {speed} whoosh {what} {times(count) if count > 1 else ''}",
            f"{counted(count, f'{speed} swish', f'{speed} swishes')} {what}",
            f"a {thing or 'fast object'} {choose(rng, 'swung', 'swishing')} through the air",
            f"a whoosh {what}",
        ),
        told(speed=speed, thing=thing, repeats=times(count) if count > 1 else ""),
        events,
        float(rng.uniform(0.4, 0.85)),
        render,
    )
