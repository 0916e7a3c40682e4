"""CP-Mobile: published counts, names, multiplications and results."""

import pytest
import torch

from tests.official import assert_parity
from tests.taggers.fixtures import (
    assert_counts,
    counts,
    fixtures,
    load_fixture,
    multiplications,
)
from woosh.taggers.cp_mobile import CpMobile, ResponseNorm
from woosh.taggers.published import from_published


def test_counts_names_and_multiplications_are_the_published_ones() -> None:
    expected = counts()["cpmobile"]
    with torch.device("meta"):
        model = CpMobile()
        assert_counts(model, expected)
        for frames in (64, 65):
            macs = sum(multiplications(model, 256, frames).values())
            assert macs == expected[f"macs_256x{frames}"]["macs"]


@pytest.mark.parametrize("name", fixtures("CP-Mobile"))
def test_results_are_the_reference_s(name: str) -> None:
    fixture = load_fixture(name)
    model = from_published(fixture.config, fixture.tensors())
    assert_counts(model, fixture.config)
    with torch.no_grad():
        logits, _ = model(fixture.io["x"])
        maps = model.maps(fixture.io["x"])  # type: ignore[operator]
    assert_parity(logits, fixture.io["logits"])
    places = [place for place in fixture.io if place.startswith("mean_stages")]
    for ours, place in zip(maps, sorted(places), strict=True):
        assert_parity(ours.mean(dim=(2, 3)), fixture.io[place])
    apart = (logits[0] - logits[1]).std() / logits.std()
    assert apart == pytest.approx(fixture.config["items_apart"], rel=0.05)


def test_the_response_norm_is_the_reference_s() -> None:
    fixture = load_fixture("cpmobile_response_norm")
    norm = ResponseNorm()
    with torch.no_grad():
        norm.gamma.fill_(fixture.config["gamma"])
        norm.beta.fill_(fixture.config["beta"])
        assert_parity(norm(fixture.io["x"]), fixture.io["y"])


def test_every_parameter_gets_a_gradient() -> None:
    model = CpMobile(base=8, multiplier=1.5, expansion=2, channels=2, classes=3)
    logits, features = model(torch.randn(2, 2, 40, 24))
    assert features.shape == (2, model.feature_width)
    logits.square().sum().backward()
    assert all(value.grad is not None for value in model.parameters())
