"""Networks of restricted receptive field: published counts, names and results, and two branches that shake."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.official import assert_parity
from tests.taggers.fixtures import assert_counts, counts, fixtures, load_fixture
from woosh.taggers.cp_densenet import CpDenseNet
from woosh.taggers.cp_resnet import CpResNet
from woosh.taggers.cp_vgg import CpVgg
from woosh.taggers.fields import Axis, ConvolutionForm, Fields
from woosh.taggers.published import from_published
from woosh.taggers.published_listening import cp_resnet_of
from woosh.taggers.shake_shake import mixed, shaken

USUAL = {"variant": "resnet", "width": 128, "channels": 2, "classes": 10, "pools_after": [1, 2, 4]}
SIZES: dict[str, dict[str, Any]] = {
    **{f"rho{rho}": {"rho": rho} for rho in range(23)},
    "fa_rho5": {"rho": 5, "variant": "faresnet"},
    "damped_rho5": {"rho": 5, "variant": "resnet_freq_damp"},
    **{f"rho{rho}_removed014": {"rho": rho, "removed": [0, 1, 4]} for rho in (0, 3, 7, 12)},
    "c64_rho5_removed003": {"rho": 5, "width": 64, "removed": [0, 0, 3]},
    **{
        f"decomposed_rho{rho}_removed014": {
            "rho": rho,
            "variant": "resnet_decomp",
            "removed": [0, 1, 4],
        }
        for rho in (0, 3, 5, 7, 12)
    },
    **{f"decomposed_rho{rho}": {"rho": rho, "variant": "resnet_decomp"} for rho in (0, 5)},
    "decomposed_rho3_c48_removed044": {
        "rho": 3,
        "variant": "resnet_decomp",
        "width": 48,
        "removed": [0, 4, 4],
    },
    "decomposed_damped_rho3_c48_removed044_3classes": {
        "rho": 3,
        "variant": "resnet_decomp_freq_damp",
        "width": 48,
        "removed": [0, 4, 4],
        "classes": 3,
    },
    "damped_rho4_c48_removed013": {
        "rho": 4,
        "variant": "resnet_freq_damp",
        "width": 48,
        "removed": [0, 1, 3],
    },
    "damped_pruned_rho4_c64_removed024_3classes": {
        "rho": 4,
        "variant": "resnet_df_prune",
        "width": 64,
        "removed": [0, 2, 4],
        "classes": 3,
    },
}
SHORT = Axis((3, 1, 3, 1), halved_after=(1,))
TOY = Fields((1, 1, 0), SHORT, SHORT)


@pytest.mark.parametrize("name", SIZES)
def test_counts_and_names_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        model = cp_resnet_of(USUAL | SIZES[name])
    assert_counts(model, counts()[f"cpresnet_{name}"])


@pytest.mark.parametrize(
    "name", [*fixtures("CP-ResNet"), *fixtures("CP-ResNet of the 2019 task 1B team")]
)
def test_results_are_the_reference_s(name: str) -> None:
    fixture = load_fixture(name)
    model = from_published(fixture.config, fixture.tensors())
    assert_counts(model, fixture.config)
    with torch.no_grad():
        logits, features = model(fixture.io["x"])
        maps = model.maps(fixture.io["x"])  # type: ignore[operator]
    assert_parity(logits, fixture.io["logits"])
    assert features.shape == (len(logits), model.feature_width)
    if "map" in fixture.io:
        assert_parity(maps[-1], fixture.io["map"])
    for ours, place in zip(maps, ("in_c", "stage1", "stage2", "stage3"), strict=True):
        if f"mean_{place}" in fixture.io:
            assert_parity(ours.mean(dim=(2, 3)), fixture.io[f"mean_{place}"])


@pytest.mark.parametrize("kind", [CpResNet, CpVgg, CpDenseNet])
@pytest.mark.parametrize(
    "form",
    [
        ConvolutionForm(),
        ConvolutionForm(coordinates=True),
        ConvolutionForm(decomposition=4),
        ConvolutionForm(groups=2),
    ],
    ids=["plain", "coordinates", "decomposed", "grouped"],
)
def test_a_batch_equals_singles_and_every_parameter_gets_a_gradient(
    kind: type[nn.Module], form: ConvolutionForm
) -> None:
    model = kind(4, 1, 3, TOY, form).eval()
    x = torch.randn(2, 1, 24, 20, generator=torch.Generator().manual_seed(0))
    batch = model(x)
    singles = torch.cat([model(clip[None]).logits for clip in x])
    torch.testing.assert_close(batch.logits, singles, atol=1e-5, rtol=1e-4)
    assert batch.features.shape == (2, model.feature_width)
    batch.logits.square().sum().backward()
    assert all(value.grad is not None for value in model.parameters())


def test_shaken_branches_have_shares_of_their_own_forwards_and_backwards() -> None:
    """y = a F1 + (1 - a) F2 with the gradients of b, for each clip by itself."""
    first, second = (torch.randn(3, 2, 4, 5, requires_grad=True) for _ in range(2))
    share, gradient_share = torch.tensor([0.0, 0.3, 1.0]), torch.tensor([1.0, 0.6, 0.2])
    made = mixed(first, second, share, gradient_share)
    shape = (3, 1, 1, 1)
    expected = share.reshape(shape) * first + (1 - share.reshape(shape)) * second
    torch.testing.assert_close(made, expected)
    made.sum().backward()
    assert first.grad is not None and second.grad is not None
    torch.testing.assert_close(first.grad[:, 0, 0, 0], gradient_share)
    torch.testing.assert_close(second.grad[:, 0, 0, 0], 1 - gradient_share)


def test_shares_are_drawn_for_each_clip() -> None:
    ones, zeros = torch.ones(50, 2, 3), torch.zeros(50, 2, 3)
    drawn = shaken(ones, zeros, torch.Generator().manual_seed(1))
    assert torch.equal(drawn, shaken(ones, zeros, torch.Generator().manual_seed(1)))
    assert (drawn == drawn[:, :1, :1]).all() and len(drawn[:, 0, 0].unique()) == 50
    assert 0 <= float(drawn.min()) < 0.2 and 0.8 < float(drawn.max()) <= 1


def test_in_evaluation_both_branches_count_by_halves() -> None:
    model = CpResNet(4, 1, 3, TOY, shakes=True).eval()
    x = torch.randn(2, 1, 24, 20)
    block = model.stage1.block1
    hidden = model.in_c(x)
    branches = [b.bn2(b.conv2(b.bn1(b.conv1(hidden)).relu())) for b in (block, block.second)]
    expected = (sum(branches) / 2 + hidden).relu()
    torch.testing.assert_close(block(hidden), expected)
    generator = torch.Generator().manual_seed(0)
    model.train()
    assert not torch.equal(model(x, generator).logits, model(x, generator).logits)


def test_settings_that_make_no_network_are_refused() -> None:
    for change, message in (
        ({"variant": "vgg"}, "'vgg'"),
        ({"removed": [0, 5, 0]}, "three numbers from 0 to 4"),
        ({"rho": 40}, "rho is 40"),
    ):
        with pytest.raises(ValueError, match=message):
            from_published({"model": "CP-ResNet", "rho": 5} | USUAL | change, {})
