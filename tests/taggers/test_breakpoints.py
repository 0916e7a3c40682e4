"""Deep SNP: the reference's results, its head, its sizes."""

import numpy as np
import pytest
import torch

from tests.official import assert_parity
from tests.taggers.fixtures import fixtures, load_fixture
from woosh.metrics.precision import roc_area
from woosh.taggers.breakpoints import (
    DeepSnp,
    attended,
    attention_places,
    break_places,
    hard_sigmoid,
)
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
    places = (torch.arange(10) + 0.5) / 10
    assert break_places(said, places).tolist() == pytest.approx([0.4, 0.7])
    assert attention_places(said.diff(dim=1).abs(), places[1:]).tolist() == pytest.approx(
        [0.45, 0.75]
    )


@pytest.mark.parametrize(("margin", "strided"), [(160, False), (1400, True)])
def test_steps_lie_in_the_middle_of_what_they_hear(margin: int, strided: bool) -> None:
    """The support of a step's gradient has its place in the middle, but for a position or two of rounding."""
    model = DeepSnp(margin, strided=strided, memory=False).eval()
    x = torch.randn(1, 2, 4 * margin, requires_grad=True)
    features = model.features(x)
    step = features.shape[2] // 2
    features[0, 0, step].sum().backward()
    heard = x.grad[0, 0].nonzero()  # type: ignore[index]
    ends = float(heard.min()), float(heard.max()) + 1
    assert ends[0] > 0 and ends[1] < 4 * margin
    place = float(model.step_places(features.shape[2])[step]) * 4 * margin
    assert place == pytest.approx(sum(ends) / 2, abs=5 if strided else 1)


def test_a_step_without_memory_hears_no_more_than_its_convolutions() -> None:
    """Its attention does not change with what lies far away; with the recurrent layers it does."""
    x = torch.randn(1, 2, 2400)
    changed = x.clone()
    changed[:, :, :200] += 3
    for memory in (True, False):
        torch.manual_seed(0)
        model = DeepSnp(600, memory=memory).eval()
        with torch.no_grad():
            last = [model(y).attention[0, -1] for y in (x, changed)]
        assert torch.equal(*last) is not memory


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
