"""ConGater: gates and networks equal to the reference's, identity at 0, gates that only close."""

import pytest
import torch

from tests.official import assert_parity, fill, read_manifest
from tests.taggers.fixtures import assert_counts, counts, fixtures, load_fixture
from woosh.taggers.congater import GATES, ConGater, l_sigmoid, t_sigmoid
from woosh.taggers.passt import Passt
from woosh.taggers.published import from_published

TOY = {"width": 16, "depth": 2, "heads": 2, "frames": 36, "classes": 3, "bands": 36}


def test_gates_are_the_reference_s() -> None:
    io = load_fixture("congater_gates").io
    x, control = io["x"], io["t"][:, None]
    assert_parity(t_sigmoid(x, control), io["t_sigmoid"])
    assert_parity(l_sigmoid(x, control), io["l_sigmoid"])
    assert_parity(t_sigmoid(x, torch.tensor([[1.5], [2.0]])), io["t_sigmoid_beyond_1"])


@pytest.mark.parametrize("kind", GATES)
def test_gates_close_from_one_to_the_sigmoid(kind: str) -> None:
    """1 at t = 0, the sigmoid at t = 1, never rising between, within [0, 1]."""
    x, controls = torch.linspace(-12, 12, 97), torch.linspace(0, 1, 21)[:, None]
    gates = GATES[kind](x, controls)
    assert torch.equal(gates[0], torch.ones(97))
    torch.testing.assert_close(gates[-1], x.sigmoid())
    assert float(gates.diff(dim=0).max()) <= 1e-7
    assert float(gates.min()) >= 0 and float(gates.max()) <= 1


@pytest.mark.parametrize("name", fixtures("ConGater on PaSST"))
def test_results_are_the_reference_s(name: str) -> None:
    fixture = load_fixture(name)
    model = from_published(fixture.config, fill(read_manifest(fixture.folder)))
    assert_counts(model, fixture.config)
    assert list(model.state_dict()) == fixture.names
    for controls in fixture.config["controls"]:
        setting = "_".join(f"{value:g}" for value in controls)
        with torch.no_grad():
            logits, features = model(fixture.io["mel"], torch.tensor([controls]))
        assert_parity(logits, fixture.io[f"logits_{setting}"])
        assert_parity(features, fixture.io[f"features_{setting}"])
    with torch.no_grad():
        base = model.passt(fixture.io["mel"][:, 0])  # type: ignore[operator]
        ours = model(fixture.io["mel"], torch.zeros(1, len(fixture.config["domains"])))
    assert_parity(base.logits, fixture.io["logits_base"])
    for with_gates, without in zip(ours, base, strict=True):
        torch.testing.assert_close(with_gates, without, atol=1e-6, rtol=0)


@pytest.mark.parametrize("place", ["all", "last"])
def test_counts_and_names_are_the_published_ones(place: str) -> None:
    with torch.device("meta"):
        model = ConGater(Passt(classes=10), ("device", "location"), "T", place)
    assert_counts(model, counts()[f"congater_device_location_{place}"])


def test_each_clip_follows_its_own_controls() -> None:
    model = ConGater(Passt(**TOY), ("device", "place"), "L", "all").eval()  # type: ignore[arg-type]
    for gates in model.congater.values():
        for gate in gates:  # type: ignore[union-attr]
            torch.nn.init.normal_(gate.nonlinear[0].weight)
    x, controls = torch.randn(2, 1, 36, 36), torch.tensor([[0.0, 0.3], [1.0, 0.0]])
    with torch.no_grad():
        batch = model(x, controls).features
        for clip, control, made in zip(x, controls, batch, strict=True):
            torch.testing.assert_close(model(clip[None], control[None]).features[0], made)


def test_what_does_not_fit_is_refused() -> None:
    passt = Passt(**TOY)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="gate is 'S', of T, L"):
        ConGater(passt, ("device",), "S", "all")
    with pytest.raises(ValueError, match="at least one"):
        ConGater(passt, (), "T", "all")
    model, x = ConGater(passt, ("device",), "T", "last"), torch.zeros(1, 1, 36, 36)
    for controls in (torch.zeros(1, 2), torch.full((1, 1), -0.1), torch.zeros(1)):
        with pytest.raises(ValueError, match="controls are"):
            model(x, controls)
    with pytest.raises(ValueError, match="log_mel must be"):
        model(x[0], torch.zeros(1, 1))
