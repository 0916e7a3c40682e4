"""Deep SNP: the reference's results, its head, its sizes."""

import numpy as np
import pytest
import torch

from tests.official import assert_parity
from tests.taggers.fixtures import fixtures, load_fixture
from woosh.metrics.precision import roc_area
from woosh.taggers.breakpoints import DeepSnp, attended, break_places, hard_sigmoid
from woosh.taggers.published import from_published
from woosh.taggers.snp_arrays import normalised, simulated_windows
from woosh.training.taggers.breaks import learn_breaks


@pytest.mark.parametrize("name", fixtures("Deep SNP"))
def test_results_are_the_reference_s(name: str) -> None:
    fixture = load_fixture(name)
    model = from_published(fixture.config, fixture.tensors())
    assert sum(value.numel() for value in model.parameters()) == fixture.config["parameters"]
    state = {n: v for n, v in model.state_dict().items() if not n.endswith("tracked")}
    assert sum(value.numel() for value in state.values()) == fixture.config["with_buffers"]
    assert sorted(state) == sorted(fixture.names)
    with torch.no_grad():
        breaks = model(fixture.io["x"])
        if "features" in fixture.io:
            assert_parity(model.features(fixture.io["x"]), fixture.io["features"])  # type: ignore[operator]
    assert breaks.attention.shape[1] == fixture.config["steps"]
    assert_parity(breaks.probabilities, fixture.io["y"])
    assert_parity(breaks.attention, fixture.io["attention"])
    assert_parity(breaks.localisation, fixture.io["localisation"])
    assert_parity(breaks.localisation.mean(dim=1), fixture.io["y_mean_of_localisation"])


@pytest.mark.parametrize(
    ("margin", "strided", "steps"), [(50, False, 5), (1250, False, 77), (250, True, 6)]
)
def test_steps_follow_the_margin(margin: int, strided: bool, steps: int) -> None:
    with torch.device("meta"):
        model = DeepSnp(margin, strided=strided).eval()
        assert model.features(torch.zeros(1, 2, 4 * margin)).shape == (1, 2, steps, 304)


def test_the_head_weighs_what_steps_say() -> None:
    """Whatever factor attention has; steps that all say the same are believed."""
    generator = torch.Generator().manual_seed(0)
    said, attention = torch.rand(2, 2, 9, 3, generator=generator)
    torch.testing.assert_close(attended(said, 0.01 * attention), attended(said, attention))
    same = said[:, :1].expand(2, 9, 3)
    torch.testing.assert_close(attended(same, attention), same[:, 0])


def test_hard_sigmoids_are_straight_between_two_edges() -> None:
    x = torch.tensor([-3.0, -2.5, 0, 1, 2.5, 3])
    torch.testing.assert_close(hard_sigmoid(x), torch.tensor([0, 0, 0.5, 0.7, 1, 1]))


def test_every_parameter_gets_a_gradient_and_other_shapes_are_refused() -> None:
    model = DeepSnp(25)
    model(torch.randn(2, 2, 100)).probabilities.sum().backward()
    assert all(value.grad is not None for value in model.parameters())
    with pytest.raises(ValueError, match=r"x must be \(B, 2, positions\)"):
        model(torch.zeros(1, 3, 100))


def test_a_break_is_where_opinions_change_most() -> None:
    said = torch.full((2, 10, 2), 0.5)
    said[0, 4:, 1] = 0.9
    said[1, :7, 1] = 0.1
    assert break_places(said).tolist() == pytest.approx([0.4, 0.7])


@pytest.mark.slow
def test_breaks_are_learned_from_labels_of_windows() -> None:
    """At a high signal-to-noise ratio, without ever being told where they are."""

    def drawn(count: int, generator: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        windows = simulated_windows(count, 100, 0.1, generator)
        return torch.from_numpy(normalised(windows.tracks)), torch.from_numpy(windows.broken)

    torch.manual_seed(0)
    model, generator = DeepSnp(100), np.random.default_rng(0)
    for _ in learn_breaks(model, lambda: drawn(16, generator), 40, 1e-3):
        pass
    x, broken = drawn(60, np.random.default_rng(1))
    with torch.no_grad():
        said = model(x).probabilities[:, 1]
    assert roc_area(said, broken) >= 0.95
