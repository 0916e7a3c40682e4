"""Procedural families of people whose sounds are not words."""

import numpy as np

from woosh.procedural.plan import Plan, choose, counted, here, phrases, repeats, spaced, told
from woosh.procedural.synthesis import (
    Signal,
    bandpass,
    curve,
    cycles,
    frame_count,
    mix,
    noise,
    peaks,
    ramp,
    sample_count,
    shape,
    surround,
    swell,
)
from woosh.procedural.voices import voice

Generator = np.random.Generator


def snore(rng: Generator, seconds: float) -> Plan:
    """The soft palate flaps as breath is drawn in; the breath out only hisses."""
    how = choose(rng, "loudly", "softly", "")
    gap = float(rng.uniform(2.2, 3.4))
    events = spaced(rng, seconds, gap, 0.08)
    count = len(events)

    def render() -> Signal:
        rate = rng.uniform(28, 55)
        breath = {"loudly": 0.25, "softly": 0.6}.get(how, 0.4)
        pieces = []
        for event in events:
            samples = sample_count(0.45 * gap)
            flap = cycles(
                rate * ramp(samples, 0.8, 1.1, 1.0, 0.8) * curve(rng, samples, 25, 0.8, 1.2)
            )
            air = noise(rng, samples, 0.5)
            source = np.exp(-6 * (flap % 1.0)) * (1 + 0.8 * air) + 0.3 * breath * air
            frames = frame_count(samples)
            centres = np.tile([280.0, 750.0, 1500.0, 2600.0], (frames, 1)) * rng.uniform(0.9, 1.1)
            widths, strengths = np.array([150.0, 250, 400, 600]), np.array([1.0, 0.7, 0.4, 0.25])
            drawn = shape(source - source.mean(), peaks(centres, widths, strengths))
            pieces.append((event, drawn / drawn.std() * swell(samples, 0.55, 1.0)))
            out = sample_count(0.35 * gap)
            sigh = bandpass(noise(rng, out), 400, 3000) * swell(out, 0.3, 1.2)
            pieces.append((event + 0.55 * gap, 0.4 * breath * sigh))
        breaths = mix(sample_count(seconds), pieces)
        return here(rng, surround(rng, breaths, rng.uniform(0.2, 0.4), 0.25, -48.0))

    return Plan(
        phrases(
            f"a person snoring {how}, {counted(count, 'breath')}",
            f"someone {choose(rng, 'asleep and snoring', 'snoring')} {how}",
            f"a person snoring {how}",
            "a person snoring",
        ),
        told(how=how, breaths=counted(count, "breath")),
        events,
        float(rng.uniform(0.7, 0.95)) * {"softly": 0.4}.get(how, 1.0),
        render,
    )


def burp(rng: Generator, seconds: float) -> Plan:
    """Air from the stomach opens the gullet in slow uneven pulses; the mouth opens and closes."""
    how = choose(rng, "loud", "long", "short", "")
    person = choose(rng, "man", "woman", "person")
    length = {"long": 1.3, "short": 0.4}.get(how, 0.8) * float(rng.uniform(0.85, 1.15))
    length = min(length, 0.85 * seconds)
    events = repeats(rng, seconds, length + 0.4, most=2)
    count = len(events)

    def render() -> Signal:
        size = {"woman": 1.12}.get(person, 0.95) * rng.uniform(0.9, 1.1)
        rate = size * rng.uniform(40, 85)
        shut, wide = (350, 900, 2300, 3200), (650, 1100, 2450, 3400)
        mouth = np.array([shut, wide, wide, (450, 850, 2300, 3200)]) * size
        pieces = []
        for event in events:
            samples = sample_count(length * rng.uniform(0.85, 1.0))
            course = rate * ramp(samples, 0.8, 1.1, 1.0, 0.95, 0.7)
            opening = cycles(course * curve(rng, samples, 25, 0.75, 1.25)) % 1.0
            air = noise(rng, samples, 0.5)
            source = np.exp(-6 * opening) * (1 + 0.6 * air) * curve(rng, samples, 40, 0.3, 1.0)
            source += 0.04 * air
            frames = frame_count(samples)
            moments = np.linspace(0, frames - 1, len(mouth))
            centres = np.stack(
                [np.interp(np.arange(frames), moments, track) for track in mouth.T], axis=1
            )
            gains = peaks(centres, 70 + 0.1 * centres, np.array([1.0, 0.8, 0.4, 0.3])) + 0.01
            belch = shape(source - source.mean(), gains)
            level = ramp(samples, 0.0, 0.9, 1.0, 0.9, 0.8, 0.5, 0.0)
            pieces.append((event, belch / belch.std() * level * rng.uniform(0.7, 1.0)))
        burps = mix(sample_count(seconds), pieces)
        return here(rng, surround(rng, burps, rng.uniform(0.2, 0.4), 0.25, -48.0))

    return Plan(
        phrases(
            f"{counted(count, f'{how} burp')} of a {person}",
            f"a {person} {choose(rng, 'burping', 'letting out a burp', 'who burps')}",
            f"a {how} burp" if count == 1 else f"{how} burps",
            f"a burping {person}",
        ),
        told(how=how, person=person, burps=count),
        events,
        {"loud": 0.95}.get(how, 0.7) * float(rng.uniform(0.85, 1.0)),
        render,
    )


def bouts(rng: Generator, seconds: float, rate: float) -> list[tuple[float, ...]]:
    """Onsets of the syllables of laughs, `rate` a second and slowing down, one tuple for each laugh."""
    result, start = [], 0.03
    while not result or start < seconds - 0.5:
        steps = np.arange(int(rng.integers(4, 10)))
        gaps = rng.uniform(0.93, 1.07, len(steps)) * (1 + 0.02 * steps) / rate
        onsets = start + np.cumsum(gaps) - gaps[0]
        result.append(tuple(round(float(o), 4) for o in onsets if o < seconds - 0.1))
        start = float(onsets[-1] + gaps[-1]) + float(rng.uniform(0.4, 0.8))
    return result


def laugh(rng: Generator, seconds: float) -> Plan:
    """Ha-ha-ha: puffs of breath and short falling vowels, ever weaker, then a breath in."""
    person = choose(rng, "man", "man", "woman")
    how = choose(rng, "loudly", "heartily", "quietly", "")
    rate = float(rng.uniform(*{"woman": (5.0, 6.5)}.get(person, (4.0, 6.0))))
    laughs = bouts(rng, seconds, rate)

    def render() -> Signal:
        high = person == "woman"
        base = rng.uniform(270, 390) if high else rng.uniform(130, 210)
        tilt, breath, drop = (0.55, 0.75, 0.45) if high else (0.95, 0.42, 0.32)
        size = rng.uniform(0.95, 1.1) if high else rng.uniform(0.9, 1.06)
        wide = tuple(size * f for f in (720, 1250, 2600, 3500))
        mouth = [wide, tuple(size * f for f in (620, 1150, 2500, 3500))]
        pieces = []
        for onsets in laughs:
            own = base * rng.uniform(0.9, 1.12)
            for number, onset in enumerate(onsets):
                step, tired = rng.uniform(0.95, 1.05) / rate, number / len(onsets)
                level = (0.7 if number == 0 else 1.0 - 0.6 * tired) * rng.uniform(0.8, 1.1)
                puff = sample_count(0.5 * step)
                air = voice(rng, np.full(puff, 0.7 * own), [wide, wide], 1.0, 12.0)
                vowel = sample_count(0.5 * step)
                course = own * (1.15 - drop * tired) * ramp(vowel, 0.92, 1.12, 1.0, 0.8)
                tone = voice(rng, course, mouth, tilt, breath, 0.14) * swell(vowel, 0.3, 0.8)
                pieces.append((onset, 0.15 * level * air * swell(puff, 0.6, 1.0)))
                pieces.append((onset + 0.43 * step, level * tone))
            gasp = sample_count(0.35)
            throat = (500.0, 1500.0, 2600.0, 3600.0)
            inhale = voice(rng, np.full(gasp, base), [throat, throat], 1.0, 15.0)
            end = onsets[-1] + 1 / rate + 0.08
            pieces.append((end, rng.uniform(0.04, 0.08) * inhale * swell(gasp, 0.5, 1.3)))
        audio = mix(sample_count(seconds), pieces)
        return surround(rng, audio, rng.uniform(0.2, 0.5), rng.uniform(0.3, 0.4), -34.0)

    return Plan(
        phrases(
            f"a {person} laughing {how}",
            f"a {person} {choose(rng, 'laughs', 'bursts out laughing', 'cannot stop laughing')}",
            f"the {choose(rng, 'laughter', 'laugh')} of a {person}",
            f"{choose(rng, 'laughter', 'someone laughing', 'ha-ha-ha, laughter')}",
        ),
        told(person=person, how=how),
        tuple(onsets[0] for onsets in laughs),
        float(rng.uniform(0.7, 0.95)) * {"quietly": 0.4}.get(how, 1.0),
        render,
    )
