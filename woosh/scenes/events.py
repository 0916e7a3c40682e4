"""Scenes of single events: every sound begins at a moment that the picture shows."""

from __future__ import annotations

import math

import numpy as np

from woosh.procedural.impacts import MATERIALS, hit, make_body
from woosh.procedural.nature import drops as rain_drops
from woosh.procedural.objects import footstep
from woosh.procedural.plan import choose, phrases, told
from woosh.procedural.synthesis import (
    Signal,
    bandpass,
    bubble,
    burst,
    decay,
    mix,
    modes,
    noise,
    sample_count,
    scatter,
)
from woosh.scenes.camera import (
    Backdrop,
    Canvas,
    Generator,
    blended,
    contrasting,
    make_backdrop,
    nothing,
)
from woosh.scenes.scene import Scene, happenings

SHORTEST_GAP = 0.35  # seconds between events
SPARKS = 400  # of a rocket that crackles
FLOORS = {
    "wood": "a wooden floor",
    "concrete": "concrete",
    "gravel": "gravel",
    "snow": "snow",
    "metal": "a metal floor",
    "grass": "grass",
}


def ball(rng: Generator, seconds: float) -> Scene:
    """A ball that is kept bouncing, now high, now low."""
    material, events = choose(rng, *MATERIALS), happenings(rng, seconds, SHORTEST_GAP)
    backdrop = make_backdrop(rng, rng.uniform(0.72, 0.82))
    colour = contrasting(rng, backdrop.wall, backdrop.floor)
    radius, pace = rng.uniform(0.045, 0.08), rng.uniform(-0.25, 0.25)
    beginning, start = rng.uniform(0.25, 0.75), events[0] - rng.uniform(0.5, 0.9)
    bounds = np.array([start, *events, max(seconds, events[-1]) + 0.8])
    heights = np.minimum(0.55, 0.75 * np.diff(bounds) ** 2)
    body = make_body(rng, material, 1.0)

    def draw(canvas: Canvas, time: float) -> None:
        flight = int(np.clip(np.searchsorted(bounds, time, side="right") - 1, 0, len(heights) - 1))
        part = (time - bounds[flight]) / (bounds[flight + 1] - bounds[flight])
        height = heights[flight] * 4 * part * (1 - part)
        x = 0.15 + 0.7 * abs((beginning + pace * time) % 2 - 1)
        floor = backdrop.horizon + 0.08
        canvas.ring(x, floor, radius * (1 - 0.5 * height), (20, 20, 20), radius / 3)
        squash = 0.25 * math.exp(-(((time - bounds).min(where=time >= bounds, initial=9)) / 0.04))
        canvas.disc(x, floor - radius * (1 - squash) - height, radius, colour)

    def render() -> Signal:
        speeds = np.sqrt(heights[:-1] / 0.55)
        blows = [
            (event, speed * hit(rng, body, 1.2, 1500 + 5000 * speed))
            for event, speed in zip(events, speeds, strict=True)
        ]
        return mix(sample_count(seconds), blows)

    return Scene(
        phrases(
            f"a {material} ball bouncing irregularly",
            f"a bouncing ball of {material}",
            "a ball bounces",
        ),
        told(material=material),
        events,
        None,
        backdrop,
        draw,
        render,
    )


def hammer(rng: Generator, seconds: float) -> Scene:
    """A hammer that strikes a block."""
    material = choose(rng, "wood", "metal", "stone")
    events = happenings(rng, seconds, SHORTEST_GAP)
    backdrop = make_backdrop(rng, rng.uniform(0.75, 0.85))
    block, head = contrasting(rng, backdrop.wall, backdrop.floor), (60, 60, 70)
    handle = contrasting(rng, backdrop.wall)
    x, side = rng.uniform(0.4, 0.6), float(rng.choice([-1, 1]))
    top = backdrop.horizon - rng.uniform(0.08, 0.2)
    lifts = rng.uniform(0.6, 1.3, len(events) + 1)  # radians before each blow
    body = make_body(rng, material, 1.3)

    def draw(canvas: Canvas, time: float) -> None:
        following = int(np.searchsorted(events, time, side="right"))
        last = events[following - 1] if following else -1.0
        rise = min(1.0, max(0.0, (time - last) / 0.3))
        angle = lifts[following] * math.sin(rise * math.pi / 2)
        if following < len(events):
            fall = (events[following] - time) / 0.11  # the blow takes a ninth of a second
            angle *= 1 - (1 - min(1.0, fall)) ** 2
        canvas.box(x - 0.14, top, x + 0.14, backdrop.horizon + 0.1, block)
        pivot = (x + side * 0.38, top - 0.05)
        reach = (pivot[0] - x) * side
        tip = (pivot[0] - side * reach * math.cos(angle), pivot[1] - reach * math.sin(angle))
        canvas.bar(pivot, tip, 0.03, handle)
        across = (0.05 * math.sin(angle) * side, 0.05 * math.cos(angle))
        canvas.bar(
            (tip[0] - across[0], tip[1] - across[1]),
            (tip[0] + across[0], tip[1] + across[1]),
            0.07,
            head,
        )

    def render() -> Signal:
        blows = [
            (event, lift * hit(rng, body, 1.2, 1500 + 3500 * lift))
            for event, lift in zip(events, lifts, strict=False)
        ]
        return mix(sample_count(seconds), blows)

    return Scene(
        phrases(
            f"a hammer striking {material}",
            f"hammer blows on a {material} block",
            "hammering",
        ),
        told(material=material),
        events,
        None,
        backdrop,
        draw,
        render,
    )


def walker(rng: Generator, seconds: float) -> Scene:
    """A stick figure walks, hesitates and walks on."""
    surface = choose(rng, *FLOORS)
    events = happenings(rng, seconds, 0.4)
    backdrop = make_backdrop(rng, rng.uniform(0.75, 0.85))
    colour = contrasting(rng, backdrop.wall, backdrop.floor)
    height, side = rng.uniform(0.4, 0.55), float(rng.choice([-1, 1]))
    beginning, stride = rng.uniform(0.2, 0.8), 0.16 * height

    def draw(canvas: Canvas, time: float) -> None:
        ground = backdrop.horizon + 0.06
        done = int(np.searchsorted(events, time, side="right"))
        ahead = (events[done] - time) / 0.3 if done < len(events) else 9.0
        swing = 1 - min(1.0, ahead)  # of the step that is under way, 0 to 1
        x = 0.1 + 0.8 * ((beginning + side * stride * (done + swing)) % 1.0)
        hip = (x, ground - 0.48 * height - 0.02 * height * math.sin(math.pi * swing))
        neck = (x + side * 0.02, ground - 0.85 * height)
        lead = 1 if done % 2 else -1
        for leg in (-1, 1):
            if leg == lead:  # comes from behind and is set down
                offset, lift = (
                    side * stride * (2 * swing - 1),
                    0.16 * height * math.sin(math.pi * swing),
                )
            else:
                offset, lift = side * stride * (1 - 2 * swing), 0.0
            foot = (x + offset, ground - lift)
            knee = ((hip[0] + foot[0]) / 2 + side * (0.02 + 0.3 * lift), (hip[1] + foot[1]) / 2)
            canvas.bar(hip, knee, 0.022, colour)
            canvas.bar(knee, foot, 0.022, colour)
            canvas.bar(foot, (foot[0] + side * 0.035, foot[1]), 0.02, colour)
            arm = (neck[0] - 0.8 * offset, neck[1] + 0.3 * height)
            canvas.bar((neck[0], neck[1] + 0.05 * height), arm, 0.018, colour)
        canvas.bar(hip, neck, 0.03, colour)
        canvas.disc(neck[0], neck[1] - 0.07 * height, 0.075 * height, colour)

    def render() -> Signal:
        steps = [(event, rng.uniform(0.7, 1.0) * footstep(rng, surface)) for event in events]
        return mix(sample_count(seconds), steps)

    where = FLOORS[surface]
    return Scene(
        phrases(f"footsteps on {where}", f"someone walks on {where}", "footsteps"),
        told(surface=surface),
        events,
        None,
        backdrop,
        draw,
        render,
    )


def drips(rng: Generator, target: str) -> list[Signal]:
    """Drops as they sound on a target."""
    if target == "water":
        pitch = rng.uniform(600, 1400)
        return [
            bubble(pitch * rng.uniform(0.85, 1.2), rng.uniform(0.05, 0.1), 0.25) for _ in range(6)
        ]
    if target == "a metal pan":
        body = make_body(rng, "metal", 0.5, 10)
        return [hit(rng, body, 0.5, 6000) for _ in range(6)]
    return [np.pad(grain, (0, 2400)) for grain in rain_drops(rng, "")]


def dripping(rng: Generator, seconds: float) -> Scene:
    """Drops that fall from a tap."""
    target = choose(rng, "water", "a metal pan", "a window sill")
    events = happenings(rng, seconds, SHORTEST_GAP)
    backdrop = make_backdrop(rng, rng.uniform(0.75, 0.85))
    colour = contrasting(rng, backdrop.wall, backdrop.floor)
    dish = contrasting(rng, backdrop.floor, colour)
    x, radius = rng.uniform(0.3, 0.7), rng.uniform(0.02, 0.035)
    top, bottom = rng.uniform(0.12, 0.25), backdrop.horizon + 0.04
    falling = rng.uniform(0.28, 0.34)  # seconds

    def draw(canvas: Canvas, time: float) -> None:
        canvas.bar((x - 0.25, top - 0.06), (x, top - 0.06), 0.05, dish)
        canvas.bar((x, top - 0.06), (x, top - 0.02), 0.05, dish)
        canvas.ring(x, bottom, 0.2, dish, 0.02)
        for event in events:
            part = (time - event) / falling + 1  # 0 as it leaves, 1 as it lands
            if -1.2 < part < 0:  # it swells at the tap
                canvas.disc(x, top, radius * (1 + part / 1.2), colour)
            elif 0 <= part < 1:
                canvas.disc(x, top + (bottom - top) * part**2, radius, colour)
            elif 1 <= part < 2.2:
                splash(canvas, part - 1)

    def splash(canvas: Canvas, spread: float) -> None:
        canvas.ring(x, bottom, 0.03 + 0.15 * spread, colour, 0.012)
        if spread < 0.5:
            height = 0.12 * spread * (0.5 - spread) / 0.0625
            for away in (-0.05, 0.0, 0.05):
                canvas.disc(x + away * (1 + spread), bottom - height, 0.012, colour)

    def render() -> Signal:
        grains = drips(rng, target)
        grains = [grain / np.abs(grain).max() for grain in grains]
        weights = rng.uniform(0.6, 1.0, len(events))
        return scatter(rng, sample_count(seconds), np.array(events), weights, grains)

    return Scene(
        phrases(f"drops falling on {target}", f"a tap dripping on {target}", "dripping"),
        told(target=target),
        events,
        None,
        backdrop,
        draw,
        render,
    )


def bang(rng: Generator, kind: str) -> Signal:
    """One rocket's burst, with sparks if it is a crackling one."""
    deep = rng.uniform(60, 110)
    boom = modes(np.array([deep, 1.7 * deep]), np.array([0.5, 0.3]), np.ones(2), 28_800)
    crack = burst(rng, 0.35, 200, 6000, 0.0003)
    pieces = [(0.0, 0.6 * boom), (0.0, crack / np.abs(crack).max())]
    if kind == "crackling":  # so densely that no spark stands out as an event of its own
        late = rng.gamma(2.0, 0.15, SPARKS)
        snaps = [burst(rng, 0.012, 1500, 9000, 0.0002) for _ in range(6)]
        pieces.append((0.0, scatter(rng, 57_600, late, rng.uniform(0.02, 0.06, SPARKS), snaps)))
    return mix(57_600, pieces)


def fireworks(rng: Generator, seconds: float) -> Scene:
    """Rockets that burst in the night sky."""
    kind = choose(rng, "crackling", "booming")
    events = happenings(rng, seconds, SHORTEST_GAP)
    horizon = rng.uniform(0.85, 0.95)
    night = (int(rng.integers(5, 30)), int(rng.integers(5, 30)), int(rng.integers(20, 60)))
    town = make_backdrop(rng, horizon)
    backdrop = Backdrop(night, (15, 15, 15), horizon, nothing, town.movers)
    bursts = []
    for event in events:
        angles = np.linspace(0, 2 * np.pi, int(rng.integers(14, 26)), endpoint=False)
        bursts.append(
            (
                event,
                (rng.uniform(0.2, 0.8), rng.uniform(0.15, 0.45)),
                contrasting(rng, night),
                angles + rng.uniform(),
                rng.uniform(0.7, 1.0, len(angles)) * rng.uniform(0.15, 0.28),
            )
        )

    def draw(canvas: Canvas, time: float) -> None:
        for event, (x, y), colour, angles, reaches in bursts:
            age = time - event
            if -0.5 < age < 0:
                height = y - (horizon - y) * age / 0.5
                canvas.bar((x, height), (x, height + 0.03), 0.012, (255, 220, 160))
            if 0 <= age < 0.09:
                canvas.disc(x, y, 0.09, (255, 255, 255))
            if 0 <= age < 1.2:
                spread, faded = 1 - math.exp(-4 * age), blended(colour, night, age / 1.2)
                for angle, reach in zip(angles, reaches * spread, strict=True):
                    across, down = reach * math.cos(angle), reach * math.sin(angle)
                    canvas.disc(x + across, y + down + 0.08 * age**2, 0.012, faded)

    def render() -> Signal:
        return mix(sample_count(seconds), [(event, bang(rng, kind)) for event in events])

    return Scene(
        phrases(f"{kind} fireworks", "fireworks bursting in the sky", "fireworks"),
        told(kind=kind),
        events,
        None,
        backdrop,
        draw,
        render,
    )


def door(rng: Generator, seconds: float) -> Scene:
    """A door that opens with a click of its latch and falls shut."""
    material = choose(rng, "wood", "metal")
    events = happenings(rng, seconds, 0.45)
    backdrop = make_backdrop(rng, rng.uniform(0.82, 0.9))
    colour = contrasting(rng, backdrop.wall, backdrop.floor)
    dark = contrasting(rng, colour, backdrop.wall)
    left, wide, tall = rng.uniform(0.2, 0.45), rng.uniform(0.25, 0.35), rng.uniform(0.5, 0.65)
    body, latch = make_body(rng, material, 2.0, 20), make_body(rng, "metal", 0.35, 8)

    def opened(time: float) -> float:
        """From 0, shut, to 1: even events open the door, odd ones are its slam."""
        done = int(np.searchsorted(events, time, side="right"))
        if done % 2 == 0:
            return 0.0
        open_ = min(1.0, (time - events[done - 1]) / 0.35) ** 0.7
        if done < len(events):
            open_ *= 1 - (1 - min(1.0, (events[done] - time) / 0.16)) ** 2
        return open_

    def draw(canvas: Canvas, time: float) -> None:
        bottom, top = backdrop.horizon, backdrop.horizon - tall
        canvas.box(left, top, left + wide, bottom, dark)
        turn = opened(time)
        edge, lean = left + wide * (1 - 0.75 * turn), 0.07 * turn
        canvas.shape(
            [(left, top), (edge, top - lean), (edge, bottom + lean), (left, bottom)], colour
        )
        canvas.disc(edge - 0.04 * (1 - 0.6 * turn), bottom - tall / 2, 0.018, dark)

    def render() -> Signal:
        pieces = []
        for number, event in enumerate(events):
            click = 0.5 * hit(rng, latch, 0.15, 9000)
            if number % 2 == 0:
                pieces.append((event, click))
                continue
            thud = 0.8 * bubble(rng.uniform(60, 90), 0.3, -0.4)
            air = 0.6 * bandpass(noise(rng, 9600), 80, 900) * decay(9600, 0.25)
            blow = 1.2 * hit(rng, body, 0.8, 1400)
            pieces += [(event, blow), (event, thud), (event, air), (event + 0.01, click)]
        return mix(sample_count(seconds), pieces)

    return Scene(
        phrases(
            f"a {material} door opening and slamming shut",
            f"a {material} door opens with a click and slams",
            "a door slamming",
        ),
        told(material=material),
        events,
        None,
        backdrop,
        draw,
        render,
    )


FAMILIES = {
    "ball": ball,
    "hammer": hammer,
    "walker": walker,
    "dripping": dripping,
    "fireworks": fireworks,
    "door": door,
}
