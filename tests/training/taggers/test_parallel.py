"""Losses between parallel recordings: the reference's values, zero for equal ones, and what training by them does."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.official import assert_parity
from tests.taggers.fixtures import fixtures, load_fixture
from woosh.taggers.cp_resnet import CpResNet
from woosh.taggers.fields import Axis, Fields
from woosh.taggers.published import from_published
from woosh.training.taggers.parallel import (
    heard_at,
    mean_discrepancy,
    mutual_information,
    parallel_loss,
)

PUBLISHED = fixtures("CP-ResNet of the 2019 task 1B team")
SHORT = Axis((3, 1, 3, 1), halved_after=(1,))


@pytest.mark.skipif(not PUBLISHED, reason="no shared fixture")
def test_the_terms_are_the_reference_s() -> None:
    """Mean over three pairs of devices, and the negative mutual information of two assignments."""
    fixture = load_fixture(PUBLISHED[0])
    model = from_published(fixture.config, fixture.tensors())
    with torch.no_grad():
        logits = [model(part).logits for part in fixture.io["x"].split(3)]
    assert_parity(parallel_loss(logits)[None], fixture.io["mse"])
    found = -mutual_information(fixture.io["cluster_a"], fixture.io["cluster_b"])
    assert_parity(found[None], fixture.io["iic"])


@pytest.mark.parametrize("distance", [functional.mse_loss, mean_discrepancy])
def test_equal_versions_are_no_distance_apart(distance) -> None:  # noqa: ANN001 - any function
    same, other = torch.randn(2, 12, 5).unbind()
    assert float(parallel_loss([same, same, same], distance)) == pytest.approx(0, abs=1e-6)
    assert float(parallel_loss([same, other + 1], distance)) > 0.1
    with pytest.raises(ValueError, match="1 versions make no pair"):
        parallel_loss([same], distance)


def test_discrepancy_compares_sets_and_not_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(40, 3, generator=generator)
    assert float(mean_discrepancy(rows, rows.flip(0))) == pytest.approx(0, abs=1e-6)
    near, far = (float(mean_discrepancy(rows, rows + shift)) for shift in (0.1, 3.0))
    assert near < far / 10


def test_information_is_the_entropy_where_assignments_agree_and_nothing_where_they_do_not() -> None:
    sure = torch.eye(4).repeat(3, 1)
    assert float(mutual_information(sure, sure)) == pytest.approx(float(torch.tensor(4).log()))
    even = torch.full((12, 4), 0.25)
    assert float(mutual_information(sure, even)) == pytest.approx(0, abs=1e-6)


def test_any_layer_is_heard_with_its_graph() -> None:
    model = CpResNet(4, 1, 3, Fields((1, 1, 0), SHORT, SHORT)).eval()
    x = torch.randn(2, 1, 24, 20)
    torch.testing.assert_close(heard_at(model, "stage1", x), model.maps(x)[1])
    heard_at(model, "stage1.block1", x).sum().backward()
    assert model.stage1.block1.conv1.weight.grad is not None
    assert model.feed_forward[0].weight.grad is None
    with pytest.raises(ValueError, match="no layer 'stage9'; there are in_c"):
        heard_at(model, "stage9", x)


def test_training_with_the_term_makes_a_layer_indifferent_to_devices() -> None:
    """Two synthetic devices colour the same sounds; what the layer hears of them grows alike, relative to its spread."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    colours = torch.tensor([[1.0] * 8, [1.0] * 4 + [3.0] * 4])
    labels = torch.arange(4).repeat(8)
    sounds = torch.randn(32, 8) + 2 * functional.one_hot(labels, 8)

    def apart() -> Tensor:
        heard = [heard_at(model, "2", sounds * colour) for colour in colours]
        return parallel_loss(heard) / torch.cat(heard).var()

    before = float(apart().detach())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = functional.cross_entropy(model(sounds), labels) + apart()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(apart().detach()) < before / 3
    assert float((model(sounds * colours[1]).argmax(1) == labels).float().mean()) > 0.9


def accuracy_on_the_target(weight: float, trial: int) -> float:
    """Of a small network that learned labels of one device alone, on another one that adds to every band."""
    generator = torch.Generator().manual_seed(trial)
    shapes = torch.randn(5, 16, generator=generator)  # of five kinds, in bands

    def spectra(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        kinds = torch.randint(5, (count,), generator=generator)
        return shapes[kinds] + torch.randn(count, 16, generator=generator), kinds

    def filtered(x: torch.Tensor) -> torch.Tensor:
        return x + colour

    colour = 2.5 * torch.randn(16, generator=generator)
    (sounds, labels), (beside, _) = spectra(200), spectra(40)
    torch.manual_seed(trial)
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 5))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        versions = [heard_at(model, "2", x) for x in (beside, filtered(beside))]
        loss = functional.cross_entropy(model(sounds), labels) + weight * parallel_loss(versions)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    judged, true = spectra(400)
    return float((model(filtered(judged)).argmax(1) == true).float().mean())


def test_unlabelled_pairs_help_on_the_device_without_labels() -> None:
    """Random filters, the mean of five trials: labels are of one device, forty pairs tell what the other does to sounds."""
    with_term, without = (
        sum(accuracy_on_the_target(weight, trial) for trial in range(5)) / 5
        for weight in (0.1, 0.0)
    )
    assert with_term > without + 0.1
