"""Procedural families that carry far: a gong, the whistle of a steam engine, a machine gun."""

import numpy as np

from woosh.procedural.impacts import hit, make_body, to_peak
from woosh.procedural.plan import Plan, choose, phrases, place, repeats, told
from woosh.procedural.synthesis import (
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
    ramp,
    resonate,
    rolloff,
    sample_count,
    surround,
)

Generator = np.random.Generator


def gong(rng: Generator, seconds: float) -> Plan:
    """A large plate: its low modes first, then the high ones bloom and shimmer."""
    size = choose(rng, "large", "small", "")
    events = repeats(rng, seconds, 2.5, most=1)
    where = place(rng)

    def render() -> Signal:
        base = {"large": 75.0, "small": 210.0}.get(size, 120.0) * rng.uniform(0.85, 1.2)
        samples = sample_count(seconds)
        ratios = np.sort(np.concatenate([[1.0, 1.52, 2.0, 2.7], rng.uniform(2.5, 22, 40)]))
        time = clock(samples)
        audio = np.zeros(samples)
        for event in events:
            since = np.clip(time - event, 0, None)
            for ratio in ratios:
                rise = 0.01 + 0.05 * min(ratio, 8) * rng.uniform(0.5, 1.5)
                fall = 7.0 / ratio**0.55
                level = (
                    (1 - np.exp(-since / rise)) * np.exp(-6.9 * since / fall) / (1 + 0.12 * ratio)
                )
                shake = 1 + 0.3 * np.sin(
                    2 * np.pi * rng.uniform(0.8, 5) * since + rng.uniform(0, 6)
                )
                audio += (
                    rng.uniform(0.4, 1.0) * level * shake * np.sin(2 * np.pi * base * ratio * since)
                )
            blow = lowpass(burst(rng, 0.25, 40, 900), 500)
            audio += mix(samples, [(event, 3.0 * to_peak(blow))])
        return where.room(rng, surround(rng, audio, 0.8, 0.3, -55.0))

    return Plan(
        phrases(
            f"a {size} gong is struck {where.words}",
            f"a {size} gong {where.words}",
            f"{choose(rng, 'a gong', 'the strike of a gong', 'a gong ringing')} {where.words}",
            f"a {size} gong {choose(rng, 'ringing out', 'struck with a mallet', 'in a temple')}",
        ),
        told(size=size, distance=where.words),
        events,
        where.level(rng, 0.9),
        render,
    )


def steam_whistle(rng: Generator, seconds: float) -> Plan:
    """A chord of steam-blown pipes with breath around it, swelling in and sagging out."""
    kind = choose(rng, "steam train", "steam locomotive", "ship's steam")
    long = min(float(rng.uniform(1.0, 2.2)), 0.8 * seconds)
    lengths = (long,) if rng.uniform() < 0.4 else (0.4 * long, long)
    repeated = "blown twice" if len(lengths) == 2 else "blown once"
    where = place(rng)

    def render() -> Signal:
        base = {"ship's steam": 190.0}.get(kind, 330.0) * rng.uniform(0.85, 1.3)
        chord = [1.0, 1.26, 1.5, 1.88][: int(rng.integers(2, 5))]
        pieces, start = [], 0.05
        for length in lengths:
            samples = sample_count(length)
            course = ramp(samples, 0.93, 1.0, 1.0, 1.0, 1.0, 0.985, 0.9)
            level = ramp(samples, 0.0, 0.85, 1.0, 1.0, 0.95, 0.8, 0.0)
            pipes = np.zeros(samples)
            for ratio in chord:
                shake = 1 + 0.004 * curve(rng, samples, 12, -1, 1)
                pipe = oscillate(
                    cycles(base * ratio * course * shake), rolloff(base * ratio, 1.3, 7000), 0.3
                )
                pipes += rng.uniform(0.6, 1.0) * pipe / pipe.std()
            steam = bandpass(noise(rng, samples), 600, 9000)
            pieces.append((start, (pipes / pipes.std() + 0.35 * steam / steam.std()) * level))
            start += length + rng.uniform(0.15, 0.35)
        audio = surround(
            rng, mix(sample_count(seconds), pieces), rng.uniform(0.8, 1.5), 0.45, -48.0
        )
        return where.room(rng, audio)

    return Plan(
        phrases(
            f"a {kind} whistle {repeated} {where.words}",
            f"a {kind} whistle {where.words}",
            f"a steam {'' if 'ship' in kind else 'train'} whistle {where.words}",
            f"{choose(rng, 'a steam whistle', 'the whistle of a steam engine', 'a steam whistle blowing')}",
        ),
        told(kind=kind, repeats=repeated, distance=where.words),
        (0.05,),
        where.level(rng, 0.9),
        render,
    )


def machine_gun(rng: Generator, seconds: float) -> Plan:
    """Bursts of shots at an even, fast rate, each a crack with the action's clatter."""
    kind = choose(rng, "machine gun", "machine gun", "assault rifle", "submachine gun")
    where = place(rng)
    rate = {"submachine gun": 13.0, "assault rifle": 11.0}.get(kind, 9.0) * float(
        rng.uniform(0.9, 1.15)
    )
    events: list[float] = []
    start = 0.03
    while not events or start < seconds - 0.3:
        shots = int(rng.integers(4, 13))
        events += [round(start + number / rate, 4) for number in range(shots)]
        start = events[-1] + float(rng.uniform(0.35, 0.9))
    heard = tuple(event for event in events if event < seconds - 0.08)

    def render() -> Signal:
        bass = {"submachine gun": 260.0, "assault rifle": 200.0}.get(kind, 150.0)
        action = make_body(rng, "metal", 0.5, 12)
        pieces = []
        for event in heard:
            crack = lowpass(burst(rng, 0.22, bass, 18_000, 0.0002), 5000, 1)
            pieces.append((event, rng.uniform(0.85, 1.0) * np.tanh(5 * crack)))
            pieces.append((event + 0.02, 0.12 * to_peak(hit(rng, action, 0.06, 6000))))
        audio = mix(sample_count(seconds), pieces)
        slap = resonate(audio, rng.uniform(380, 600), 300.0)
        return where.room(rng, surround(rng, audio + 0.6 * slap, rng.uniform(0.5, 0.9), 0.4, -50.0))

    return Plan(
        phrases(
            f"a {kind} firing in bursts {where.words}",
            f"a {kind} firing {where.words}",
            f"{choose(rng, 'machine gun fire', 'automatic gunfire', 'bursts of gunfire')} {where.words}",
            f"the {choose(rng, 'rattle', 'burst', 'fire')} of a {kind}",
        ),
        told(kind=kind, distance=where.words),
        heard,
        where.level(rng),
        render,
    )
