"""The loss of DiffusionNFT against its own minimum."""

import pytest
import torch

from woosh.training.flow.tuning import optimality, tuning_loss


@pytest.mark.parametrize("optimal", [0.0, 0.2, 0.5, 1.0])
def test_the_least_loss_lies_towards_good_sounds_and_away_from_bad_ones(optimal: float) -> None:
    """At v_present + (2 r - 1) / beta (target - v_present), where the derivative is zero."""
    generator = torch.Generator().manual_seed(0)
    present, target = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    reach = 0.7
    best = present + (2 * optimal - 1) / reach * (target - present)
    velocity, chances = (
        best.clone().requires_grad_(),
        torch.full((3,), optimal, dtype=torch.float64),
    )
    loss = tuning_loss(velocity, present, target, chances, reach)
    loss.backward()
    assert velocity.grad is not None and velocity.grad.abs().max() < 1e-12
    moved = best + 0.1 * torch.randn(best.shape, generator=generator, dtype=torch.float64)
    assert tuning_loss(moved, present, target, chances, reach) > loss


def test_each_sound_counts_by_its_own_chance() -> None:
    present, target = torch.zeros(2, 1, 3), torch.ones(2, 1, 3)
    velocity = torch.full((2, 1, 3), 0.5)
    loss = tuning_loss(velocity, present, target, torch.tensor([1.0, 0.0]), reach=1.0)
    assert loss.item() == pytest.approx((0.5**2 + 1.5**2) / 2)


def test_optimality_is_a_chance() -> None:
    advantage = torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0])
    assert optimality(advantage, 0.6, 0.3).tolist() == pytest.approx([0.0, 0.3, 0.6, 0.9, 1.0])
