"""Procedural families of birds, frogs and insects."""

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
    RATE,
    Signal,
    bandpass,
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
    scatter,
    surround,
    swell,
)

Generator = np.random.Generator


def bird(rng: Generator, seconds: float) -> Plan:
    """Songbird: phrases of quick whistles that sweep in pitch."""
    size = choose(rng, "small", "tiny", "")
    song = choose(rng, "chirping", "whistling", "trilling")
    where = place(rng)
    gap = {"chirping": 0.35, "whistling": 0.8, "trilling": 0.9}[song] * float(rng.uniform(0.9, 1.2))
    events = spaced(rng, seconds, gap, 0.3)

    def render() -> Signal:
        base = {"small": 4200.0, "tiny": 5600.0}.get(size, 3300.0) * rng.uniform(0.85, 1.15)
        length = {"chirping": 0.1, "whistling": 0.45, "trilling": 0.6}[song]
        samples = sample_count(length)
        course = base * ramp(samples, *rng.uniform(0.75, 1.3, 4))
        if song == "trilling":
            course *= 1 + 0.12 * np.sin(2 * np.pi * rng.uniform(22, 35) * clock(samples))
        note = oscillate(cycles(course), [1.0, 0.08]) * swell(samples, 0.3, 0.8)
        pieces = [(event, rng.uniform(0.5, 1.0) * note) for event in events]
        return where.room(rng, mix(sample_count(seconds), pieces))

    return Plan(
        phrases(
            f"a {size} bird {song} {where.words}",
            f"{song} of a {size} bird {where.words}",
            f"{choose(rng, 'birdsong', 'a bird singing', 'a bird call')} {where.words}",
            f"a {size} bird in {choose(rng, 'a tree', 'the garden', 'the forest')}",
        ),
        told(size=size, song=song, distance=where.words),
        events,
        where.level(rng, 0.7),
        render,
    )


def owl(rng: Generator, seconds: float) -> Plan:
    """Soft hoots, almost pure tones."""
    where = place(rng)
    events = repeats(rng, seconds, 0.55, most=4, jitter=0.25)
    count = len(events)
    hour = choose(rng, "at night", "in the forest", "")

    def render() -> Signal:
        base = rng.uniform(320, 480)
        pieces = []
        for event in events:
            samples = sample_count(rng.uniform(0.3, 0.42))
            course = base * ramp(samples, 0.92, 1.03, 1.0, 0.9)
            hoot = oscillate(cycles(course), [1.0, 0.18, 0.06]) + 0.05 * noise(rng, samples, 1.0)
            pieces.append((event, hoot * swell(samples, 0.35, 1.0)))
        return where.room(rng, lowpass(mix(sample_count(seconds), pieces), 3000))

    return Plan(
        phrases(
            f"an owl hoots {times(count)} {hour} {where.words}",
            f"{counted(count, 'hoot')} of an owl {hour}",
            f"an owl hooting {where.words}",
            f"an owl {hour}",
        ),
        told(repeats=times(count), hour=hour, distance=where.words),
        events,
        where.level(rng, 0.6),
        render,
    )


def frog(rng: Generator, seconds: float) -> Plan:
    """Croaks: slow pulses that ring in the vocal sac."""
    size = choose(rng, "small", "big", "")
    length = min(float(rng.uniform(0.25, 0.5)), 0.8 * seconds)
    events, where = repeats(rng, seconds, length + 0.3, most=5), place(rng)
    count = len(events)

    def render() -> Signal:
        sac = {"small": 1900.0, "big": 420.0}.get(size, 900.0) * rng.uniform(0.85, 1.15)
        rate = {"small": 75.0, "big": 32.0}.get(size, 48.0)
        pieces = []
        for event in events:
            samples = sample_count(length)
            phase = cycles(
                rate * ramp(samples, 0.8, 1.1, 1.0) * (1 + 0.05 * curve(rng, samples, 20))
            )
            pulses = np.exp(-14 * (phase % 1.0))
            croak = resonate(pulses, sac, 0.12 * sac) + 0.6 * resonate(pulses, 2.1 * sac, 0.2 * sac)
            pieces.append((event, croak * swell(samples, 0.4, 0.8)))
        croaks = mix(sample_count(seconds), pieces)
        return where.room(rng, surround(rng, croaks, rng.uniform(0.3, 0.6), 0.4, -45.0))

    return Plan(
        phrases(
            f"a {size} frog croaks {times(count)} {where.words}",
            f"{counted(count, 'croak')} of a {size} frog",
            f"a {size} frog croaking {where.words}",
            f"a frog {choose(rng, 'at a pond', 'in a swamp', 'croaking at night')}",
        ),
        told(size=size, repeats=times(count), distance=where.words),
        events,
        where.level(rng, 0.75),
        render,
    )


def crickets(rng: Generator, seconds: float) -> Plan:
    """Chirps of a few pulses near 4.5 kHz, from one insect or many."""
    who = choose(rng, "a single cricket", "many crickets", "a few crickets")
    speed = choose(rng, "slowly", "quickly", "steadily")

    def render() -> Signal:
        samples = sample_count(seconds)
        rate = {"slowly": 1.6, "quickly": 4.5}.get(speed, 2.8)
        audio = np.zeros(samples)
        for number in range({"a single cricket": 1, "a few crickets": 4}.get(who, 14)):
            pitch, pulse_rate = rng.uniform(4000, 5200), rng.uniform(28, 36)
            length = sample_count(3.6 / pulse_rate)
            time = clock(length)
            pulses = np.maximum(np.sin(2 * np.pi * pulse_rate * time - 0.5), 0) ** 0.7
            chirp = np.sin(2 * np.pi * pitch * time) * pulses * ramp(length, 0.5, 1.0, 0.9)
            own = rate * rng.uniform(0.85, 1.15)
            onsets = np.arange(rng.uniform(0.0, 0.9 / own if number else 0.03), seconds, 1 / own)
            weights = np.full(len(onsets), rng.uniform(0.3, 1.0))
            audio += scatter(rng, samples, onsets, weights, [chirp])
        return here(rng, audio)

    return Plan(
        phrases(
            f"{who} chirping {speed}",
            f"{who} {choose(rng, 'on a summer night', 'in the grass', 'at night')}",
            f"{'a cricket' if who == 'a single cricket' else 'crickets'} chirping {speed}",
            f"the chirping of {who}",
        ),
        told(who=who, speed=speed),
        (0.0,),
        float(rng.uniform(0.25, 0.6)),
        render,
    )


def swarm(rng: Generator, seconds: float) -> Plan:
    """Insects: wing beats of many individuals that come and go."""
    insect, beat = [("bees", 235.0), ("flies", 190.0), ("mosquitoes", 420.0), ("wasps", 150.0)][
        int(rng.integers(4))
    ]
    size = choose(rng, "a small group of", "a large swarm of", "a few")
    where = place(rng)

    def render() -> Signal:
        samples = sample_count(seconds)
        audio = np.zeros(samples)
        tilt = 0.3 if insect == "mosquitoes" else 0.7
        for _ in range({"a few": 3, "a small group of": 5}.get(size, 8)):
            drift = 0.02 * curve(rng, samples, 1.5, -1, 1) + 0.03 * curve(rng, samples, 30, -1, 1)
            weights = rolloff(1.3 * beat, tilt, 6000)
            weights = weights * rng.uniform(0.1, 1.0, len(weights))
            wings = oscillate(cycles(beat * rng.uniform(0.92, 1.08) * (1 + drift)), weights, 0.5)
            audio += wings / wings.std() * (0.1 + curve(rng, samples, 3.0) ** 2)
        # Wing beats blow air at the microphone, too.
        audio += 3.0 * lowpass(noise(rng, samples, 1.0), 150) + 0.3 * noise(rng, samples, 1.0)
        return where.room(rng, surround(rng, audio, rng.uniform(0.2, 0.5), 0.3, -50.0))

    return Plan(
        phrases(
            f"{size} {insect} buzzing {where.words}",
            f"the {choose(rng, 'buzz', 'humming')} of {size} {insect}",
            f"{insect} {choose(rng, 'flying around', 'buzzing around')} {where.words}",
            "insects buzzing",
        ),
        told(size=size, insect=insect, distance=where.words),
        (0.0,),
        where.level(rng, 0.7),
        render,
    )


def bee(rng: Generator, seconds: float) -> Plan:
    """One insect flies to and fro: its wings are louder and, coming nearer, higher; wind goes on."""
    who, beat = [("bee", 240.0), ("wasp", 215.0), ("bumblebee", 200.0), ("honey bee", 260.0)][
        int(rng.integers(4))
    ]
    spot = choose(rng, "among flowers", "in a garden", "outdoors", "")

    def render() -> Signal:
        samples = sample_count(seconds)
        reach = rng.uniform(1.5, 2.3)  # metres
        metres = 0.15 + reach * (1 - curve(rng, samples, rng.uniform(1.0, 1.9))) ** 1.5
        approach = 1 - 3 * np.gradient(metres) * RATE / 343
        course = 1 + 0.18 * curve(rng, samples, 1.5, -1, 1)
        flutter = 1 + 0.024 * curve(rng, samples, 35, -1, 1)
        own = beat * rng.uniform(0.95, 1.07)
        weights = rolloff(1.4 * own, 0.53, 7000)
        weights = weights * (0.45 + 0.55 * rng.uniform(0.1, 1.0, len(weights)))
        wings = oscillate(cycles(own * approach * course * flutter), weights, 0.5)
        wings /= wings.std()
        air = bandpass(noise(rng, samples), 800, 6000) * (1 + wings / 3)
        audio = (wings * curve(rng, samples, 25, 0.6, 1.0) + 0.08 * air) / metres
        audio = audio / audio.std() + 0.7 * noise(rng, samples, 2.0)
        audio = surround(rng, audio, rng.uniform(0.2, 0.4), 0.11, -70.0)
        return audio + 0.8 * audio.std() * noise(rng, samples, 0.7)

    return Plan(
        phrases(
            f"a {who} buzzing around {spot}",
            f"a {who} {choose(rng, 'buzzes by', 'buzzes past', 'buzzing to and fro')} {spot}",
            f"the {choose(rng, 'buzz', 'buzzing')} of a {who}",
            f"a buzzing {who} flying {spot}",
        ),
        told(who=who, spot=spot),
        (0.0,),
        float(rng.uniform(0.4, 0.85)),
        render,
    )
