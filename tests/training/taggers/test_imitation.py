"""Imitation: nothing to learn from one's equal, every block by itself where it is to be, shares of variance."""

import copy
from typing import cast

import pytest
import torch
from torch import nn

from woosh.taggers.mobilenet import MobileNet
from woosh.training.taggers.imitation import (
    VARIANCE_SHARE,
    ImitationSettings,
    imitation_loss,
    learner_for,
    map_difference,
)

ALONE, IN_A_ROW = (ImitationSettings(alone, 1.0, 20.0, 0.1, 0.5) for alone in (True, False))


@pytest.fixture
def teacher() -> MobileNet:
    torch.manual_seed(0)
    return MobileNet(0.1, classes=5).eval()


def log_mel() -> torch.Tensor:
    return torch.randn(3, 1, 64, 50, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("settings", [ALONE, IN_A_ROW])
def test_nothing_but_the_teacher_s_own_doubt_is_left_to_its_equal(
    teacher: MobileNet, settings: ImitationSettings
) -> None:
    network = learner_for(teacher)
    network.load_state_dict(teacher.state_dict())
    terms = imitation_loss(network.eval(), teacher, log_mel(), settings)
    chance = teacher(log_mel()).logits.sigmoid()
    entropy = -(chance * chance.log() + (1 - chance) * (1 - chance).log()).mean()
    assert terms["maps"] == terms["logits"] == 0
    torch.testing.assert_close(terms["answer"], entropy)
    torch.testing.assert_close(terms["loss"], 20 * entropy, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("settings", "same"), [(ALONE, True), (IN_A_ROW, False)])
def test_what_a_block_learns_depends_on_those_before_it_only_in_a_row(
    teacher: MobileNet, settings: ImitationSettings, same: bool
) -> None:
    network = learner_for(teacher)

    def gradients() -> list[torch.Tensor]:
        network.zero_grad()
        imitation_loss(network, teacher, log_mel(), settings)["loss"].backward()
        later = [p.grad.clone() for p in network.features[9].parameters() if p.grad is not None]
        assert later
        return later

    first = gradients()
    with torch.no_grad():
        for parameter in network.features[3].parameters():
            parameter.add_(torch.randn_like(parameter))
    assert all(map(torch.equal, first, gradients())) is same


def test_a_learner_has_the_teacher_s_shape_other_weights_and_no_dropout(teacher: MobileNet) -> None:
    network = learner_for(teacher)
    own, wanted = network.state_dict(), teacher.state_dict()
    assert {name: t.shape for name, t in own.items()} == {n: t.shape for n, t in wanted.items()}
    assert not torch.equal(own["features.0.0.weight"], wanted["features.0.0.weight"])
    assert all(module.p == 0 for module in network.modules() if isinstance(module, nn.Dropout))
    maps = network.maps(log_mel())[-1]
    assert network.classifier is not None
    torch.testing.assert_close(network.classifier(maps), network.classifier(maps))


def test_a_difference_is_a_share_of_the_variance() -> None:
    wanted = torch.randn(2, 4, 8, 9) * torch.tensor([1.0, 10.0, 0.1, 3.0])[:, None, None]
    variance = wanted.var(dim=(0, 2, 3), keepdim=True)
    means = wanted.mean(dim=(0, 2, 3), keepdim=True)
    count = 2 * 8 * 9
    shares = (count - 1) / count * variance / (variance + VARIANCE_SHARE * variance.mean())
    torch.testing.assert_close(map_difference(means, wanted), shares.mean())
    torch.testing.assert_close(map_difference(means * 7, wanted * 7), shares.mean())
    assert map_difference(wanted, wanted) == 0


@pytest.mark.parametrize("place", range(4))
def test_weights_below_nothing_are_refused(place: int) -> None:
    weights = [1.0] * 4
    weights[place] = -0.5
    with pytest.raises(ValueError, match=r"order_weight are \(.*-0\.5.*\): none may be below 0"):
        ImitationSettings(True, *weights)


def last_layer(network: MobileNet) -> nn.Linear:
    return cast(nn.Linear, cast(nn.Sequential, network.classifier)[-1])


def test_the_order_term_counts_the_first_labels_most(teacher: MobileNet) -> None:
    """The same error costs more at a label that the teacher hears than at one that it does not."""
    settings = ImitationSettings(False, 0.0, 0.0, 0.0, 1.0)
    last = last_layer(teacher)
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.copy_(torch.tensor([4.0, 0.0, -4.0, -4.0, -4.0]))
        losses = []
        for label in range(3):
            network = copy.deepcopy(teacher)
            last_layer(network).bias[label] += 1.0
            terms = imitation_loss(network, teacher, log_mel(), settings)
            torch.testing.assert_close(terms["loss"], terms["order"])
            losses.append(terms["order"].item())
    assert losses[1] > 5 * losses[2] > 0
    same = imitation_loss(teacher, teacher, log_mel(), settings)
    assert abs(same["order"].item()) < 1e-6
