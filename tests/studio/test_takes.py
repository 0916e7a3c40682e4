"""Takes: silence is drawn again with other seeds, and the seed that made a sound makes it again."""

import numpy as np
import pytest

from tests.toys import make_pipeline, quieten, with_threshold_between
from woosh.generation.request import Request
from woosh.studio.takes import LARGEST_SEED, MOST_TAKES, NoSoundError, draw_take, take_seeds


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


@pytest.mark.parametrize(("prompt", "named"), [("rain", "'rain'"), ("", "the video")])
def test_a_model_that_makes_silence_is_an_error_that_names_what_was_asked(
    prompt: str, named: str
) -> None:
    sampler = quieten(make_pipeline(max_frames=100), 80).sampler
    message = f"^{named} gave silence with the seeds 5, 10005, 20005, 30005: take other words"
    with pytest.raises(NoSoundError, match=message):
        draw_take(sampler, Request(prompt, seconds=0.5, seed=5))
    with pytest.raises(ValueError, match="a take needs a seed"):
        draw_take(sampler, Request(prompt, seconds=0.5))


def test_takes_of_a_batch_share_no_seed() -> None:
    """A redraw that met the next take's seed would give the same sound twice."""
    tried = [seed for first in range(MOST_TAKES) for seed in take_seeds(first)]
    assert len(set(tried)) == len(tried)
    assert take_seeds(LARGEST_SEED + MOST_TAKES - 1)[-1] < 2**63
