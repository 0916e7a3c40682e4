"""Procedural families of tools: drills, compressed air, saws, hammers, ratchets."""

import numpy as np

from woosh.procedural.plan import (
    Plan,
    choose,
    counted,
    phrases,
    place,
    repeats,
    spaced,
    times,
    told,
)
from woosh.procedural.synthesis import (
    Signal,
    bandpass,
    burst,
    clock,
    curve,
    cycles,
    highpass,
    mix,
    modes,
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


def universal_motor(rng: Generator, turn: Signal, highest: float, rough: float) -> Signal:
    """A motor with brushes at unit level: uneven harmonics of its turns, and noise in their rhythm.

    Args:
        rng: source of the harmonics and of the noise.
        turn: turns per second, (S,).
        highest: frequency of the highest harmonic in Hz.
        rough: level of the brushes' noise against the harmonics.
    """
    weights = rolloff(float(turn.max()), 0.35, highest)
    weights = weights * rng.uniform(0.05, 1.0, len(weights))
    wave = oscillate(cycles(turn), weights, 0.7)
    brushes = bandpass(noise(rng, len(turn)), 1500, 8000) * (1 + wave / wave.std()) ** 2
    audio = wave / wave.std() + rough * brushes / brushes.std()
    return audio / audio.std()


def drill(rng: Generator, seconds: float) -> Plan:
    """An electric drill: the motor's scream and the gears' rasp, slower and rougher under load."""
    manner = choose(rng, "running", "drilling into wood", "starting")
    where = place(rng)

    def render() -> Signal:
        samples = sample_count(seconds)
        load = 0.92 + 0.08 * curve(rng, samples, 1.5)
        if manner == "starting":
            load = load * (1 - 0.8 * np.exp(-clock(samples) / 0.25))
        turn = rng.uniform(170, 260) * load * (1 + 0.006 * curve(rng, samples, 20, -1, 1))
        audio = universal_motor(rng, turn, 9000.0, 0.5)
        gears = oscillate(cycles(turn * rng.uniform(5.2, 7.8)), [1.0, 0.5, 0.3, 0.2], 0.3)
        audio += 0.8 * gears / gears.std() * curve(rng, samples, 40, 0.3, 1.0)
        if manner == "drilling into wood":
            rasp = bandpass(noise(rng, samples), 400, 4000) * curve(rng, samples, 45)
            audio += 0.8 * rasp / rasp.std()
        air = bandpass(noise(rng, samples, 0.5), 500, 7000)
        audio += 1.0 * air / air.std()
        audio = saturate(tame(audio, 3.0), 1.5) * (0.2 + 0.8 * load)
        return where.room(rng, surround(rng, audio, 0.4, 0.4, -45))

    return Plan(
        phrases(
            f"an electric drill {manner} {where.words}",
            f"a power drill {manner}",
            f"the whine of an electric drill {where.words}",
            "an electric drill",
        ),
        told(manner=manner, distance=where.words),
        (0.0,),
        where.level(rng, 0.8),
        render,
    )


def air_hiss(rng: Generator, seconds: float) -> Plan:
    """Compressed air from a nozzle: turbulence that is brightest while the pressure is highest."""
    manner = choose(rng, "steady", "fading", "short")
    events = repeats(rng, seconds, 0.5, most=4) if manner == "short" else (0.0,)

    def render() -> Signal:
        samples = sample_count(seconds)
        if manner == "short":
            puffs = []
            for onset in events:
                length = sample_count(rng.uniform(0.2, 0.4))
                edge = np.minimum(clock(length) / 0.006, 1) * ramp(length, 1.0, 0.85, 0.7, 0.0)
                puffs.append((onset, edge * noise(rng, length)))
            audio = mix(samples, puffs)
        else:
            course = ramp(samples, 1.0, 0.5, 0.2) if manner == "fading" else np.ones(samples)
            audio = noise(rng, samples) * course * curve(rng, samples, 12, 0.85, 1.0)
        audio = highpass(audio, rng.uniform(1500, 3500), 1)
        throat = bandpass(audio, *(rng.uniform(3500, 6500) * np.array([0.8, 1.25])))
        return surround(rng, audio + throat, 0.25, 0.25, -55)

    return Plan(
        phrases(
            f"a {manner} hiss of compressed air"
            if len(events) == 1
            else "short hisses of compressed air",
            "compressed air hissing out of a nozzle",
            "hiss of compressed air",
        ),
        told(manner=manner),
        events,
        float(rng.uniform(0.4, 0.9)),
        render,
    )


def saw(rng: Generator, seconds: float) -> Plan:
    """A hand saw goes to and fro: the teeth rattle over the wood, which rings, harder on the push."""
    pace = choose(rng, "slowly", "quickly", "steadily")
    wood = choose(rng, "a board", "a log", "a branch")
    rate = {"slowly": 1.5, "quickly": 2.4}.get(pace, 1.9) * float(rng.uniform(0.92, 1.08))
    events = spaced(rng, seconds, 1 / rate, 0.08)

    def render() -> Signal:
        ringing = np.array([430.0, 1150.0, 2050.0]) * rng.uniform(0.85, 1.15, 3)
        ringing *= {"a log": 0.85, "a branch": 1.15}.get(wood, 1.0)
        teeth, back = rng.uniform(340, 460), rng.uniform(0.3, 0.55)
        grain = rng.uniform(1.0, 1.2)
        pieces = []
        for event in events:
            for delay, strength in ((0.0, 1.0), (0.5 / rate, back)):
                samples = sample_count(0.33 / rate * rng.uniform(0.9, 1.15))
                push = swell(samples, rng.uniform(0.4, 0.6), 0.7)
                passing = cycles(teeth * (0.3 + 0.7 * push) * curve(rng, samples, 25, 0.85, 1.15))
                rasp = noise(rng, samples, grain) * (0.1 + 1.7 * np.exp(-4.5 * (passing % 1.0)))
                rasp = bandpass(rasp, 215, 8700)
                wooden = [resonate(rasp, hertz, 0.25 * hertz) for hertz in ringing]
                stroke = rasp / rasp.std()
                for part, gain in zip(wooden, (1.3, 1.1, 1.0), strict=True):
                    stroke += gain * part / part.std()
                pieces.append(
                    (event + delay, strength * rng.uniform(0.8, 1.1) * stroke * push**1.7)
                )
        audio = mix(sample_count(seconds), pieces)
        return surround(rng, audio, rng.uniform(0.1, 0.2), rng.uniform(0.4, 0.65), -58)

    return Plan(
        phrases(
            f"sawing {wood} {pace} by hand",
            f"a hand saw cutting {wood}",
            f"the {choose(rng, 'strokes', 'rasp')} of a saw in wood, going {pace}",
            "sawing wood by hand",
        ),
        told(wood=wood, pace=pace),
        events,
        float(rng.uniform(0.4, 0.9)),
        render,
    )


def hammer(rng: Generator, seconds: float) -> Plan:
    """Each blow makes head and nail ring, the higher the less of the nail stands out of the wood."""
    wood = choose(rng, "a plank", "a beam", "a wall")
    pace = choose(rng, "slow", "quick")
    gap = {"slow": 0.78, "quick": 0.62}[pace] * float(rng.uniform(0.92, 1.08))
    events = spaced(rng, seconds, gap, 0.12)[:10]
    count = len(events)

    def render() -> Signal:
        ratios = np.array([1.0, 1.57, 2.21, 2.9, 4.1]) * rng.uniform(0.95, 1.05, 5)
        pitch, loudness = rng.uniform(2800, 4300), rng.uniform(0.3, 1.0, 5)
        decays = rng.uniform(0.26, 0.46) * rng.uniform(0.7, 1.2, 5) / ratios**0.5
        deep = {"a plank": 105.0, "a beam": 92.0}.get(wood, 80.0) * rng.uniform(0.85, 1.2)
        thud = modes(deep * np.array([1, 1.7, 2.6, 4]), np.full(4, 0.06), np.ones(4), 4800)
        pieces = []
        for number, event in enumerate(events):
            ring = modes(pitch * (1 + 0.035 * number) * ratios, decays, loudness, 24_000)
            clack = burst(rng, rng.uniform(0.04, 0.08), 1000, 12_000)
            for part, gain in ((ring, 0.12), (clack, 0.3), (thud, 0.12)):
                pieces.append((event, rng.uniform(0.7, 1.0) * gain * part / np.abs(part).max()))
        audio = saturate(mix(sample_count(seconds), pieces), rng.uniform(2, 5))
        return surround(rng, audio, rng.uniform(0.18, 0.35), rng.uniform(0.5, 0.7), -53)

    return Plan(
        phrases(
            f"a hammer driving a nail into {wood} with {counted(count, f'{pace} blow')}",
            f"a hammer hitting a nail {times(count)}",
            f"hammering a nail into {wood}",
            f"{pace} blows of a hammer on a nail"
            if count > 1
            else "one blow of a hammer on a nail",
        ),
        told(wood=wood, blows=counted(count, f"{pace} blow")),
        events,
        float(rng.uniform(0.5, 0.95)),
        render,
    )


def ratchet(rng: Generator, seconds: float) -> Plan:
    """A pawl falls over one tooth after another while the handle turns, and is still as it goes back."""
    pace = choose(rng, "slowly", "quickly", "steadily")
    step = {"slowly": 0.04, "quickly": 0.024}.get(pace, 0.03) * float(rng.uniform(0.92, 1.08))
    teeth = int(rng.integers(7, 11))
    turns = spaced(rng, seconds, 1.5 * teeth * step + float(rng.uniform(0.35, 0.6)), 0.1)

    def render() -> Signal:
        pitches = (
            rng.uniform(0.85, 1.2, 4) * rng.uniform(4300, 5300) * np.array([1, 1.45, 2.3, 3.4])
        )
        loudness, chip = rng.uniform(0.3, 1.0, 4), rng.uniform(1.0, 1.5)
        low = rng.uniform(2200, 2800)
        pieces = []
        for turn in turns:
            onset = turn
            for tooth in range(teeth):
                click = burst(rng, 0.0085, low, 2 * low)
                ring = modes(pitches, 0.0065 * np.array([1, 0.8, 0.7, 0.5]), loudness, 480)
                click, ring = click / np.abs(click).max(), ring / np.abs(ring).max()
                strength = rng.uniform(0.6, 1.0)
                for delay, gain, part in (
                    (0.0, 1.0, click),
                    (0.0, chip, ring),
                    (0.004, 0.5, click),
                ):
                    pieces.append((onset + delay, strength * gain * part))
                middle = 1 - abs(2 * (tooth + 0.5) / teeth - 1)  # fastest half way round
                onset += step * (1.8 - 0.8 * middle) * rng.uniform(0.93, 1.07)
        audio = mix(sample_count(seconds), pieces)
        return surround(rng, audio, rng.uniform(0.12, 0.2), rng.uniform(0.5, 0.73), -45)

    return Plan(
        phrases(
            f"a ratchet turned {pace}, {counted(teeth, 'tooth', 'teeth')} at a time",
            f"the clicking of a ratchet turned {pace}",
            f"a ratchet {choose(rng, 'wrench', 'handle')} going back and forth",
            "a ratchet",
        ),
        told(pace=pace, teeth=counted(teeth, "tooth", "teeth")),
        turns,
        float(rng.uniform(0.4, 0.9)),
        render,
    )
