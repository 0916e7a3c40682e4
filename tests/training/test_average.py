"""The moving average forgets where it began, and then keeps its decay."""

import pytest
from torch import nn

from woosh.training.average import MovingAverage


def averaged(steps: int, decay: float) -> float:
    """The average of a weight that is 0 at the first step and 1 at all others."""
    model = nn.Linear(1, 1, bias=False)
    average = MovingAverage(model, decay)
    average.follow(model)
    for step in range(steps):
        nn.init.constant_(model.weight, float(step > 0))
        average.update()
    return average.module().weight.item()


def test_first_weights_are_soon_forgotten() -> None:
    """At a decay of 0.9995 they would still be most of the average after a thousand steps."""
    assert averaged(1000, 0.9995) > 0.999


def test_later_the_decay_holds() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = MovingAverage(model, 0.9)
    average.follow(model)
    nn.init.zeros_(model.weight)
    for _ in range(200):
        average.update()
    nn.init.ones_(model.weight)
    average.update()
    assert average.module().weight.item() == pytest.approx(0.1, abs=1e-6)
