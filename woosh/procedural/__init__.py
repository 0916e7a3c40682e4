"""Sound effects made by rule, with captions that are exactly true: data that needs no download.

Each family is one function in the module of its theme. It draws the parameters of a
sound and returns a `Plan`; only the plan's `render` makes samples, so captions alone cost next to
nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from woosh.procedural import (
    animals,
    birds,
    creatures,
    hits,
    horses,
    household,
    impacts,
    kitchen,
    loud,
    machines,
    nature,
    objects,
    people,
    ripping,
    running_water,
    signals,
    small_things,
    tools,
    vehicles,
    voices,
)
from woosh.procedural.plan import Plan, choose, counted
from woosh.procedural.synthesis import Signal, gate, sample_count

SHORTEST, LONGEST = 0.3, 10.0  # seconds


@dataclass(frozen=True)
class ProceduralSound:
    """One sound with what is known about it.

    Attributes:
        audio: float32, (S,), 48 kHz, peak between 0.1 and 1.
        captions: three or more texts, lower case; the first names every parameter.
        family: name of the generator.
        seconds: length.
        events: onsets in seconds; continuous sounds give their start, and changes.
        parameters: what was drawn, in the words of the first caption (counts as integers).
    """

    audio: np.ndarray
    captions: tuple[str, ...]
    family: str
    seconds: float
    events: tuple[float, ...]
    parameters: Mapping[str, str | int]


@dataclass(frozen=True)
class Family:
    """A generator, the range of its default length in seconds, and whether a pause may go first."""

    plan: Callable[[np.random.Generator, float], Plan]
    shortest: float
    longest: float
    delayed: bool = False


_TABLE = {
    "impact": Family(impacts.impact, 0.6, 2.5, True),
    "knock": Family(impacts.knock, 0.7, 2.5, True),
    "door slam": Family(impacts.door_slam, 0.8, 2.0, True),
    "glass shatter": Family(impacts.glass_shatter, 0.9, 2.5, True),
    "coin": Family(impacts.coin, 0.8, 2.0, True),
    "ball": Family(impacts.ball, 1.2, 3.0, True),
    "bell": Family(impacts.bell, 1.5, 5.0, True),
    "gunshot": Family(impacts.gunshot, 0.7, 3.0, True),
    "explosion": Family(impacts.explosion, 1.5, 4.0, True),
    "footsteps": Family(objects.footsteps, 2.0, 8.0),
    "clock": Family(objects.clock_ticking, 3.0, 10.0),
    "typing": Family(objects.typing, 2.0, 8.0),
    "applause": Family(objects.applause, 3.0, 10.0),
    "scissors": Family(objects.scissors, 0.6, 2.5, True),
    "paper": Family(objects.paper, 0.8, 3.0),
    "creak": Family(objects.creak, 0.8, 3.0),
    "whoosh": Family(objects.whoosh, 0.5, 2.0, True),
    "rain": Family(nature.rain, 3.0, 10.0),
    "wind": Family(nature.wind, 3.0, 10.0),
    "waves": Family(nature.waves, 5.0, 10.0),
    "fire": Family(nature.fire, 3.0, 10.0),
    "thunder": Family(nature.thunder, 2.5, 7.0, True),
    "stream": Family(nature.stream, 3.0, 10.0),
    "bubbles": Family(nature.bubbles, 1.5, 6.0),
    "drips": Family(nature.drips, 2.0, 8.0),
    "splash": Family(nature.splash, 0.8, 2.5, True),
    "engine": Family(machines.engine, 3.0, 10.0),
    "helicopter": Family(machines.helicopter, 3.0, 10.0),
    "chainsaw": Family(machines.chainsaw, 3.0, 10.0),
    "siren": Family(signals.siren, 3.0, 10.0),
    "alarm": Family(signals.alarm, 1.5, 6.0),
    "beeps": Family(signals.beeps, 0.5, 2.5, True),
    "laser": Family(signals.laser, 0.4, 1.8, True),
    "zap": Family(signals.zap, 0.8, 3.0),
    "hum": Family(machines.hum, 3.0, 10.0),
    "static": Family(signals.static, 2.0, 8.0),
    "phone": Family(signals.phone, 2.0, 6.0),
    "horn": Family(signals.horn, 0.8, 3.0, True),
    "appliance": Family(machines.appliance, 3.0, 10.0),
    "arcade": Family(signals.pickup, 0.6, 1.8, True),
    "dog": Family(voices.dog, 0.5, 3.0, True),
    "rooster": Family(voices.rooster, 1.8, 4.0, True),
    "baby": Family(voices.baby, 2.5, 8.0),
    "sneeze": Family(voices.sneeze, 0.9, 1.8, True),
    "cough": Family(voices.cough, 0.6, 2.0, True),
    "cat": Family(voices.cat, 0.8, 2.5, True),
    "bird": Family(creatures.bird, 1.5, 6.0),
    "owl": Family(creatures.owl, 1.2, 4.0),
    "frog": Family(creatures.frog, 0.8, 4.0),
    "crickets": Family(creatures.crickets, 3.0, 10.0),
    "swarm": Family(creatures.swarm, 3.0, 10.0),
    "heartbeat": Family(voices.heartbeat, 2.0, 8.0),
    "sheep": Family(animals.sheep, 0.9, 4.0, True),
    "crow": Family(birds.crow, 0.8, 4.0, True),
    "seagull": Family(birds.seagull, 1.0, 5.0),
    "hen": Family(birds.hen, 2.0, 8.0),
    "wolf": Family(animals.wolf, 2.5, 6.0),
    "gong": Family(loud.gong, 3.0, 8.0),
    "steam whistle": Family(loud.steam_whistle, 2.0, 5.0),
    "machine gun": Family(loud.machine_gun, 1.5, 5.0),
    "cow": Family(animals.cow, 1.5, 5.0, True),
    "duck": Family(birds.duck, 0.8, 4.0, True),
    "snore": Family(people.snore, 3.0, 10.0),
    "pig": Family(animals.pig, 1.0, 5.0),
    "motorcycle": Family(vehicles.motorcycle, 3.0, 10.0),
    "jet": Family(vehicles.jet, 3.0, 10.0),
    "drill": Family(tools.drill, 2.5, 8.0),
    "air hiss": Family(tools.air_hiss, 1.0, 5.0),
    "camera": Family(small_things.camera, 0.6, 2.5, True),
    "doorbell": Family(small_things.doorbell, 1.5, 4.0, True),
    "bicycle bell": Family(small_things.bicycle_bell, 0.8, 3.0, True),
    "waterfall": Family(running_water.waterfall, 3.0, 10.0),
    "tap": Family(running_water.tap, 3.0, 10.0),
    "burp": Family(people.burp, 0.6, 3.0, True),
    "purr": Family(animals.purr, 3.0, 10.0),
    "pigeon": Family(birds.pigeon, 2.0, 8.0),
    "trot": Family(horses.trot, 2.5, 8.0),
    "laugh": Family(people.laugh, 1.5, 6.0),
    "neigh": Family(horses.neigh, 1.5, 5.0, True),
    "bee": Family(creatures.bee, 2.0, 8.0),
    "spring": Family(small_things.spring, 0.9, 3.0, True),
    "vacuum cleaner": Family(household.vacuum_cleaner, 3.0, 10.0),
    "hair dryer": Family(household.hair_dryer, 3.0, 10.0),
    "sewing machine": Family(household.sewing_machine, 3.0, 10.0),
    "airplane": Family(vehicles.airplane, 3.0, 10.0),
    "saw": Family(tools.saw, 2.5, 8.0),
    "hammer": Family(tools.hammer, 1.5, 6.0),
    "ratchet": Family(tools.ratchet, 2.0, 7.0),
    "frying": Family(kitchen.frying, 3.0, 10.0),
    "pouring": Family(kitchen.pouring, 2.5, 7.0),
    "boiling": Family(kitchen.boiling, 3.0, 10.0),
    "toilet flush": Family(running_water.toilet_flush, 3.0, 8.0),
    "chopping": Family(kitchen.chopping, 1.5, 6.0),
    "zipper": Family(ripping.zipper, 0.8, 4.0, True),
    "tearing": Family(ripping.tearing, 1.5, 5.0),
    "arrow": Family(hits.arrow, 1.0, 4.0, True),
    "metal plate": Family(hits.metal_plate, 1.2, 4.0, True),
}

FAMILIES: tuple[str, ...] = tuple(_TABLE)


@dataclass(frozen=True)
class _Draft:
    """A plan with its place in the clip: `pause` seconds of silence go first."""

    plan: Plan
    family: str
    seconds: float
    pause: int


def _draft(seed: int, family: str | None, seconds: float | None) -> _Draft:
    rng = np.random.default_rng(seed)
    drawn = FAMILIES[int(rng.integers(len(FAMILIES)))]
    name = drawn if family is None else family
    if name not in _TABLE:
        raise ValueError(f"unknown family {name!r}; choose one of: {', '.join(FAMILIES)}")
    entry = _TABLE[name]
    length = round(float(rng.uniform(entry.shortest, entry.longest)), 2)
    pause = int(rng.integers(1, 4)) if entry.delayed and rng.uniform() < 0.1 else 0
    if seconds is None:
        seconds = length + pause
    if not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"seconds must be between {SHORTEST} and {LONGEST}, not {seconds}")
    if seconds - pause < entry.shortest:
        pause = 0
    plan = entry.plan(rng, seconds - pause)
    if pause:
        plan = _delay(rng, plan, pause)
    return _Draft(plan, name, seconds, pause)


def _delay(rng: np.random.Generator, plan: Plan, pause: int) -> Plan:
    """The same sound after a pause of whole seconds, which every caption tells."""
    length = counted(pause, "second")
    pattern = choose(rng, "{0} after {1}", "after {1}, {0}", "{1} of silence, then {0}")
    return Plan(
        tuple(pattern.format(caption, length) for caption in plan.captions),
        {**plan.parameters, "pause": length},
        tuple(round(event + pause, 4) for event in plan.events),
        plan.level,
        plan.render,
    )


def _finish(audio: Signal, samples: int, level: float) -> np.ndarray:
    """Exact length, no offset, soft ends, peak at `level`."""
    audio = audio[:samples] - audio.mean()
    audio = np.pad(audio, (samples - len(audio), 0)) * gate(samples, 0.004)
    peak = float(np.clip(level, 0.1, 1.0)) * (1 - 1e-6)  # float32 must not round above the level
    return (audio * (peak / np.abs(audio).max())).astype(np.float32)


def generate(seed: int, family: str | None = None, seconds: float | None = None) -> ProceduralSound:
    """Make one sound effect; the same arguments give the same samples.

    Args:
        seed: of numpy's default generator, 0 or more.
        family: one of `FAMILIES`; without it the seed chooses.
        seconds: length from 0.3 to 10; without it the family draws a natural one.

    Raises:
        ValueError: if the family is unknown or the length out of range.
    """
    draft = _draft(seed, family, seconds)
    audio = _finish(draft.plan.render(), sample_count(draft.seconds), draft.plan.level)
    return ProceduralSound(
        audio,
        draft.plan.captions,
        draft.family,
        draft.seconds,
        draft.plan.events,
        draft.plan.parameters,
    )


def captions(seed: int, family: str | None = None, seconds: float | None = None) -> tuple[str, ...]:
    """The captions that `generate` gives for the same arguments, without making the sound."""
    return _draft(seed, family, seconds).plan.captions
