"""MobileNets: published counts, names and results, gradients, batches."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.official import assert_parity
from tests.paths import SHARED
from tests.taggers.fixtures import (
    assert_counts,
    counts,
    fixtures,
    load_fixture,
    multiplications,
)
from woosh.taggers.mobilenet import (
    AttentionPooling,
    MobileNet,
    SqueezeExcitation,
    block_shapes,
    rounded,
)
from woosh.taggers.published import from_published, mobilenet_of

KEYS = SHARED / "spec" / "keys" / "mn10_keys.txt"
SIZES: dict[str, dict[str, Any]] = {
    **{f"mn{n:02d}": {"width": n / 10} for n in (1, 2, 4, 5, 6, 8, 10, 12, 14, 16, 20, 30, 40)},
    "mn10_fully_convolutional": {"width": 1.0, "head_type": "fully_convolutional"},
    "mn10_attention": {"width": 1.0, "head_type": "multihead_attention_pooling"},
    "mn10_s2221": {"width": 1.0, "strides": [2, 2, 2, 1]},
    "mn10_s2211": {"width": 1.0, "strides": [2, 2, 1, 1]},
    "mn10_se_t": {"width": 1.0, "se_dims": "t"},
    "mn10_se_f": {"width": 1.0, "se_dims": "f"},
    "mn10_se_cft": {"width": 1.0, "se_dims": "cft"},
    "mn10_no_se": {"width": 1.0, "se_dims": "none"},
}
INPUTS = {
    **{
        f"mn10_hop{hop}": (128, frames)
        for hop, frames in ((5, 2000), (15, 667), (20, 500), (25, 400))
    },
    **{f"mn10_mels{bands}": (bands, 1000) for bands in (40, 64, 256)},
}


@pytest.mark.parametrize("name", SIZES)
def test_counts_and_names_are_the_published_ones(name: str) -> None:
    expected = counts()[name]
    with torch.device("meta"):
        model = mobilenet_of({"num_classes": 527, **SIZES[name]})
    assert_counts(model, expected)
    if "embedding" in expected:
        assert model.feature_width == expected["embedding"]


@pytest.mark.parametrize("name", [name for name in SIZES if "macs" in counts()[name]])
def test_multiplications_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        model = mobilenet_of({"num_classes": 527, **SIZES[name]})
        assert sum(multiplications(model).values()) == counts()[name]["macs"]


@pytest.mark.parametrize("name", INPUTS)
def test_multiplications_follow_the_front_end(name: str) -> None:
    with torch.device("meta"):
        found = multiplications(mobilenet_of({"num_classes": 527, "width": 1.0}), *INPUTS[name])
    assert sum(found.values()) == counts()[name]["macs"]


def test_names_and_shapes_are_those_of_the_list() -> None:
    if not KEYS.is_file():
        pytest.skip("no shared list of published names")
    with torch.device("meta"):
        model = MobileNet(classes=527)
    ours = [f"{name} {tuple(value.shape)}" for name, value in model.state_dict().items()]
    assert ours == KEYS.read_text().splitlines()


@pytest.mark.parametrize("name", fixtures("MN"))
def test_results_are_the_reference_s(name: str) -> None:
    fixture = load_fixture(name)
    model = from_published(fixture.config, fixture.tensors())
    assert list(model.state_dict()) == fixture.names
    with torch.no_grad():
        logits, features = model(fixture.io["mel"])
        maps = [x.mean(dim=(2, 3)) for x in model.maps(fixture.io["mel"])]  # type: ignore[operator]
    assert_parity(logits, fixture.io["logits"])
    assert_parity(features, fixture.io["features"])
    for number, ours in enumerate(maps):
        assert_parity(ours, fixture.io[f"map{number:02d}"])
    apart = (logits[0] - logits[1]).std() / logits.std()
    assert apart == pytest.approx(fixture.config["items_apart"], rel=0.05)


@pytest.mark.parametrize("name", [n for n in fixtures("MN") if "_se_c" in n or "_se_f" in n])
@pytest.mark.parametrize("merge", ["avg", "add", "min"])
def test_maps_of_several_axes_merge_as_the_reference_s(name: str, merge: str) -> None:
    fixture = load_fixture(name)
    model = from_published(fixture.config | {"se_merge": merge}, fixture.tensors())
    with torch.no_grad():
        logits, features = model(fixture.io["mel"])
    assert_parity(logits, fixture.io[f"logits_{merge}"])
    assert_parity(features, fixture.io[f"features_{merge}"])


def test_channels_are_rounded_to_eights_but_never_below_nine_tenths() -> None:
    assert [rounded(value) for value in (1, 12, 16.4, 10, 28.8)] == [8, 16, 16, 16, 32]


@pytest.mark.parametrize("head", ["mlp", "fully_convolutional", "attention"])
def test_a_batch_equals_singles_and_every_parameter_gets_a_gradient(head: str) -> None:
    model = MobileNet(0.1, classes=5, head=head).eval()
    log_mel = torch.randn(2, 1, 128, 70, generator=torch.Generator().manual_seed(0))
    batch = model(log_mel)
    singles = [model(clip[None]) for clip in log_mel]
    for place in range(2):
        assert torch.allclose(batch[place], torch.cat([one[place] for one in singles]), atol=1e-5)
    (batch.logits.square().sum() + batch.features.square().sum()).backward()
    assert all(value.grad is not None for value in model.parameters())


def test_without_a_head_there_are_features_alone() -> None:
    model = MobileNet(0.1).eval()
    assert not any(name.startswith("classifier") for name in model.state_dict())
    tags = model(torch.zeros(1, 1, 128, 50))
    assert tags.logits is None and tags.features.shape == (1, 96)


def test_squeeze_and_excitation_with_zero_weights_halves() -> None:
    layer = SqueezeExcitation(axis=2, size=12, divisor=4)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, 3, 12, 5)
    torch.testing.assert_close(layer(x), 0.5 * x)


def test_attention_pooling_of_equal_frames_is_their_classification() -> None:
    """Whatever the weights of the frames: they sum to 1."""
    pooling = AttentionPooling(6, 4, heads=3)
    frame = torch.randn(2, 6, 1, 1)
    torch.testing.assert_close(pooling(frame.expand(2, 6, 4, 9)), pooling(frame))


def test_sizes_that_do_not_fit_are_refused() -> None:
    for options, message in (
        ({"head": "linear"}, "head is 'linear'"),
        ({"squeeze_axes": "cx"}, "of c, f and t, got 'cx'"),
        ({"squeeze_axes": "cc"}, "of c, f and t"),
        ({"squeeze_merge": "median"}, "squeeze_merge is 'median'"),
        ({"strides": (2, 2)}, "four of 1 or 2"),
        ({"strides": (2, 2, 3, 1)}, "four of 1 or 2"),
        ({"input_size": (128,)}, "bands and frames"),
    ):
        with pytest.raises(ValueError, match=message):
            MobileNet(0.1, **options)  # type: ignore[arg-type]
    fixed = MobileNet(0.1, squeeze_axes="t", input_size=(128, 64)).eval()
    with pytest.raises(ValueError, match="fixes the size of the spectrogram"):
        fixed(torch.zeros(1, 1, 128, 65 + 64))


def test_a_dilated_tail_keeps_the_resolution() -> None:
    plain, dilated = (
        block_shapes(1.0, (2, 2, 2, 2), (128, 1000), dilated=d) for d in (False, True)
    )
    assert (plain[-1].bands, plain[-1].frames) == (4, 32)
    assert (dilated[-1].bands, dilated[-1].frames) == (8, 63)
