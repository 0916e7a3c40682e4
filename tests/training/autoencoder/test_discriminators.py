"""Discriminators and their losses: shapes, gradients, closed forms, and that they learn to tell sounds apart."""

import pytest
import torch
from torch import nn

from woosh.training.autoencoder.discriminators import (
    Discriminators,
    JudgedSounds,
    Verdict,
    adversarial_loss,
    balanced,
    discriminator_loss,
    feature_loss,
    judged,
    judging_step,
)
from woosh.training.modules import frozen


def made() -> Discriminators:
    torch.manual_seed(0)
    return Discriminators(periods=(2, 5), windows=(128, 256), bands=3, width=2)


def test_eight_discriminators_in_full_size() -> None:
    with torch.device("meta"):
        full = Discriminators()
    assert len(full.parts) == 8
    verdicts = made()(torch.randn(3, 2, 4001))  # any length, two channels
    assert [len(verdict.features) for verdict in verdicts] == [5, 5, 15, 15]
    assert all(verdict.scores.shape[0] == 6 for verdict in verdicts)


def test_every_parameter_gets_a_gradient() -> None:
    model = made()
    batch = JudgedSounds(torch.randn(2, 1, 4000), torch.randn(2, 1, 4000))
    judging_step(model, batch).backward()
    missing = [n for n, v in model.named_parameters() if v.grad is None or not v.grad.any()]
    assert missing == []


def test_losses_are_their_equations() -> None:
    def verdict(score: float, feature: float) -> list[Verdict]:
        return [Verdict(torch.full((2, 3), score), (torch.full((4,), feature),))] * 2

    good, bad = verdict(1.0, 0.0), verdict(-1.0, 0.5)
    assert discriminator_loss(good, bad) == 0
    assert discriminator_loss(bad, good) == 4  # half of 4, twice
    assert adversarial_loss(good) == 0 and adversarial_loss(bad) == 4
    assert feature_loss(good, bad) == 0.5


def test_judging_gives_gradients_to_the_sound_alone() -> None:
    model, audio = made(), torch.randn(2, 1, 4000)
    waveform = torch.randn(2, 1, 4000, requires_grad=True)
    losses = judged(model, audio, waveform)
    (losses["adversarial"] + losses["features"]).backward()
    assert waveform.grad is not None and waveform.grad.any()
    assert all(value.grad is None for value in model.parameters())
    for first, second in zip(frozen(model, audio), model(audio), strict=True):
        assert torch.equal(first.scores, second.scores)


def test_balanced_gradients_are_weighted_unit_vectors() -> None:
    output = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    losses = {"a": 1000 * output[0], "b": 0.001 * output[1].square()}
    balanced(losses, {"a": 1.0, "b": 3.0}, output).backward()
    assert output.grad is not None
    assert output.grad.tolist() == pytest.approx([0.25, 0.75, 0.0])


def test_they_learn_to_tell_noise_from_tones() -> None:
    model = made()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    tones = torch.sin(torch.arange(2000) * torch.tensor([[0.05], [0.3]]))[:, None]
    noise = 0.5 * torch.randn(2, 1, 2000)
    losses = []
    for _ in range(60):
        loss = judging_step(model, JudgedSounds(tones, noise))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_a_generator_follows_its_judges() -> None:
    """A sound that is free to move comes to be taken for a recording."""
    model, audio = made(), torch.randn(1, 1, 2000)
    sound = nn.Parameter(0.1 * torch.randn(1, 1, 2000))
    optimizer = torch.optim.Adam([sound], lr=0.05)
    distances = []
    for _ in range(60):
        loss = judged(model, audio, sound)["features"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        distances.append(loss.item())
    assert distances[-1] < 0.5 * distances[0]
