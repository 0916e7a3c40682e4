"""The detail network: what it starts from is Bayes' rule, and an untrained one changes nothing of it."""

import pytest
import torch

from woosh.autoencoder.detail import DetailNetwork, gaussian_guess


def test_the_guess_is_bayes_rule() -> None:
    # One channel that is given and one that is not: the conditional of a joint normal, by matrices.
    deviation, time, doubt = torch.tensor([2.0, 0.5]), 0.6, 0.3
    noisy, given = torch.tensor([0.7, -0.4]), torch.tensor([1.1])
    mean, spread = gaussian_guess(
        noisy[None, None],
        torch.tensor([time]),
        given[None, None],
        torch.tensor([doubt]),
        deviation,
    )
    for channel, looks in enumerate(([noisy[0], given[0]], [noisy[1]])):
        gains = torch.tensor([1 - time, 1.0][: len(looks)], dtype=torch.float64)
        noises = torch.tensor([time, doubt][: len(looks)], dtype=torch.float64)
        variance = float(deviation[channel]) ** 2
        covariance = variance * gains[:, None] * gains + torch.diag(noises**2)
        weights = variance * gains @ torch.linalg.inv(covariance)
        expected = float(weights @ torch.tensor(looks, dtype=torch.float64))
        left = float(variance - weights @ (variance * gains))
        assert mean[0, 0, channel].item() == pytest.approx(expected, abs=1e-5)
        assert spread[0, 0, channel].item() == pytest.approx(left**0.5, abs=1e-5)


def test_channels_given_without_doubt_are_believed() -> None:
    given, noisy = torch.randn(2, 5, 3), torch.randn(2, 5, 8)
    network = DetailNetwork(channels=8, given=3, width=16, inner_width=24, layers=2)
    guess = network(noisy, torch.tensor([0.2, 0.9]), given, torch.zeros(2), torch.ones(8))
    assert torch.allclose(guess[..., :3], given, atol=1e-3)


def test_every_parameter_gets_a_gradient() -> None:
    network = DetailNetwork(channels=8, given=3, width=16, inner_width=24, layers=2)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    guess = network(
        torch.randn(2, 5, 8),
        torch.tensor([0.2, 0.9]),
        torch.randn(2, 5, 3),
        torch.tensor([0.0, 0.5]),
        torch.ones(8),
    )
    guess.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
