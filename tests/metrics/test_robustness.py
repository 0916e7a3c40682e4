"""Attacks stay in their ball and do harm, stress is the Laplacian, influence is what leaving items out shows."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional

from woosh.metrics.robustness import fgsm, influences, pgd, probe, radius_below, stress


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 4)).requires_grad_(False)


@pytest.mark.parametrize("decibels", [10.0, 40.0])
def test_attacks_stay_in_the_ball_and_raise_the_loss(network: nn.Module, decibels: float) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(16, 20, generator=generator)
    classes = network(x).argmax(dim=1)
    radius = radius_below(x, decibels)
    once, often = fgsm(network, x, classes, radius), pgd(network, x, classes, radius)
    losses = [
        functional.cross_entropy(network(y), classes, reduction="none") for y in (x, once, often)
    ]
    assert ((once - x).abs() <= radius * 1.001).all() and (
        (often - x).abs() <= radius * 1.001
    ).all()
    level = 10 * ((once - x).pow(2).mean(1) / x.pow(2).mean(1)).log10()
    torch.testing.assert_close(level, torch.full((16,), -decibels), atol=0.05, rtol=0)
    assert losses[1].mean() > losses[0].mean()
    assert (losses[2] >= losses[1]).all()


def test_stress_is_twice_the_trace_of_a_quadratic_form_and_zero_for_what_is_linear() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(30, 30, generator=generator, dtype=torch.float64) + 3 * torch.eye(30)
    x = torch.randn(30, generator=generator, dtype=torch.float64)

    def quadratic(points: Tensor) -> Tensor:
        return torch.einsum("bi,ij,bj->b", points, matrix, points)

    exact = 2 * float(matrix.trace())
    assert float(stress(quadratic, x, 0.1, 30, generator)) == pytest.approx(exact, rel=1e-6)
    linear = stress(lambda points: points @ matrix[0], x, 0.1, 5, generator)
    assert float(linear) == pytest.approx(0, abs=1e-9)
    # Of fewer directions than dimensions the mean is right.
    some = [float(stress(quadratic, x, 0.1, 6, generator)) for _ in range(300)]
    assert sum(some) / 300 == pytest.approx(exact, rel=0.05)


def test_influence_ranks_items_as_leaving_each_out_does() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(70, 5, generator=generator, dtype=torch.float64)
    noise = torch.randn(70, generator=generator, dtype=torch.float64)
    classes = (x[:, 0] + 0.7 * noise > 0).long()
    own, others = (x[:40], classes[:40]), (x[40:], classes[40:])
    found = influences(*own, *others).mean(dim=1)

    def loss(kept: Tensor) -> float:
        padded, asked = (
            functional.pad(part, (0, 1), value=1.0) for part in (own[0][kept], others[0])
        )
        # The mean loss is of one item fewer: so much more decay leaves the decay of the sum as it was.
        weights = probe(padded, own[1][kept], 2, 0.01 * 40 / len(kept))
        return float(functional.cross_entropy(asked @ weights, others[1]))

    everything = torch.arange(40)
    whole = loss(everything)
    truth = [loss(everything[everything != number]) - whole for number in range(40)]
    assert spearmanr(found, truth).statistic > 0.95
    assert np.corrcoef(found, truth)[0, 1] > 0.95


def test_a_copy_of_what_is_asked_about_helps() -> None:
    """And that of the item which is learned worst helps it more than any other."""
    generator = torch.Generator().manual_seed(2)
    x = functional.normalize(torch.randn(20, 16, generator=generator), dim=1)
    classes = torch.arange(20) % 2
    found = influences(x, classes, x, classes)
    own = found.diagonal()
    assert (own > 0).all()
    assert found[:, own.argmax()].argmax() == own.argmax()
