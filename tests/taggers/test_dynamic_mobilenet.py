"""Dynamic MobileNets: published counts, names and results, and what is dynamic about them."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.official import assert_parity
from tests.paths import SHARED
from tests.taggers.fixtures import (
    Fixture,
    assert_counts,
    counts,
    fixtures,
    load_fixture,
    multiplications,
)
from woosh.taggers.dynamic_mobilenet import (
    DynamicBlock,
    DynamicConvolution,
    DynamicMobileNet,
    DynamicRelu,
    context_size,
    kernel_temperature,
)
from woosh.taggers.mobilenet import BlockShape, block_shapes
from woosh.taggers.published import dynamic_mobilenet_of, from_published

KEYS = SHARED / "spec" / "keys" / "dymn10_keys.txt"
TEMPERATURES = SHARED / "official" / "taggers" / "dymn_temperature" / "config.json"
TOLERANCE = 5e-4
SIZES: dict[str, dict[str, Any]] = {
    **{f"dymn{n:02d}": {"width": n / 10} for n in (4, 10, 20)},
    "dymn04_replace_se": {"width": 0.4, "dynamic_blocks": "replace_se"},
    "dymn10_replace_se": {"width": 1.0, "dynamic_blocks": "replace_se"},
}


@pytest.mark.parametrize("name", SIZES)
def test_counts_names_and_multiplications_are_the_published_ones(name: str) -> None:
    expected = counts()[name]
    model = dynamic_mobilenet_of({"num_classes": 527, **SIZES[name]})
    assert_counts(model, expected)
    found = multiplications(model)
    # The mixing of kernels, matrix products without a bias, is not in this count.
    assert sum(n for kind, n in found.items() if kind != "aten.mm") == expected["macs"]
    with_mixing = {"dymn04": 0.1176e9, "dymn10": 0.5820e9, "dymn20": 2.2217e9}
    if name in with_mixing:
        assert sum(found.values()) == pytest.approx(with_mixing[name], rel=0.01)


def test_names_and_shapes_are_those_of_the_list() -> None:
    if not KEYS.is_file():
        pytest.skip("no shared list of published names")
    with torch.device("meta"):
        model = DynamicMobileNet()
    ours = [f"{name} {tuple(value.shape)}" for name, value in model.state_dict().items()]
    assert ours == KEYS.read_text().splitlines()


def test_context_sizes_are_the_published_ones() -> None:
    for name in ("dymn04", "dymn10", "dymn20"):
        width = SIZES[name]["width"]
        shapes = block_shapes(width, (2, 2, 2, 2), (128, 1000))
        assert [context_size(shape.expanded, width) for shape in shapes] == counts()[name][
            "context"
        ]


@pytest.mark.parametrize("temperature", [1, 30])
@pytest.mark.parametrize("name", fixtures("DyMN"))
def test_results_are_the_reference_s(name: str, temperature: int) -> None:
    fixture = load_fixture(name)
    state = fixture.tensors()
    if temperature == 30:
        state |= fixture.tensors("state_tau30")
    model = from_published(fixture.config, state)
    assert list(model.state_dict()) == fixture.names
    model.set_temperature(temperature)  # type: ignore[operator]
    with torch.no_grad():
        logits, features = model(fixture.io["mel"])
        maps = [x.mean(dim=(2, 3)) for x in model.maps(fixture.io["mel"])]  # type: ignore[operator]
    assert_parity(logits, fixture.io[f"logits_tau{temperature}"], TOLERANCE)
    assert_parity(features, fixture.io[f"features_tau{temperature}"], TOLERANCE)
    if temperature == 1:
        for number, ours in enumerate(maps):
            assert_parity(ours, fixture.io[f"map{number:02d}"], TOLERANCE)
        apart = (logits[0] - logits[1]).std() / logits.std()
        assert apart == pytest.approx(fixture.config["items_apart"], rel=0.05)


def block_of(fixture: Fixture) -> DynamicBlock:
    """The one block of a fixture."""
    config = fixture.config
    shape = BlockShape(
        config["in_channels"],
        config["expanded"],
        config["out_channels"],
        config["kernel"],
        config["stride"],
        dilation=1,
        activation={"RE": nn.ReLU, "HS": nn.Hardswish}[config["activation"]],
        squeeze=False,
        bands=1,
        frames=1,
    )
    block = DynamicBlock(shape, config["context"]).eval()
    constants = {n: v for n, v in block.state_dict().items() if n.startswith("depth_act.")}
    counters = {n: v for n, v in block.state_dict().items() if n.endswith("batches_tracked")}
    block.load_state_dict({**constants, **counters, **fixture.tensors()})
    return block


@pytest.mark.parametrize("temperature", [1, 30])
@pytest.mark.parametrize("name", fixtures("one DyMN block"))
def test_every_part_of_a_block_is_the_reference_s(name: str, temperature: int) -> None:
    fixture = load_fixture(name)
    block, x = block_of(fixture), fixture.io["x"]
    end = f"_tau{temperature}"

    def same(ours: Tensor, reference: str) -> None:
        assert_parity(ours.flatten(), fixture.io[reference].flatten(), TOLERANCE)

    with torch.no_grad():
        y, view = block(x, temperature)
        context = block.context_gen(x)
    same(y, f"y{end}")
    same(context.vector, "context")
    same(context.bands, "attention_f")
    same(context.frames, "attention_t")
    for attention, part in zip(view[:3], ("exp_conv", "depth_conv", "proj_conv"), strict=True):
        if attention is not None:
            same(attention, f"{part}_weights{end}")
    relu = block.depth_act
    theta = (view.lines - relu.init_v) / relu.lambdas
    same(theta, "relu_coefficients")
    same(relu(fixture.io[f"depth_norm{end}"], view.lines), f"depth_act{end}")


def test_temperature_falls_to_one_and_stays() -> None:
    assert [kernel_temperature(epoch) for epoch in (0, 10, 28, 29, 44)] == [30, 20, 2, 1, 1]
    assert [kernel_temperature(epoch, first=1) for epoch in (0, 20)] == [1, 1]
    if TEMPERATURES.is_file():
        table = json.loads(TEMPERATURES.read_text())["temperature"]
        published = table["default 30, 1, slope 1, slope .02"]
        assert [kernel_temperature(epoch) for epoch in range(45)] == published


def test_four_equal_kernels_are_one_plain_convolution() -> None:
    layer = DynamicConvolution(6, 6, 3, context=8)
    with torch.no_grad():
        layer.weight.copy_(layer.weight[:, :, :1].expand_as(layer.weight))
    x, context = torch.randn(2, 6, 9, 7), torch.randn(2, 8)
    plain = functional.conv2d(
        x, layer.weight[0, 0, 0].reshape(6, 1, 3, 3), stride=2, padding=1, groups=6
    )
    torch.testing.assert_close(layer(x, layer.attention(context, 1.0), stride=2), plain)


def test_a_high_temperature_weighs_all_kernels_alike() -> None:
    attention = DynamicConvolution(6, 4, 1, context=8).attention(torch.randn(2, 8), 1e6)
    torch.testing.assert_close(attention, torch.full((2, 4), 0.25), atol=1e-5, rtol=0)


def test_zero_coefficients_are_the_plain_relu() -> None:
    relu = DynamicRelu(5, context=8)
    for parameter in relu.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, 5, 4, 3)
    torch.testing.assert_close(relu(x, relu.lines(torch.randn(2, 8))), x.relu())


@pytest.mark.parametrize("replace_squeeze", [False, True])
def test_a_batch_equals_singles_gradients_flow_and_views_are_there(replace_squeeze: bool) -> None:
    model = DynamicMobileNet(0.1, classes=5, replace_squeeze=replace_squeeze).eval()
    log_mel = torch.randn(2, 1, 128, 70, generator=torch.Generator().manual_seed(0))
    batch = model(log_mel)
    singles = [model(clip[None]) for clip in log_mel]
    assert torch.allclose(batch[0], torch.cat([one[0] for one in singles]), atol=1e-5)
    batch.logits.square().sum().backward()
    assert all(value.grad is not None for value in model.parameters())
    views = model.views(log_mel)
    assert sum(view is None for view in views) == (7 if replace_squeeze else 0)
    for view in views:
        if view is not None:
            torch.testing.assert_close(view.depthwise.sum(dim=1), torch.ones(2))
            assert view.lines.shape[2] == 4
    first = next(view for view in views if view is not None)
    assert not torch.equal(first.depthwise[0], first.depthwise[1])  # it follows the clip
    model.set_temperature(1e6)
    flat = next(view for view in model.views(log_mel) if view is not None)
    torch.testing.assert_close(flat.depthwise, torch.full((2, 4), 0.25), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="must be above 0, got 0"):
        model.set_temperature(0)
