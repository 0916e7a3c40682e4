"""Losses from labels and teachers: equal to the reference's, exact at their limits, right for mixtures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from tests.paths import ROOT
from woosh.training.taggers.distillation import (
    DistillationSettings,
    Mixture,
    Targets,
    constant_logits,
    distillation_loss,
    draw_mixture,
)

FIXTURE = load_file(Path(ROOT / "tests/fixtures/taggers/distillation/io.safetensors"))


def alone(count: int) -> Mixture:
    return Mixture(torch.ones(count), torch.arange(count))


def values(
    logits: torch.Tensor, targets: Targets, mixture: Mixture, settings: DistillationSettings
) -> torch.Tensor:
    terms = distillation_loss(logits, targets, mixture, settings)
    return torch.stack([terms["loss"], terms["label"], terms["teacher"]])


@pytest.mark.parametrize("temperature", [1, 2])
@pytest.mark.parametrize("mixed", [False, True])
def test_tags_as_the_reference_weighs_them(temperature: int, mixed: bool) -> None:
    mixture, name = alone(4), f"tags_T{temperature}"
    if mixed:
        mixture = Mixture(FIXTURE["tags_lam"], FIXTURE["tags_permutation"].long())
        name = f"tags_mixup_T{temperature}"
    targets = Targets(FIXTURE["tags_label"], FIXTURE["tags_teacher"])
    settings = DistillationSettings("multi-label", 0.1, float(temperature))
    found = values(FIXTURE["tags_student"], targets, mixture, settings)
    torch.testing.assert_close(found, FIXTURE[name].float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("temperature", "share"), [(1, 0.02), (2, 0.02), (4, 0.5)])
def test_scenes_as_the_reference_weighs_them(temperature: int, share: float) -> None:
    labels = functional.one_hot(FIXTURE["scene_label"].long(), 10).float()
    targets = Targets(labels, FIXTURE["scene_teacher"])
    settings = DistillationSettings("multi-class", share, float(temperature))
    found = values(FIXTURE["scene_student"], targets, alone(6), settings)
    loss, label, teacher = FIXTURE[f"scene_T{temperature}_lambda{share}"].float()
    torch.testing.assert_close(found[0], loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(share * found[1], label, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close((1 - share) * found[2], teacher, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("task", ["multi-label", "multi-class"])
def test_limits(task: str) -> None:
    logits = torch.randn(5, 4, requires_grad=True)
    labels = functional.one_hot(torch.arange(5) % 4, 4).float()
    alike = Targets(labels, logits.detach().clone())
    plain = (
        functional.binary_cross_entropy_with_logits(logits, labels)
        if task == "multi-label"
        else functional.cross_entropy(logits, labels)
    )
    only_labels = distillation_loss(logits, alike, alone(5), DistillationSettings(task, 1.0, 1.0))
    torch.testing.assert_close(only_labels["loss"], plain)
    assert "teacher" not in only_labels
    only_teacher = distillation_loss(logits, alike, alone(5), DistillationSettings(task, 0.0, 2.0))
    if task == "multi-class":
        assert only_teacher["loss"].item() == pytest.approx(0, abs=1e-6)
        only_teacher["loss"].backward()
        assert logits.grad is not None and logits.grad.abs().max() < 1e-6
    same = distillation_loss(logits, alike, alone(5), DistillationSettings(task, 0.0, 1.0))
    (gradient,) = torch.autograd.grad(same["loss"], logits)
    assert gradient.abs().max() < 1e-6


def test_one_kind_of_target_is_enough_and_none_is_not() -> None:
    logits, settings = torch.randn(3, 4), DistillationSettings("multi-label", 0.0, 1.0)
    assert set(distillation_loss(logits, Targets(torch.ones(3, 4), None), alone(3), settings)) == {
        "loss",
        "label",
    }
    with pytest.raises(ValueError, match="teach nothing"):
        distillation_loss(logits, Targets(None, None), alone(3), settings)


@pytest.mark.parametrize(
    "wrong", [("tags", 0.1, 1.0), ("multi-label", 1.1, 1.0), ("multi-class", 0.1, 0.0)]
)
def test_settings_that_are_not_possible(wrong: tuple[str, float, float]) -> None:
    with pytest.raises(ValueError, match="must be one of|from 0 to 1"):
        DistillationSettings(*wrong)


def test_mixtures() -> None:
    mixture = draw_mixture(200, 0.3, np.random.default_rng(0))
    assert ((mixture.share >= 0.5) & (mixture.share <= 1)).all() and mixture.share.std() > 0.05
    assert sorted(mixture.partner.tolist()) == list(range(200))
    rows = torch.randn(200, 3, 2)
    mixed = mixture.of(rows)
    expected = mixture.share[7] * rows[7] + (1 - mixture.share[7]) * rows[mixture.partner[7]]
    torch.testing.assert_close(mixed[7], expected)
    none = draw_mixture(5, 0.0, np.random.default_rng(0))
    assert torch.equal(none.of(rows[:5]), rows[:5])


@pytest.mark.parametrize("task", ["multi-label", "multi-class"])
def test_a_fresh_head_starts_from_how_common_labels_are(task: str) -> None:
    back = task == "multi-label"
    settings = DistillationSettings(task, 0.5, 1.0)
    labels = functional.one_hot(torch.tensor([0, 0, 0, 1]), 3).float()
    logits = constant_logits([Targets(labels, None)], settings)
    shares = logits.sigmoid() if back else logits.softmax(dim=0)
    torch.testing.assert_close(shares, torch.tensor([0.75, 0.25, 0.0]), atol=1e-5, rtol=0)
    answers = torch.tensor([[2.0, -2.0, 0.0]])
    own = constant_logits([Targets(None, answers)], settings)
    shares = own.sigmoid() if back else own.softmax(dim=0)
    expected = answers[0].sigmoid() if back else answers[0].softmax(dim=0)
    torch.testing.assert_close(shares, expected, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="teach nothing"):
        constant_logits([Targets(None, None)], settings)


def test_the_temperature_leaves_the_gradient_of_small_logits() -> None:
    """T^2 makes up for the softer targets: within a tenth between 2 and 8 (arXiv 1503.02531)."""
    torch.manual_seed(0)
    student, teacher = 0.1 * torch.randn(2, 8, 10)
    mixture, norms = draw_mixture(8, 0.0, np.random.default_rng(0)), []
    for temperature in (2.0, 8.0):
        logits = student.clone().requires_grad_(True)
        settings = DistillationSettings("multi-class", 0.0, temperature)
        distillation_loss(logits, Targets(None, teacher), mixture, settings)["loss"].backward()
        assert logits.grad is not None
        norms.append(float(logits.grad.norm()))
    assert norms[0] == pytest.approx(norms[1], rel=0.1)


def test_labels_that_are_not_known_teach_nothing() -> None:
    """Neither by what they say nor in a mixture with a sound that does not know them."""
    logits = torch.randn(2, 3, requires_grad=True)
    labels = torch.tensor([[1.0, 0, 0], [0, 1, 1]])
    known = torch.tensor([[1.0, 1, 0], [1, 0, 1]])
    settings = DistillationSettings("multi-label", 1.0, 1.0)
    alone = draw_mixture(2, 0.0, np.random.default_rng(0))
    loss = distillation_loss(logits, Targets(labels, None, known), alone, settings)["loss"]
    chosen = known.bool()
    expected = functional.binary_cross_entropy_with_logits(logits[chosen], labels[chosen])
    torch.testing.assert_close(loss, expected)
    mixed = Mixture(torch.tensor([0.7, 0.7]), torch.tensor([1, 0]))
    loss = distillation_loss(logits, Targets(labels, None, known), mixed, settings)["loss"]
    loss.backward()
    assert logits.grad is not None and logits.grad[:, 1:].count_nonzero() == 0
