"""Pruning by magnitude: the reference's masks and results, ramps, weights that stay cut, and bytes."""

import pytest
import torch
from torch import Tensor

from tests.official import assert_parity
from tests.taggers.fixtures import fixtures, load_fixture
from woosh.taggers.cp_mobile import CpMobile
from woosh.taggers.cp_resnet import CpResNet
from woosh.taggers.fields import Axis, ConvolutionForm, Fields
from woosh.taggers.published import from_published
from woosh.taggers.published_listening import cp_resnet_of
from woosh.training.taggers.pruning import (
    magnitude_masks,
    prune,
    pruned_share,
    stored_sizes,
)

SHORT = Axis((3, 1, 3, 1), halved_after=(1,))
PRUNED = "cpresnet_damped_pruned_rho4"


def toy() -> CpResNet:
    """A small network that can be pruned."""
    fields = Fields((1, 1, 0), SHORT, SHORT)
    return CpResNet(4, 1, 3, fields, ConvolutionForm(prunable=True))


def cut(model: CpResNet) -> dict[str, Tensor]:
    """The masks of a network."""
    return {n: v for n, v in model.named_buffers() if n.endswith("prune_mask")}


@pytest.mark.skipif(PRUNED not in fixtures("CP-ResNet"), reason="no shared fixture")
@pytest.mark.parametrize(("scope", "name"), [("network", "all"), ("layer", "layer")])
def test_masks_and_results_are_the_reference_s(scope: str, name: str) -> None:
    fixture = load_fixture(PRUNED)
    model = from_published(fixture.config, fixture.tensors())
    prune(model, 0.5, scope)
    for layer, mask in cut(model).items():  # type: ignore[arg-type]
        left = fixture.io[f"left_{name}.{layer.removesuffix('.prune_mask')}"]
        assert int(mask.sum()) == int(left)
    with torch.no_grad():
        assert_parity(model(fixture.io["x"]).logits, fixture.io[f"logits_{name}"])


def test_the_smallest_are_cut_over_all_or_within_each() -> None:
    weights = {"a": torch.tensor([1.0, -2, 3, 4]), "b": torch.tensor([10.0, -20, 30, 40])}
    over_all = magnitude_masks(weights, 0.5, "network")
    assert [mask.tolist() for mask in over_all.values()] == [[0] * 4, [1] * 4]
    within = magnitude_masks(weights, 0.5, "layer")
    assert [mask.tolist() for mask in within.values()] == [[0, 0, 1, 1], [0, 0, 1, 1]]
    with pytest.raises(ValueError, match="scope"):
        magnitude_masks(weights, 0.5, "block")


def test_ramps_rise_to_their_share_and_stay() -> None:
    for ramp in ("linear", "exponential"):
        shares = [pruned_share(epoch, 50, 0.8, ramp) for epoch in range(60)]
        assert shares[0] == 0 and shares == sorted(shares)
        assert shares[50:] == pytest.approx([0.8] * 10)
    assert pruned_share(25, 50, 0.8, "linear") == pytest.approx(0.4)
    assert pruned_share(25, 50, 0.8, "exponential") > 0.7  # much of it at first
    for share, ramp, message in ((1.0, "linear", "below 1"), (0.5, "steps", "ramp")):
        with pytest.raises(ValueError, match=message):
            pruned_share(1, 2, share, ramp)


def test_weights_that_are_cut_stay_zero_after_a_step() -> None:
    """Whatever an optimiser makes of them: the mask acts in every pass, and they get no gradient."""
    model, x = toy(), torch.randn(2, 1, 24, 20)
    prune(model, 0.7, "network")
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    model(x).logits.square().sum().backward()
    layer = model.stage1.block1.conv1
    assert not layer.weight.grad[layer.prune_mask == 0].any()
    optimizer.step()
    before = model.eval()(x).logits
    with torch.no_grad():
        layer.weight[layer.prune_mask == 0] = 100
    torch.testing.assert_close(model(x).logits, before)
    masks = list(cut(model).values())
    left = sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)
    assert left == pytest.approx(0.3, abs=0.01)


def test_bytes_of_every_form() -> None:
    model = toy()
    parameters = sum(value.numel() for value in model.parameters())
    matrices = [value for value in model.parameters() if value.ndim > 1]
    sizes = stored_sizes(model)
    assert sizes.float16 == 2 * parameters
    whole = sum(value.numel() for value in matrices)
    rows = sum(len(value) for value in matrices)
    assert sizes.int8 == whole + 2 * rows + 2 * (parameters - whole)
    prune(model, 0.9, "network")
    zero_biases = sum(int((value == 0).sum()) for value in model.parameters() if value.ndim < 2)
    left = sum(int(mask.sum()) for mask in cut(model).values())
    others = parameters - sum(mask.numel() for mask in cut(model).values())
    expected = 2 * (left + others - zero_biases) + -(-parameters // 8)
    assert stored_sizes(model).sparse_float16 == expected


def test_published_small_networks_fit_their_limits() -> None:
    """One of 500 kB and one of 128 kB in half precision, and CP-Mobile in eight bits."""
    usual = {"width": 48, "channels": 2, "classes": 10, "pools_after": [1, 2, 4]}
    damped = {"variant": "resnet_freq_damp", "rho": 4, "removed": [0, 1, 3]}
    decomposed = {"variant": "resnet_decomp", "rho": 3, "removed": [0, 4, 4]}
    assert stored_sizes(cp_resnet_of(usual | damped)).float16 == 2 * 247_316 <= 500_000
    assert stored_sizes(cp_resnet_of(usual | decomposed)).float16 == 2 * 18_740 <= 128_000
    assert stored_sizes(CpMobile()).int8 == 135_324


def test_only_prunable_networks_are_pruned() -> None:
    with pytest.raises(ValueError, match="no prunable convolution"):
        prune(CpMobile(base=8), 0.5, "layer")
