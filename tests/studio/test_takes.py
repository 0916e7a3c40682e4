"""Takes: silence is drawn again with other seeds, and the seed that made a sound makes it again."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.sounds import sound
from tests.toys import make_pipeline, quieten, with_threshold_between
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.studio.edit import draw_edit, edit
from woosh.studio.extend import draw_extension
from woosh.studio.loop import draw_loop
from woosh.studio.morphing import morph
from woosh.studio.places import Region
from woosh.studio.takes import NoSoundError, draw_take, falls_silent
from woosh.studio.variations import draw_variation

RATE = 48_000
OWN = sound(1, 0.4)  # half a second


@pytest.fixture(scope="module")
def faint() -> Sampler:
    """It makes silence of everything."""
    return quieten(make_pipeline(max_frames=100), 80).sampler


def test_a_sound_is_drawn_once() -> None:
    sampler = make_pipeline(max_frames=100).sampler
    request = Request("rain", seconds=0.5, seed=7)
    take = draw_take(sampler, request)
    assert (take.seed, take.silent_seeds) == (7, ())
    assert np.array_equal(take.sound, sampler(request)[0].numpy())


def test_silence_is_drawn_again_and_the_new_seed_makes_the_same_sound() -> None:
    sampler = with_threshold_between([1], [10_001]).sampler
    take = draw_take(sampler, Request("rain", seconds=0.5, seed=1))
    assert (take.seed, take.silent_seeds) == (10_001, (1,))
    again = draw_take(sampler, Request("rain", seconds=0.5, seed=take.seed))
    assert again.silent_seeds == () and np.array_equal(again.sound, take.sound)


ASKED = Request("rain", seconds=0.5, seed=5)
DRAWN: dict[str, Callable[[Sampler], object]] = {
    "take": lambda sampler: draw_take(sampler, ASKED),
    "loop": lambda sampler: draw_loop(sampler, ASKED),
    "part": lambda sampler: draw_edit(sampler, OWN, RATE, ASKED, [Region(0.1, 0.3)]),
    "whole": lambda sampler: draw_edit(sampler, OWN, RATE, ASKED, strength=0.9),
    "end": lambda sampler: draw_extension(sampler, OWN[:, :12_000], RATE, ASKED),
    "beginning": lambda sampler: draw_extension(sampler, OWN[:, :12_000], RATE, ASKED, True),
    "variation": lambda sampler: draw_variation(sampler, OWN, ASKED, 0.5),
    "morph": lambda sampler: list(morph(sampler, (OWN, OWN), ASKED, np.array([0.5]), 0.9)),
}


@pytest.mark.parametrize("kind", DRAWN)
def test_nothing_that_a_model_draws_is_delivered_silent(faint: Sampler, kind: str) -> None:
    """Whatever is drawn: three further seeds are tried, and the error names the prompt."""
    message = "^'rain' gave silence with the seeds 5, 10005, 20005, 30005: take other words"
    with pytest.raises(NoSoundError, match=message):
        DRAWN[kind](faint)


def test_an_error_of_silence_says_when_there_were_no_words(faint: Sampler) -> None:
    with pytest.raises(NoSoundError, match="^a sound without words gave silence"):
        draw_take(faint, Request("", seconds=0.5, seed=5))
    with pytest.raises(ValueError, match="a take needs a seed"):
        draw_take(faint, Request("rain", seconds=0.5))


def test_what_is_silent_by_itself_is_not_drawn_again(faint: Sampler) -> None:
    """A part that is left as the autoencoder gives it, what goes on from silence, and cousins of a click."""
    left = draw_edit(faint, OWN, RATE, ASKED, [Region(0.1, 0.3)], strength=0)
    assert np.array_equal(left.sound, edit(faint, OWN, RATE, ASKED, [Region(0.1, 0.3)], 0))
    ended = OWN[:, :12_000] * np.linspace(1, 0, 12_000, dtype=np.float32) ** 4
    assert draw_extension(faint, ended, RATE, ASKED).silent_seeds == ()
    click = OWN[:, 12_000:12_480]
    loud = make_pipeline(max_frames=100).sampler
    assert draw_variation(loud, click, Request("", seconds=0.01, seed=5), 0.5).seed == 5


def test_room_tone_is_no_silence_beside_room_tone() -> None:
    """What is faint is silent only where the sound beside it is not as faint."""
    noise = np.random.default_rng(0).standard_normal((1, RATE)).astype(np.float32)
    tone, fainter, loud = 10 ** (-60 / 20) * noise, 10 ** (-64 / 20) * noise, 0.1 * noise
    assert not falls_silent(fainter, tone, RATE)
    assert falls_silent(fainter, loud, RATE) and falls_silent(0 * noise, loud, RATE)
    assert not falls_silent(0.02 * noise, loud, RATE)
