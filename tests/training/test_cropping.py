"""What batches of crops share: room for a change of speed, its range, and shares that draw nothing."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from woosh.data.augmentation import at_speed
from woosh.training.cropping import CropSettings, happens


@dataclass(frozen=True)
class Variation:
    speed: float
    response_share: float = 0.0


@given(
    speed=st.floats(0, 0.5),
    samples=st.integers(1, 200),
    length=st.integers(1, 600),
    seed=st.integers(0, 99),
)
def test_there_is_room_for_every_speed(speed: float, samples: int, length: int, seed: int) -> None:
    settings, generator = CropSettings(samples, 1, Variation(speed), 0), np.random.default_rng(seed)
    audio = np.arange(1.0, length + 1)
    part = settings.room_for_speed(audio, generator)
    factor = settings.draw_speed(generator)
    assert 1 / (1 + speed) - 1e-9 <= factor <= 1 + speed + 1e-9
    if len(part) < length:
        assert len(at_speed(part, factor)) >= samples
    else:
        assert part is audio


def test_what_never_happens_draws_nothing() -> None:
    generator, again = (np.random.default_rng(1) for _ in range(2))
    assert not happens(0.0, generator)
    assert generator.random() == again.random()
    assert 150 < sum(happens(0.2, generator) for _ in range(1000)) < 250


def test_responses_are_needed_where_crops_go_through_them() -> None:
    with pytest.raises(ValueError, match="no impulse responses"):
        CropSettings(10, 1, Variation(0.1, response_share=0.5), 0)
    responses = [np.ones(2), np.ones(3)]
    settings = CropSettings(10, 1, Variation(0.1, response_share=0.5), 0, responses)
    generator = np.random.default_rng(0)
    assert {len(settings.draw_response(generator)) for _ in range(20)} == {2, 3}
