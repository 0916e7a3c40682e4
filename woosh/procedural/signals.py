"""Procedural families of signals, electric and electronic sounds."""

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
    bandpass,
    burst,
    clock,
    curve,
    cycles,
    decay,
    gate,
    highpass,
    lowpass,
    mix,
    modes,
    noise,
    oscillate,
    poisson,
    rolloff,
    sample_count,
    saturate,
    scatter,
    surround,
    tame,
)

Generator = np.random.Generator


def tones(
    seconds: float, notes: list[tuple[float, float, float]], amplitudes: list[float]
) -> Signal:
    """Gated tones, each (onset, length in seconds, frequency in Hz)."""
    pieces = []
    for onset, length, frequency in notes:
        samples = sample_count(length)
        phase = frequency * clock(samples)
        pieces.append((onset, oscillate(phase, amplitudes) * gate(samples, 0.004)))
    return mix(sample_count(seconds), pieces)


SQUARE = [1.0, 0.0, 0.33, 0.0, 0.2, 0.0, 0.14]
QUARTER = [np.sin(0.25 * np.pi * k) * 2 / (np.pi * k) for k in range(1, 16)]  # high for 1/4


def alarm(rng: Generator, seconds: float) -> Plan:
    """Alarms: patterns of beeps, or a buzzer."""
    kind = choose(rng, "alarm clock", "smoke alarm", "burglar alarm", "electric buzzer")
    where = place(rng)
    first = round(float(rng.uniform(0.01, 0.05)), 4)
    cycle = {"alarm clock": 1.0, "smoke alarm": 1.6, "burglar alarm": 0.25}.get(kind, 1.2)
    starts = tuple(round(float(t), 4) for t in np.arange(first, seconds - 0.05, cycle))

    def render() -> Signal:
        samples = sample_count(seconds)
        if kind == "electric buzzer":
            buzz = oscillate(rng.uniform(100, 130) * clock(samples), rolloff(130, 0.5, 9000), 0.2)
            buzz = bandpass(np.tanh(buzz / np.abs(buzz).max()), 400, 6000)  # of a small diaphragm
            on = ((clock(samples) - first) % cycle < 0.8) & (clock(samples) >= first)
            buzz = surround(rng, buzz * lowpass(on.astype(float), 100, 1), 0.4, 0.2)
            return where.room(rng, buzz)
        if kind == "burglar alarm":
            turn = ((clock(samples) - first) % cycle) / cycle
            pitch = rng.uniform(2350, 2850) * np.where(turn < 0.5, 1.0, 1.12)
            tone = oscillate(cycles(pitch), [1.0, 0.5, 0.3, 0.2, 0.1]) * (clock(samples) >= first)
            return where.room(rng, surround(rng, tone, 0.4, 0.2))
        count, length, gap = (4, 0.07, 0.125) if kind == "alarm clock" else (3, 0.35, 0.5)
        pitch = rng.uniform(1900, 2300) if kind == "alarm clock" else rng.uniform(2900, 3300)
        notes = [(start + n * gap, length, pitch) for start in starts for n in range(count)]
        notes = [note for note in notes if note[0] < seconds]
        return where.room(rng, tones(seconds, notes, SQUARE))

    return Plan(
        phrases(
            f"a {kind} {choose(rng, 'going off', 'sounding')} {where.words}",
            f"the {choose(rng, 'shrill', 'insistent')} sound of a {kind}",
            f"a {kind} {where.words}",
            f"an alarm sounding {where.words}",
        ),
        told(kind=kind, distance=where.words),
        starts,
        where.level(rng, 0.8),
        render,
    )


def beeps(rng: Generator, seconds: float) -> Plan:
    """Electronic beeps of one pitch."""
    pitch = choose(rng, "low", "high", "very high")
    kind = choose(rng, "short", "long")
    length = min({"short": 0.09, "long": 0.4}[kind] * float(rng.uniform(0.8, 1.2)), 0.8 * seconds)
    events = repeats(rng, seconds, 2.0 * length, most=6, jitter=0.0)
    count = len(events)

    def render() -> Signal:
        low, high = {"low": (250, 500), "high": (900, 1800)}.get(pitch, (2500, 4000))
        frequency = rng.uniform(low, high)
        harmonics = SQUARE if rng.uniform() < 0.4 else [1.0, 0.05, 0.02]
        notes = [(event, length, frequency) for event in events]
        return here(rng, tones(seconds, notes, harmonics))

    return Plan(
        phrases(
            f"{counted(count, f'{kind} {pitch} beep')}",
            f"a machine beeps {times(count)} at a {pitch} pitch",
            f"a {kind} electronic beep {times(count) if count > 1 else ''}",
            f"{pitch} pitched {'beeps' if count > 1 else 'beep'}",
        ),
        told(count=count, kind=kind, pitch=pitch),
        events,
        float(rng.uniform(0.3, 0.8)),
        render,
    )


def siren(rng: Generator, seconds: float) -> Plan:
    """An emergency vehicle's siren, standing or passing with its Doppler shift."""
    kind = choose(rng, "wailing", "yelping", "two-tone")
    vehicle = choose(rng, "police", "ambulance", "fire engine")
    motion = choose(rng, "", "approaching", "passing by") if seconds >= 2 else ""
    where = place(rng)

    def render() -> Signal:
        samples = sample_count(seconds)
        time = clock(samples)
        low, high = rng.uniform(450, 650), rng.uniform(1100, 1500)
        period = {"wailing": rng.uniform(3, 5), "yelping": rng.uniform(0.28, 0.4)}.get(kind, 1.1)
        turn = (time / period + rng.uniform()) % 1.0
        wave = np.where(turn < 0.4, turn / 0.4, (1 - turn) / 0.6)
        pitch = low * (high / low) ** wave
        if kind == "two-tone":
            pitch = np.where(turn < 0.5, 0.8 * low, 1.07 * low)
            pitch = lowpass(pitch - pitch[0], 60, 1) + pitch[0]
        speed, course = np.ones(samples), np.ones(samples)
        if motion:
            middle = 1.15 * seconds if motion == "approaching" else rng.uniform(0.4, 0.6) * seconds
            along, beside = 16.0 * (time - middle), 8.0  # metres, at 16 m/s
            far = np.hypot(along, beside)
            speed = 1 / (1 + 16.0 * along / far / 343)
            course = beside / far
        tone = oscillate(cycles(pitch * speed), rolloff(1500, 0.9, 12_000), 0.3)
        return where.room(rng, saturate(tone, 1.5) * course)

    return Plan(
        phrases(
            f"a {kind} {vehicle} siren {motion} {where.words}",
            f"the {kind} siren of a {vehicle.replace('police', 'police car')} {motion}",
            f"a {vehicle} siren {motion} {where.words}",
            f"a {kind} emergency siren {motion}",
        ),
        told(kind=kind, vehicle=vehicle, motion=motion, distance=where.words),
        (0.0,),
        where.level(rng, 0.9),
        render,
    )


def horn(rng: Generator, seconds: float) -> Plan:
    """Horns of vehicles: two or three steady reeds."""
    vehicle = choose(rng, "car", "truck", "train", "ship")
    kind = choose(rng, "short", "long")
    length = {"short": 0.25, "long": 1.0}[kind] * (2.0 if vehicle == "ship" else 1.0)
    length = min(length * float(rng.uniform(0.8, 1.2)), 0.85 * seconds)
    events, where = repeats(rng, seconds, 1.4 * length, most=3, jitter=0.2), place(rng)
    count = len(events)

    def render() -> Signal:
        base = {"car": 350.0, "truck": 190.0, "train": 280.0}.get(vehicle, 150.0)
        base *= rng.uniform(0.9, 1.1)
        samples = sample_count(length)
        chord = (1.0, 1.19, 1.5) if vehicle in {"train", "ship"} else (1.0, 1.25)
        blast = np.zeros(samples)
        for ratio in chord:
            onset = 1 - 0.04 * np.exp(-clock(samples) * 30)
            blast += oscillate(cycles(base * ratio * onset), rolloff(base, 0.6, 7000), 0.15)
        blast = lowpass(saturate(blast, 2.5), 6000) * gate(samples, 0.03)
        blasts = mix(sample_count(seconds), [(event, blast) for event in events])
        return where.room(rng, surround(rng, blasts, 0.5, 0.2, -60))

    return Plan(
        phrases(
            f"{counted(count, f'{kind} blast')} of a {vehicle} horn {where.words}",
            f"a {vehicle} {choose(rng, 'honks', 'sounds its horn')} {times(count)} {where.words}",
            f"a {kind} {vehicle} horn {where.words}",
            f"the horn of a {vehicle}",
        ),
        told(count=count, kind=kind, vehicle=vehicle, distance=where.words),
        events,
        where.level(rng, 0.9),
        render,
    )


def bell_ring(rng: Generator, seconds: float) -> Signal:
    """A clapper between the two bells of an old telephone."""
    strikes = np.arange(0, seconds, 1 / rng.uniform(20, 26))
    ratios = np.array([1.0, 2.4, 2.9, 4.2, 5.1])
    gains = np.array([1.0, 0.8, 0.7, 0.6, 0.4])
    low = rng.uniform(1050, 1400)
    bells = [
        modes(pitch * ratios, 1.0 / np.sqrt(ratios), gains, sample_count(1.2))
        for pitch in (low, 1.15 * low)
    ]
    blows = [(at, rng.uniform(0.7, 1) * bells[n % 2]) for n, at in enumerate(strikes)]
    return mix(sample_count(seconds + 1.0), blows)


def warble(rng: Generator, seconds: float) -> Signal:
    """An electronic ring: two pitches in quick turn."""
    samples = sample_count(seconds)
    high = (clock(samples) * 20) % 1.0 >= 0.5
    pitch = np.where(high, rng.uniform(1050, 1250), rng.uniform(800, 950))
    return oscillate(cycles(pitch), SQUARE) * gate(samples, 0.01)


def vibration(rng: Generator, seconds: float) -> Signal:
    """The motor of a mobile phone, and its rattle on what it lies on."""
    samples = sample_count(seconds)
    shake = oscillate(rng.uniform(130, 180) * clock(samples), rolloff(170, 1.0, 4000), 0.7)
    shake /= shake.std()
    rattle = bandpass(noise(rng, samples), 800, 5000) * np.maximum(shake, 0)
    return (shake + 0.2 * rattle) * gate(samples, 0.04)


def ringtone(rng: Generator, seconds: float) -> Signal:
    """A short tune of quick notes, over and over."""
    step, base = rng.uniform(0.08, 0.12), rng.uniform(900, 1300)
    tune = rng.choice([0, 4, 7, 9, 12], int(rng.integers(3, 5)))
    notes = []
    for number, onset in enumerate(np.arange(0, seconds - 0.02, step)):
        samples = sample_count(min(step, seconds - onset))
        pitch = base * 2 ** (tune[number % len(tune)] / 12)
        note = oscillate(pitch * clock(samples), [1.0, 0.2, 0.1]) * decay(samples, 0.8, 0.002)
        notes.append((onset, note * gate(samples, 0.003)))
    return mix(sample_count(seconds), notes)


def phone(rng: Generator, seconds: float) -> Plan:
    """Telephones: two bells and a clapper, a warble, a tune, a vibrating mobile."""
    rings = {
        "old telephone": (bell_ring, 1.6, 2.6),
        "office telephone": (warble, 1.0, 1.8),
        "mobile phone": (ringtone, 1.2, 1.8),
        "vibrating mobile phone": (vibration, 0.6, 1.1),
    }
    kind = choose(rng, *rings)
    ring, length, period = rings[kind]
    where = place(rng)
    events = tuple(round(float(t), 4) for t in np.arange(0.02, seconds - 0.05, period))

    def render() -> Signal:
        one = ring(rng, min(length, seconds))
        calls = mix(sample_count(seconds), [(event, one) for event in events])
        return where.room(rng, surround(rng, calls, 0.4, 0.3, -50))

    return Plan(
        phrases(
            f"{choose(rng, 'the ringing of', 'a call on')} a {kind} {where.words}",
            f"an incoming call on a {kind}",
            f"a {kind} {where.words}",
            f"a phone {'buzzing' if 'vibrating' in kind else 'ringing'} {where.words}",
        ),
        told(kind=kind, distance=where.words),
        events,
        where.level(rng, 0.75),
        render,
    )


def laser(rng: Generator, seconds: float) -> Plan:
    """Science-fiction weapon: a fast falling sweep."""
    pitch = choose(rng, "high", "deep", "")
    kind = choose(rng, "laser gun", "ray gun", "blaster")
    events = repeats(rng, seconds, 0.3, most=4)
    count = len(events)

    def render() -> Signal:
        top = {"high": 7000.0, "deep": 3000.0}.get(pitch, 4500.0) * rng.uniform(0.85, 1.15)
        bottom, speed = 0.1 * top, rng.uniform(13, 17)
        samples = sample_count(min(0.45, seconds))
        pitch_curve = bottom + (top - bottom) * np.exp(-speed * clock(samples))
        # Nearly pure: harmonics and noise make a drum machine of the sweep.
        shot = oscillate(cycles(pitch_curve), [1.0, 0.05]) * decay(samples, 0.9, 0.002)
        shot *= gate(samples, 0.01)
        pieces = [(event, rng.uniform(0.8, 1) * shot) for event in events]
        return here(rng, surround(rng, mix(sample_count(seconds), pieces), 0.3, 0.1, -60))

    return Plan(
        phrases(
            f"a {pitch} {kind} firing {times(count)}",
            f"{counted(count, f'{pitch} shot')} from a {kind}",
            f"a science fiction {kind}",
            f"{choose(rng, 'laser', 'energy weapon')} {'shots' if count > 1 else 'shot'} in a space battle",
        ),
        told(pitch=pitch, kind=kind, repeats=times(count)),
        events,
        float(rng.uniform(0.4, 0.85)),
        render,
    )


def pickup(rng: Generator, seconds: float) -> Plan:
    """Sounds of an arcade game: short runs of notes of a narrow pulse wave."""
    kind = choose(rng, "coin", "power-up", "game over", "jump")
    events = repeats(rng, seconds, 0.9, most=2, jitter=0.0)

    def render() -> Signal:
        base = rng.uniform(400, 800)
        if kind == "jump":
            samples = sample_count(min(0.3, seconds))
            steps = np.floor(15 * clock(samples)) / 15  # a console moves the pitch in steps
            tone = oscillate(cycles(base * 1.5 * 2 ** (steps / 0.3)), QUARTER)
            tone *= decay(samples, 2.0, 0.002) * gate(samples, 0.003)
            return mix(sample_count(seconds), [(event, tone) for event in events])
        steps, each = {
            "coin": ((12, 17), 0.07),
            "power-up": ((0, 4, 7, 12, 16, 19), 0.05),
        }.get(kind, ((7, 4, 2, 0, -5), 0.1))
        pieces = []
        for event in events:
            for number, step in enumerate(steps):
                last = number == len(steps) - 1
                samples = sample_count(0.4 if last else each)
                phase = base * 2 ** (step / 12) * clock(samples)
                tone = oscillate(phase, QUARTER) * decay(samples, 0.7 if last else 2.0, 0.002)
                pieces.append((event + number * each, tone * gate(samples, 0.003)))
        return mix(sample_count(seconds), pieces)

    return Plan(
        phrases(
            f"a retro {kind} sound from a video game",
            f"an arcade {kind} {choose(rng, 'effect', 'jingle')}",
            f"an 8-bit {kind} sound effect",
            "a chiptune game sound",
        ),
        told(kind=kind),
        events,
        float(rng.uniform(0.3, 0.7)),
        render,
    )


def zap(rng: Generator, seconds: float) -> Plan:
    """An electric arc: broadband sparks in the rhythm of the mains."""
    kind = choose(rng, "short circuit", "high voltage line", "loose wire")
    course = choose(rng, "sparking", "buzzing and crackling")
    events = spaced(rng, seconds, float(rng.uniform(0.35, 0.8)), 0.4)

    def render() -> Signal:
        samples = sample_count(seconds)
        time = clock(samples)
        envelope = np.zeros(samples)
        for event in events:
            length = rng.uniform(0.15, 0.5)
            since = time - event
            fall = np.sqrt(np.clip(1 - since / length, 0, 1))
            envelope += rng.uniform(0.5, 1) * (since >= 0) * fall
        mains = rng.choice([100.0, 120.0])
        pulses = np.exp(-6 * ((time * mains) % 1.0)) * (0.3 + curve(rng, samples, 200) ** 2)
        arc = highpass(noise(rng, samples), 800) * pulses * envelope
        buzz = oscillate(mains * time, rolloff(mains, 0.7, 6000), 0.4)
        # The mains are heard between the sparks too; sparks alone pass for torn paper.
        level = 0.5 * envelope + (0.7 if course == "buzzing and crackling" else 0.55)
        onsets = poisson(rng, seconds, 500)
        snaps = [burst(rng, rng.uniform(0.001, 0.006), 1500, 16_000, 0.0001) for _ in range(12)]
        weights = rng.pareto(1.8, len(onsets)) * (np.interp(onsets, time, envelope) + 0.15)
        crackle = tame(scatter(rng, samples, onsets, weights, snaps), 12)
        audio = arc / arc.std() + level * buzz / buzz.std() + 3 * crackle / crackle.std()
        return here(rng, surround(rng, audio, 0.3, 0.2, -50))

    return Plan(
        phrases(
            f"an electric zap from a {kind} {course}",
            f"a {kind} {course}",
            f"electricity {course}",
            f"{choose(rng, 'electric sparks', 'an electrical discharge')} from a {kind}",
        ),
        told(kind=kind, course=course),
        events,
        float(rng.uniform(0.4, 0.85)),
        render,
    )


def static(rng: Generator, seconds: float) -> Plan:
    """Noise of a receiver without a station."""
    kind = choose(rng, "radio", "television", "walkie talkie")
    course = choose(rng, "steady", "crackling", "fading")

    def render() -> Signal:
        samples = sample_count(seconds)
        low, high = {"radio": (200, 6000), "television": (100, 14_000)}.get(kind, (500, 3500))
        audio = bandpass(noise(rng, samples), low, high, 2)
        if course == "fading":
            audio *= 0.25 + 0.75 * curve(rng, samples, 1.5)
        if course == "crackling":
            onsets = poisson(rng, seconds, 40)
            pops = [burst(rng, rng.uniform(0.001, 0.01), low, high, 0.0001) for _ in range(10)]
            crackle = scatter(rng, samples, onsets, rng.pareto(1.8, len(onsets)), pops)
            audio = 0.4 * audio / audio.std() + crackle / (crackle.std() + 1e-9)
        return tame(audio, 7.0)

    return Plan(
        phrases(
            f"{course} {kind} static",
            f"static noise from a {kind}",
            f"the {choose(rng, 'hiss', 'white noise')} of a {kind} without signal",
            f"{course} static",
        ),
        told(kind=kind, course=course),
        (0.0,),
        float(rng.uniform(0.25, 0.7)),
        render,
    )
