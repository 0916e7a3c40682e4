"""The best of several takes: by words, by ear, by moments; silence is never the best."""

import numpy as np
import pytest

from woosh.procedural import generate
from woosh.studio.choosing import Judge, Wish, load_judge

RATE = 48_000


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge()


def made(family: str, seed: int) -> np.ndarray:
    """Three seconds at most of a sound made by rule (1, S)."""
    return generate(seed=seed, family=family).audio[None, : 3 * RATE]


def clicks(*moments: float) -> np.ndarray:
    """A second (1, S) with short bursts at these moments."""
    take = np.zeros((1, RATE), np.float32)
    burst = 0.5 * np.random.default_rng(0).standard_normal(960).astype(np.float32)
    for moment in moments:
        start = round(moment * RATE)
        take[0, start : start + 960] = burst
    return take


def test_the_take_that_words_ask_for_is_kept(judge: Judge) -> None:
    """Both ears prefer what the prompt names, wherever it stands among the takes."""
    siren, rain = made("siren", 1), made("rain", 1)
    assert judge.best(judge.wish_of_words("a police siren"), [rain, siren], RATE) == 1
    assert judge.best(judge.wish_of_words("rain falling"), [rain, siren], RATE) == 0


def test_the_take_that_is_like_a_sound_is_kept(judge: Judge) -> None:
    """A variation is chosen by what is heard in its source."""
    takes = [made("siren", 1), made("rain", 1), made("footsteps", 1)]
    assert judge.best(judge.wish_of_sound(made("rain", 3), RATE), takes, RATE) == 1
    assert judge.best(judge.wish_of_sound(made("siren", 2), RATE), takes, RATE) == 0


def test_the_take_that_begins_when_the_picture_does_is_kept(judge: Judge) -> None:
    """Onsets decide where nothing else is wished for."""
    takes = [clicks(0.1, 0.3), clicks(0.2, 0.6), clicks(0.25)]
    assert judge.best(Wish(moments=[0.2, 0.6]), takes, RATE) == 1
    assert judge.best(Wish(moments=[0.25]), takes, RATE) == 2


def test_silence_is_never_the_best(judge: Judge) -> None:
    """A silent take has no onset that could be wrong, and is still no sound."""
    takes = [np.zeros((1, RATE), np.float32), clicks(0.5)]
    assert judge.best(Wish(moments=[]), takes, RATE) == 1


def test_of_equals_the_first_is_kept_and_an_empty_wish_says_so(judge: Judge) -> None:
    """Without a difference the seed that was asked for stays."""
    takes = [clicks(0.5), clicks(0.5)]
    assert judge.best(Wish(moments=[0.5]), takes, RATE) == 0
    assert judge.best(Wish(), takes, RATE) == 0
    assert judge.wish_of_words("").empty and not judge.wish_of_words("rain").empty
