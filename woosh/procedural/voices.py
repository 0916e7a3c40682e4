"""Procedural families of people and animals: a glottal source through moving formants."""

from collections.abc import Sequence

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
    bubble,
    burst,
    clock,
    curve,
    cycles,
    frame_count,
    gate,
    lowpass,
    mix,
    noise,
    oscillate,
    peaks,
    ramp,
    rolloff,
    sample_count,
    shape,
    surround,
    swell,
)

Generator = np.random.Generator


def voice(
    rng: Generator,
    pitch: Signal,
    formants: Sequence[tuple[float, ...]],
    tilt: float = 1.0,
    breath: float = 0.1,
    rough: float = 0.0,
) -> Signal:
    """Source-filter voice (Fant 1960).

    Args:
        rng: source of jitter and breath.
        pitch: fundamental in Hz, (S,).
        formants: one tuple of formant frequencies in Hz per equally spaced moment.
        tilt: harmonics of the source fall as k ** -tilt.
        breath: noise added to the source, relative to its level.
        rough: depth of irregular pitch and of every second pulse being weaker (0 to 1).

    Returns:
        (S,) of unit standard deviation.
    """
    samples = len(pitch)
    jitter = 1 + (0.004 + 0.06 * rough) * curve(rng, samples, 90, -1, 1)
    phase = cycles(pitch * jitter)
    source = oscillate(phase, rolloff(float(pitch.max()), tilt), 0.05)
    source = source / source.std() * (1 + rough * np.cos(np.pi * phase))
    source += breath * noise(rng, samples) * (1 + 0.5 * np.cos(2 * np.pi * phase))
    frames = frame_count(samples)
    knots = np.linspace(0, frames - 1, len(formants))
    centres = np.stack(
        [np.interp(np.arange(frames), knots, track) for track in zip(*formants, strict=True)],
        axis=1,
    )
    strengths = 0.75 ** np.arange(centres.shape[1])
    audio = shape(source, peaks(centres, 90 + 0.09 * centres, strengths) + 0.01)
    return audio / (audio.std() + 1e-12)


def bark(rng: Generator, size: str, pitch: float, length: float) -> Signal:
    """One bark: the mouth opens and closes while a rough voice rises and falls."""
    samples = sample_count(length)
    scale = {"small": 1.5, "large": 0.75}.get(size, 1.0)
    course = pitch * ramp(samples, 0.75, 1.15, 1.1, 0.9, 0.6) * rng.uniform(0.95, 1.05)
    mouth = [
        tuple(scale * f for f in moment)
        for moment in ((450, 1100, 2500, 3800), (900, 1650, 2900, 4200), (550, 1150, 2500, 3700))
    ]
    audio = voice(rng, course, mouth, 0.7, 0.7, 0.6)
    return audio * swell(samples, 0.22, 1.3) * rng.uniform(0.8, 1.0)


def dog(rng: Generator, seconds: float) -> Plan:
    """A dog barks."""
    size = choose(rng, "small", "large", "")
    length = {"small": 0.13, "large": 0.24}.get(size, 0.18) * float(rng.uniform(0.85, 1.2))
    length = min(length, 0.8 * seconds)
    events, where = (
        repeats(rng, seconds, length + float(rng.uniform(0.15, 0.3)), most=5),
        place(rng),
    )
    count = len(events)

    def render() -> Signal:
        pitch = {"small": 720.0, "large": 380.0}.get(size, 500.0) * rng.uniform(0.85, 1.2)
        pieces = [(event, bark(rng, size, pitch, length)) for event in events]
        barks = mix(sample_count(seconds), pieces)
        return where.room(rng, surround(rng, barks, rng.uniform(0.2, 0.6)))

    return Plan(
        phrases(
            f"a {size} dog barks {times(count)} {where.words}",
            f"{counted(count, 'bark')} of a {size} dog {where.words}",
            f"a {size} dog barking {where.words}",
            f"{choose(rng, 'a dog barking', 'the bark of a dog', 'barking')} {where.words}",
        ),
        told(size=size, repeats=times(count), distance=where.words),
        events,
        where.level(rng, 0.9),
        render,
    )


def crow(rng: Generator, length: float) -> Signal:
    """One cock-a-doodle-doo: two notes, a break, then a long one that falls at its end."""
    samples = sample_count(length)
    position = np.linspace(0, 1, samples)
    moments = (0, 0.08, 0.12, 0.16, 0.18, 0.25, 0.29, 0.33, 0.85, 0.93, 1)
    tones = (0.8, 0.85, 0.68, 0.78, 1.0, 0.98, 0.75, 1.0, 0.98, 0.9, 0.7)
    levels = (0.0, 0.5, 0.05, 0.05, 1.0, 0.8, 0.12, 0.8, 0.6, 0.3, 0.0)
    pitch = rng.uniform(690, 790) * np.interp(position, moments, tones)
    pitch *= 1 + 0.02 * curve(rng, samples, 100, -1, 1)
    # The throat rings near the second harmonic, well over the fundamental.
    strengths = np.array([0.4, 1.0, 0.15, 0.18, 0.12, 0.12, 0.07, 0.06, 0.05, 0.04])
    phase = cycles(pitch)
    rough = 0.35 * np.interp(position, moments, (0.6, 0.3, 1, 1, 0.1, 0.5, 1, 0.1, 0, 0.6, 1))
    tone = oscillate(phase, strengths * rng.uniform(0.7, 1.3, 10), 0.05)
    tone = tone * (1 + rough * np.cos(np.pi * phase))
    air = bandpass(noise(rng, samples), 1000, 5000)
    return (tone + 0.08 * air) * np.interp(position, moments, levels)


def rooster(rng: Generator, seconds: float) -> Plan:
    """Cock-a-doodle-doo: two short notes, a rising one, a long falling one."""
    where = place(rng)
    length = min(float(rng.uniform(1.5, 2.3)), 0.95 * seconds)
    gap = length + float(rng.uniform(0.8, 1.5))
    events = spaced(rng, seconds, gap, 0.1)
    events = tuple(event for event in events if event + 0.6 * length < seconds) or events[:1]
    count = len(events)

    def render() -> Signal:
        crows = [(event, crow(rng, length)) for event in events]
        audio = mix(sample_count(seconds), crows)
        return where.room(rng, surround(rng, audio, rng.uniform(0.3, 0.7)))

    return Plan(
        phrases(
            f"a rooster crows {times(count)} {where.words}",
            f"a {choose(rng, 'rooster', 'cockerel')} crowing {where.words}",
            f"a rooster crowing {choose(rng, 'in the morning', 'at dawn', 'on a farm')}",
            f"cock-a-doodle-doo {where.words}",
        ),
        told(repeats=times(count), distance=where.words),
        events,
        where.level(rng, 0.9),
        render,
    )


def baby(rng: Generator, seconds: float) -> Plan:
    """An infant cries: long falling wails, each followed by a quick breath in."""
    mood = choose(rng, "loudly", "softly", "")
    where = place(rng)
    gap = float(rng.uniform(0.9, 1.4))
    events = spaced(rng, seconds, gap, 0.12)

    def render() -> Signal:
        base = rng.uniform(370, 480)
        strain = {"loudly": 0.3, "softly": 0.05}.get(mood, 0.15)
        pieces = []
        for number, event in enumerate(events):
            end = events[number + 1] if number + 1 < len(events) else event + gap
            samples = sample_count(0.76 * (end - event))
            course = (
                base * ramp(samples, 0.8, 1.12, 1.15, 1.05, 1.0, 0.75) * rng.uniform(0.93, 1.08)
            )
            course = course * (1 + 0.015 * np.sin(2 * np.pi * rng.uniform(5, 8) * clock(samples)))
            mouth = [(800, 1500, 3300, 4800), (1150, 1900, 3700, 5300), (900, 1500, 3300, 4700)]
            wail = voice(rng, course, mouth, 0.8, 0.05, strain) * swell(samples, 0.3, 0.7)
            air = sample_count(0.16 * (end - event))
            inhale = bandpass(noise(rng, air), 1000, 5000) * swell(air, 0.6, 1.5)
            pieces += [(event, wail), (event + 0.8 * (end - event), 0.2 * inhale)]
        return where.room(rng, mix(sample_count(seconds), pieces))

    return Plan(
        phrases(
            f"a baby crying {mood} {where.words}",
            f"{choose(rng, 'an infant wailing', 'a newborn crying')} {mood} {where.words}",
            f"a baby {choose(rng, 'crying', 'wailing', 'in tears')} {where.words}",
            f"the cry of a {choose(rng, 'baby', 'small child')}",
        ),
        told(mood=mood, distance=where.words),
        events,
        where.level(rng, {"loudly": 1.0, "softly": 0.5}.get(mood, 0.8)),
        render,
    )


def sneeze(rng: Generator, seconds: float) -> Plan:
    """A breath in, a burst of air between the teeth, a short falling voice."""
    person = choose(rng, "man", "woman", "child", "person")
    force = choose(rng, "loud", "quiet", "")
    inhale = min(float(rng.uniform(0.25, 0.7)), 0.35 * seconds)
    events = (0.01, round(0.01 + inhale, 4))

    def render() -> Signal:
        pitch = {"man": 190.0, "woman": 330.0, "child": 420.0}.get(person, 260.0)
        pitch *= rng.uniform(0.9, 1.15)
        scale = {"man": 0.9, "woman": 1.1, "child": 1.3}.get(person, 1.0)
        samples = sample_count(inhale)
        gasp = bandpass(noise(rng, samples), 1500, 6000) * swell(samples, 0.7, 1.0)
        blast = sample_count(rng.uniform(0.16, 0.26))
        spray = bandpass(noise(rng, blast), 2500, 8000) + bandpass(noise(rng, blast), 350, 4000)
        spray *= ramp(blast, 1.0, 0.9, 0.5, 0.25) * gate(blast, 0.006)
        tail = sample_count(rng.uniform(0.12, 0.22))
        mouth = [
            (scale * 450, scale * 1000, scale * 2500),
            (scale * 370, scale * 850, scale * 2400),
        ]
        choo = voice(rng, pitch * ramp(tail, 1.25, 1.1, 0.9), mouth, 1.2, 0.4, 0.1)
        choo *= swell(tail, 0.25, 1.0)
        at = events[1]
        pieces = [(events[0], 0.06 * gasp), (at, spray), (at + 0.8 * blast / RATE, 0.35 * choo)]
        audio = mix(sample_count(seconds), pieces)
        return here(rng, surround(rng, audio, rng.uniform(0.2, 0.5)))

    return Plan(
        phrases(
            f"a {force} sneeze of a {person}",
            f"a {person} sneezing {force and force + 'ly'}",
            f"a {person} {choose(rng, 'sneezes', 'sneezes once', 'lets out a sneeze')}",
            f"a {force} {choose(rng, 'human sneeze', 'achoo', 'sneeze')}",
        ),
        told(person=person, force=force),
        events,
        {"loud": 0.95, "quiet": 0.35}.get(force, 0.7) * float(rng.uniform(0.9, 1.0)),
        render,
    )


def cat(rng: Generator, seconds: float) -> Plan:
    """A cat meows: the mouth opens and closes over an arched voice."""
    mood = choose(rng, "hungry", "small", "angry", "")
    length = min(float(rng.uniform(0.6, 1.1)), 0.9 * seconds)
    events = repeats(rng, seconds, length + 0.25, most=3)
    count = len(events)

    def render() -> Signal:
        base = {"small": 800.0, "angry": 420.0}.get(mood, 560.0) * rng.uniform(0.9, 1.15)
        pieces = []
        for event in events:
            samples = sample_count(length)
            course = (
                base * ramp(samples, 0.85, 1.0, 1.05, 1.05, 1.0, 0.95) * rng.uniform(0.95, 1.05)
            )
            mouth = [
                (600, 1200, 2900, 4200),
                (1400, 2100, 3300, 4600),
                (1700, 2500, 3600, 5000),
                (1700, 2400, 3500, 5000),
                (1300, 2200, 3300, 4800),
                (900, 1500, 2900, 4400),
                (650, 1200, 2800, 4200),
            ]
            rough = 0.4 if mood == "angry" else 0.06
            meow = voice(rng, course, mouth, 1.0, 0.08, rough)
            meow *= ramp(samples, 0.0, 0.25, 0.7, 1.0, 0.7, 0.3, 0.15, 0.0)
            pieces.append((event, meow))
        meows = mix(sample_count(seconds), pieces)
        return here(rng, surround(rng, meows, rng.uniform(0.2, 0.6)))

    return Plan(
        phrases(
            f"a {mood} cat meows {times(count)}",
            f"{counted(count, 'meow')} of a {mood} cat",
            f"a {mood} cat {choose(rng, 'meowing', 'mewing')}",
            "a cat",
        ),
        told(mood=mood, repeats=times(count)),
        events,
        float(rng.uniform(0.4, 0.8)),
        render,
    )


def heartbeat(rng: Generator, seconds: float) -> Plan:
    """Lub and dub, two dull thuds per beat."""
    pace = choose(rng, "slow", "fast", "calm")
    period = {"slow": 1.15, "fast": 0.5, "calm": 0.85}[pace] * float(rng.uniform(0.93, 1.07))
    events = spaced(rng, seconds, period, 0.02)

    def render() -> Signal:
        lub = bubble(rng.uniform(48, 62), 0.16, -0.3)
        dub = 0.7 * bubble(rng.uniform(62, 78), 0.12, -0.3)
        lub = mix(len(lub), [(0, lub), (0, 0.15 * burst(rng, 0.08, 60, 400))])
        second = 0.3 * period**0.5
        pieces = [(event, lub) for event in events]
        pieces += [(event + second, dub) for event in events]
        return lowpass(mix(sample_count(seconds), pieces), 500)

    return Plan(
        phrases(
            f"a {pace} heartbeat",
            f"a human heart beating at a {pace} pace",
            f"{choose(rng, 'a heart beating', 'the thump of a beating heart')}",
            f"a {pace} {choose(rng, 'beating heart', 'pulse of a heart')}",
        ),
        told(pace=pace),
        events,
        float(rng.uniform(0.4, 0.85)),
        render,
    )


def cough(rng: Generator, seconds: float) -> Plan:
    """A burst of air, then a short rough voice."""
    person = choose(rng, "man", "woman", "child")
    events = repeats(rng, seconds, 0.42, most=3)
    count = len(events)

    def render() -> Signal:
        scale = {"man": 0.9, "woman": 1.1, "child": 1.3}[person]
        pitch = {"man": 170.0, "woman": 280.0, "child": 380.0}[person] * rng.uniform(0.85, 1.15)
        open_throat = tuple(scale * f for f in (550, 1350, 2700, 3800))
        closed = tuple(scale * f for f in (400, 1000, 2500, 3600))
        pieces = []
        for event in events:
            blow = burst(rng, 0.09, 250, 6000, 0.002)
            air = sample_count(rng.uniform(0.16, 0.26))
            rush = voice(rng, np.full(air, 0.5 * pitch), [open_throat, open_throat], 1.0, 8.0, 0.5)
            rush *= ramp(air, 1.0, 0.6, 0.45, 0.35) * gate(air, 0.006)
            end = sample_count(rng.uniform(0.1, 0.16))
            tone = voice(
                rng, pitch * ramp(end, 1.2, 1.1, 0.8), [open_throat, closed], 1.0, 0.5, 0.4
            )
            tone *= swell(end, 0.3, 1.0)
            voiced = event + 0.9 * air / RATE
            pieces += [(event, 2.0 * blow), (event, rush), (voiced, rng.uniform(0.3, 0.9) * tone)]
        audio = mix(sample_count(seconds), pieces)
        return here(rng, surround(rng, audio, rng.uniform(0.2, 0.5)))

    return Plan(
        phrases(
            f"a {person} coughs {times(count)}",
            f"{counted(count, 'cough')} from a {person}",
            f"a {person} coughing",
            f"{choose(rng, 'coughing', 'a cough', 'someone coughing')}",
        ),
        told(person=person, repeats=times(count)),
        events,
        float(rng.uniform(0.4, 0.85)),
        render,
    )
