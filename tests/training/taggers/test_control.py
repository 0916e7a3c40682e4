"""What a ConGater learns from: heads that guess a domain, and a gradient that comes back reversed."""

import math

import torch

from woosh.training.taggers.control import DomainHeads, domain_loss, reversed_gradient


def test_a_reversed_gradient_leaves_the_value_and_turns_the_gradient() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    made = reversed_gradient(x, 0.5)
    assert torch.equal(made, x)
    (made * torch.arange(4)).sum().backward()
    torch.testing.assert_close(x.grad, -0.5 * torch.arange(4).expand(3, 4).float())


def test_heads_learn_what_features_unlearn() -> None:
    """A step down the loss makes the heads better guessers, and features that follow it harder to guess from."""
    torch.manual_seed(0)
    heads, domain = DomainHeads(6, 3, hidden=8), torch.tensor([0, 1, 2, 0])
    features = torch.randn(4, 6, requires_grad=True)
    loss = domain_loss(heads(features, 1.0), domain)
    loss.backward()
    with torch.no_grad():
        moved = features - 0.1 * features.grad
        assert domain_loss(heads(moved, 1.0), domain) > loss
        for value in heads.parameters():
            value -= 0.1 * value.grad
        assert domain_loss(heads(features, 1.0), domain) < loss


def test_the_loss_is_the_mean_over_heads() -> None:
    logits = torch.zeros(5, 3, 4)
    domain = torch.tensor([0, 1, 2, 3, 0])
    assert math.isclose(float(domain_loss(logits, domain)), math.log(4), rel_tol=1e-6)
    logits[:, 0].scatter_(1, domain[:, None], 100.0)  # one of the three heads knows
    assert math.isclose(float(domain_loss(logits, domain)), math.log(4) * 2 / 3, rel_tol=1e-6)
