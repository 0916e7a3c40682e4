"""Learning rates over the steps: the published schedules to the digit."""

import json

import pytest
import torch

from tests.paths import ROOT
from woosh.training.updates import WarmupAndDecay

FIXTURE = ROOT / "tests/fixtures/taggers/efficientat_learning_rate/config.json"


@pytest.mark.parametrize("name", ["audioset", "fine-tuning"])
def test_the_published_rise_plateau_and_fall(name: str) -> None:
    published = json.loads(FIXTURE.read_text())[name]
    settings = WarmupAndDecay(
        published["warm_up"], published["ramp_start"], published["ramp_length"], published["last"]
    )
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedule = settings.schedule(optimizer)
    for expected in published["factor"]:
        assert schedule.get_last_lr()[0] == pytest.approx(2.0 * expected, rel=1e-5)
        optimizer.step()
        schedule.step()
