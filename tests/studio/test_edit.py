"""Parts made anew, sounds made longer, and loops: what stays keeps its bits, and no join is heard."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sounds import sound
from woosh import procedural
from woosh.catalogue import FEW_STEP_MODEL, find_model
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.studio.edit import edit
from woosh.studio.extend import extend
from woosh.studio.joins import FADE_SECONDS, JoinError, join_error, seam_error
from woosh.studio.loop import (
    NEW_SEAM,
    Loop,
    Stretch,
    best_stretch,
    close_loop,
    fade_seam,
    fit_circle,
    make_loop,
    renew_seam,
)
from woosh.studio.places import Region, places_of

RATE = 48_000


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return load_sampler(find_model(FEW_STEP_MODEL))


@pytest.fixture(scope="module")
def rain() -> np.ndarray:
    return procedural.generate(3, "rain").audio[None, : 3 * RATE]


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_only_the_part_is_new(sampler: Sampler, rate: int) -> None:
    """At the model's rate and at another one, of one and of two channels: outside of part and fades every bit stays."""
    both = np.concatenate([sound(1, 0.3), sound(2, 0.3)])[:, : round(1.5 * rate)]
    both = np.tile(both, 4)[:, : round(1.5 * rate)]
    for original in (both[:1], both):
        made = edit(sampler, original, rate, Request("rain", seed=4), [Region(0.5, 0.9)])
        assert made.shape == original.shape and np.abs(made).max() <= 1
        fade = round(FADE_SECONDS * rate)
        start, stop = round(0.5 * rate) - fade, round(0.9 * rate) + fade
        assert np.array_equal(made[:, :start], original[:, :start])
        assert np.array_equal(made[:, stop:], original[:, stop:])
        inside = slice(start + fade, stop - fade)
        assert not np.array_equal(made[:, inside], original[:, inside])


def test_a_seed_repeats_and_several_parts_are_made(sampler: Sampler, rain: np.ndarray) -> None:
    parts = [Region(2.0, 2.4), Region(0.5, 0.9)]
    request = Request("thunder", seed=4)
    made = [edit(sampler, rain, RATE, request, parts) for _ in range(2)]
    assert np.array_equal(made[0], made[1])
    between = slice(round(1.0 * RATE), round(1.9 * RATE))
    assert np.array_equal(made[0][:, between], rain[:, between])
    for start, stop in parts:
        part = slice(round(start * RATE), round(stop * RATE))
        assert not np.array_equal(made[0][:, part], rain[:, part])


@given(
    samples=st.integers(1, 500_000),
    rate=st.sampled_from([8_000, 44_100, 48_000, 96_000]),
    ends=st.lists(st.floats(-1, 12), min_size=2, max_size=2),
)
@settings(deadline=None)
def test_places_lie_inside_or_are_refused(samples: int, rate: int, ends: list[float]) -> None:
    try:
        (place,) = places_of([Region(*ends)], samples, rate)
    except ValueError as error:
        assert "no region from" in str(error)
    else:
        assert 0 <= place.start < place.stop <= samples


def test_regions_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="overlaps the one before"):
        places_of([Region(0, 1), Region(0.5, 2)], 3 * RATE, RATE)


@pytest.mark.parametrize("before", [False, True])
def test_a_longer_sound_keeps_what_was_there(
    sampler: Sampler, rain: np.ndarray, before: bool
) -> None:
    """Its bits up to a fade, an exact length, and rain that goes on as rain: within 1 dB of the second beside it, and
    with no step in level or spectrum where both meet."""
    request = Request("rain", seconds=4.25, seed=2)
    made = extend(sampler, rain, RATE, request, before)
    assert made.shape == (1, round(4.25 * RATE))
    fade = round(FADE_SECONDS * RATE)
    old, new = (made[:, -rain.shape[1] :], made[:, : -rain.shape[1]])
    kept, expected = old[:, fade:], rain[:, fade:]
    if not before:
        old, new = made[:, : rain.shape[1]], made[:, rain.shape[1] :]
        kept, expected = old[:, :-fade], rain[:, :-fade]
    assert np.array_equal(kept, expected)
    beside = rain[:, :RATE] if before else rain[:, -RATE:]
    levels = [10 * np.log10(np.square(part).mean()) for part in (beside, new)]
    assert levels[1] == pytest.approx(levels[0], abs=1)
    assert not join_error(made, RATE, new.shape[1] if before else rain.shape[1]).heard
    with pytest.raises(ValueError, match="ask for more"):
        extend(sampler, rain, RATE, Request("rain", seconds=2.0, seed=2))


@pytest.mark.parametrize("seconds", [1.0, 1.234])
def test_a_loop_from_words_goes_around_unheard(sampler: Sampler, seconds: float) -> None:
    """Exact to the sample; its seam is no more than what the sound does by itself."""
    loop = make_loop(sampler, Request("rain", seconds=seconds, seed=3))
    assert loop.audio.shape == (1, round(seconds * RATE))
    assert not loop.error.heard
    assert not seam_error(loop.audio, RATE).heard


def test_a_loop_out_of_a_recording(sampler: Sampler, rain: np.ndarray) -> None:
    """Faded over its seam, or with the seam made anew; of an exact length if one is asked for."""
    stretch = best_stretch(rain, RATE, 1.5)
    faded = fade_seam(rain, RATE, stretch)
    assert faded.audio.shape == (1, round(1.5 * RATE)) and not faded.error.heard
    assert np.abs(faded.audio).max() <= 1
    renewed = renew_seam(sampler, rain, RATE, Request("rain", seed=1), stretch)
    assert renewed.audio.shape == faded.audio.shape
    assert fade_seam(rain, RATE, best_stretch(rain, RATE)).audio.shape[1] >= rain.shape[1] // 2
    with pytest.raises(ValueError, match="gives no loop"):
        best_stretch(rain[:, : RATE // 3], RATE)


def test_a_seam_is_made_anew_only_where_a_fade_is_heard_and_it_is_not_as_much(
    rain: np.ndarray,
) -> None:
    """A model is asked, and loaded, only where it can help; the better of the two is kept."""
    asked: list[Stretch] = []

    def renewed(error: JoinError) -> Loop:
        def renew(stretch: Stretch) -> Loop:
            asked.append(stretch)
            return Loop(rain[:, : stretch.length], error, NEW_SEAM)

        return close_loop(changing, RATE, renew)

    assert close_loop(rain, RATE, asked.append).way == "crossfade" and not asked  # type: ignore[arg-type]
    # A tone that rises and swells all the way: no two places of it are alike.
    times = np.arange(2 * RATE) / RATE
    changing = (times / 4 * np.sin(2 * np.pi * 200 * times * 4**times))[None].astype(np.float32)
    assert fade_seam(changing, RATE, best_stretch(changing, RATE)).error.heard
    assert renewed(JoinError(0, 0, 0, 1, 1, 1)).way == NEW_SEAM
    assert renewed(JoinError(1e6, 0, 0, 1, 1, 1)).way == "crossfade"
    assert len(asked) == 2


def test_a_circle_of_another_length_is_the_same_wave() -> None:
    """Five turns of a sine are five turns of a sine, whatever the number of samples."""
    circle = np.sin(2 * np.pi * 5 * np.arange(960) / 960)[None].astype(np.float32)
    for samples in (959, 960, 1_001):
        expected = np.sin(2 * np.pi * 5 * np.arange(samples) / samples)[None]
        assert fit_circle(circle, samples) == pytest.approx(expected, abs=1e-5)
