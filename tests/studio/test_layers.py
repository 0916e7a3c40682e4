"""Layers: events are read as they are meant, places have equal power, and stems add up to the mix."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from woosh.audio import levelling_loudness, loudness, true_peak
from woosh.studio.layers import (
    LayerRow,
    fade,
    mix,
    named_layers,
    pan_gains,
    parse_events,
    place,
)

RATE = 8_000
TIMES = st.integers(0, 600_000).map(lambda number: number / 1000)
PROMPTS = st.from_regex(r"[a-z]{2,8}( [a-z]{1,8}){0,3}", fullmatch=True)


def noise(seed: int, seconds: float, channels: int = 1, level: float = 0.1) -> np.ndarray:
    samples = round(seconds * RATE)
    return (level * np.random.default_rng(seed).standard_normal((channels, samples))).astype(
        np.float32
    )


def test_events_are_starts_and_prompts() -> None:
    first, second = parse_events("0.5 s door creaks; 2 s steps on wood")
    assert (first.row, first.name) == (LayerRow("door creaks", start=0.5), "door-creaks")
    assert (second.row, second.name) == (LayerRow("steps on wood", start=2), "steps-on-wood")
    (third,) = parse_events("2 - 4.5s 3 s of applause;")
    assert third.row == LayerRow("3 s of applause", start=2, seconds=2.5)


@given(
    st.lists(st.tuples(TIMES, st.none() | TIMES, PROMPTS), min_size=1, max_size=5),
    st.sampled_from(["; ", ";", "\n", " ;\n "]),
)
def test_what_is_written_is_parsed(
    events: list[tuple[float, float | None, str]], between: str
) -> None:
    """Starts, ends and prompts come back in their order, however events are separated."""
    texts = [
        f"{start} s {prompt}"
        if length is None
        else f"{start}-{start + length + 0.001:.3f} s {prompt}"
        for start, length, prompt in events
    ]
    layers = parse_events(between.join(texts))
    assert [layer.row.prompt for layer in layers] == [prompt for *_, prompt in events]
    assert [layer.row.start for layer in layers] == [start for start, *_ in events]
    for layer, (_, length, _) in zip(layers, events, strict=True):
        wanted = None if length is None else pytest.approx(length + 0.001, abs=1e-6)
        assert layer.row.seconds == wanted
    assert len({layer.name for layer in layers}) == len(events)


@given(st.text("0123456789.-;s \nab\0é", max_size=30))
def test_any_text_is_events_or_refused(text: str) -> None:
    try:
        assert parse_events(text)
    except ValueError as error:
        assert "event" in str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no event"),
        (" ; 1 s a door", "event 1, '', does not begin with its time"),
        ("a door creaks", "event 1, 'a door creaks', does not begin with its time"),
        ("0.5 s a door; steps", "event 2, 'steps', does not begin with its time"),
        ("0.5 s a door;; 1 s steps", "event 2, ''"),
        ("0.5 s", "event 1"),
        ("0,5 s a door", "event 1, '0,5 s a door'"),
        ("3 - 2 s a door", "event 1, '3 - 2 s a door', ends before it begins"),
        ("601 s a door", "event 1: start must be from 0 to 600"),
        ("1 s a\0door", "event 1: prompt 'a\\x00door' holds a control character"),
        ("; ".join(f"{index} s a door" for index in range(201)), "201 layers are more than 200"),
    ],
)
def test_events_that_are_wrong_are_named(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_events(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "either a prompt or a file"),
        ({"prompt": "rain", "file": "a.wav"}, "either a prompt or a file"),
        ({"file": "a.wav", "steps": 4}, "steps is for generated sounds"),
        ({"file": "a.wav", "seed": 0}, "seed is for generated sounds"),
        ({"prompt": "rain", "pan": 1.1}, "pan must be from -1 to 1"),
        ({"prompt": "rain", "level": 41.0}, "level must be from -100.0 to 40.0"),
        ({"prompt": "rain", "start": -1.0}, "start must be from 0"),
        ({"prompt": "rain", "name": "a/b"}, "stems lie in one folder"),
        ({"prompt": "rain", "name": "../b"}, "name "),
    ],
)
def test_rows_that_contradict_themselves_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LayerRow(**values)


def test_layers_have_names_of_their_own() -> None:
    rows = [
        LayerRow("rain"),
        LayerRow("Rain!"),
        LayerRow(file="x/rain.wav"),
        LayerRow("a", name="Rain-2"),
    ]
    assert [layer.name for layer in named_layers(rows)] == ["rain", "rain-3", "rain-4", "Rain-2"]
    with pytest.raises(ValueError, match="two layers have the name 'rain'"):
        named_layers([LayerRow("a", name="rain"), LayerRow("b", name="Rain")])


def test_seeds_follow_from_names_and_prompts_unless_given() -> None:
    """Another layer before it changes no layer's sound."""
    alone, two = parse_events("1 s rain"), parse_events("0 s wind; 3 s rain")
    assert alone[0].request(5, None, 0).seed == two[1].request(5, None, 1).seed
    assert [layer.request(5, 7, index).seed for index, layer in enumerate(two)] == [7, 8]
    own = named_layers([LayerRow("rain", seed=3, seconds=2.0)])[0].request(5, 7, 0)
    assert (own.seed, own.seconds) == (3, 2)


@given(st.floats(-1, 1), st.sampled_from([1, 2]))
def test_places_have_equal_power(pan: float, channels: int) -> None:
    gains = pan_gains(pan, channels)
    assert np.sum(gains**2) == pytest.approx(channels)
    assert pan_gains(-pan, channels) == pytest.approx(gains[::-1])


def test_the_ends_of_the_pan_are_one_channel_alone() -> None:
    assert pan_gains(-1, 1) == pytest.approx([1, 0])
    assert pan_gains(0, 1) == pytest.approx([math.sqrt(0.5)] * 2)
    assert pan_gains(0, 2) == pytest.approx([1, 1])
    assert pan_gains(1, 2) == pytest.approx([0, math.sqrt(2)])


def test_a_fade_out_and_a_fade_in_have_constant_power() -> None:
    rising, falling = fade(100, 100, 0), fade(100, 0, 100)
    assert rising**2 + falling**2 == pytest.approx(np.ones(100))
    assert (np.diff(rising) > 0).all()
    both = fade(100, 10, 20)
    assert (both[10:80] == 1).all()
    assert both[:10] == pytest.approx(fade(10, 10, 0))
    assert both[80:] == pytest.approx(fade(20, 0, 20))


def test_a_layer_lies_where_its_row_says() -> None:
    sound = np.ones((1, 400), np.float32)
    placed = place(LayerRow("a", start=0.1, level=-6.0, pan=-1.0), sound, RATE)
    stem = placed.stem(2000, 1.0)
    assert not stem[:, :800].any()
    assert not stem[:, 1200:].any()
    assert stem[0, 800:1200] == pytest.approx(np.full(400, 10 ** (-6 / 20)))
    assert stem[1] == pytest.approx(np.zeros(2000), abs=1e-7)
    with pytest.raises(ValueError, match="fade_out is longer than the sound's 0.05 s"):
        place(LayerRow("a", fade_out=0.06), sound, RATE)


def test_a_layer_is_brought_to_its_loudness_before_its_level() -> None:
    sound = noise(0, 2, channels=2)
    placed = place(LayerRow("a", loudness=-30.0, level=6.0), sound, RATE)
    assert levelling_loudness(placed.sound, RATE) == pytest.approx(-24, abs=0.05)
    step = place(
        LayerRow("a", loudness=-30.0), noise(1, 0.3), RATE
    )  # too short for an integrated one
    assert levelling_loudness(step.sound, RATE) == pytest.approx(-30, abs=0.05)
    silence = place(LayerRow("a", loudness=-30.0), np.zeros((1, 800), np.float32), RATE)
    assert not silence.sound.any()


@pytest.mark.parametrize("level", [0.0, 20.0])
@pytest.mark.parametrize("target", [None, -30.0, 0.0])
def test_stems_add_up_to_the_mix(level: float, target: float | None) -> None:
    """Whatever the levels and the loudness asked for, nothing is clipped and nothing is lost."""
    layers = [
        place(
            LayerRow("a", level=level, pan=pan, start=start, fade_in=0.1),
            noise(seed, 1, channels),
            RATE,
        )
        for seed, (pan, start, channels) in enumerate(
            [(-0.5, 0.0, 1), (0.3, 0.25, 2), (1.0, 2.0, 1)]
        )
    ]
    mixed = mix(layers, RATE, target)
    samples = mixed.sound.shape[1]
    assert samples == 3 * RATE
    stems = [layer.stem(samples, mixed.gain) for layer in layers]
    assert np.abs(np.sum(stems, axis=0) - mixed.sound).max() < 1e-6
    assert max(true_peak(sound) for sound in (mixed.sound, *stems)) <= 1
    if target == -30:
        assert mixed.reached
        assert loudness(mixed.sound, RATE) == pytest.approx(-30, abs=0.1)
    if target == 0:
        assert not mixed.reached
        assert max(true_peak(sound) for sound in (mixed.sound, *stems)) > 0.999
    if target is None and level == 0:
        assert mixed.gain == 1


def test_layers_that_cancel_are_not_clipped() -> None:
    """Where the sum is small, its parts still fit into their files."""
    loud = noise(0, 1, level=0.5)
    layers = [place(LayerRow("a", level=12.0), sign * loud, RATE) for sign in (1, -1)]
    mixed = mix(layers, RATE, None)
    assert not mixed.sound.any()
    assert mixed.loudness == -math.inf
    assert true_peak(layers[0].stem(RATE, mixed.gain)) == pytest.approx(1, abs=1e-4)
