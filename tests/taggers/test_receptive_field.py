"""Receptive fields by formula: the published ones, and the support of the gradient for every kind of network."""

import json
import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from tests.taggers.fixtures import PLACES
from woosh.taggers.cp_densenet import CpDenseNet
from woosh.taggers.cp_mobile import CpMobile
from woosh.taggers.cp_resnet import CpResNet
from woosh.taggers.cp_vgg import CpVgg
from woosh.taggers.fields import Axis, Fields, wide_kernels
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.receptive_field import Sight, receptive_field
from woosh.training.autoencoder.discriminators import BandDiscriminator, PeriodDiscriminator

TABLE = PLACES[1] / "cpresnet_receptive_field" / "config.json"
MIXED = Fields(
    (2, 2, 1),
    Axis((3, 1, 3, 3, 3, 1, 1, 1, 1, 1), dilation=2, halved_after=(1,), damping=0.01),
    Axis((1, 1, 3, 1, 1, 1, 1, 1, 3, 1), halved_after=(1, 3)),
)


def of_rho(rho: int, damping: float = 1.0) -> Fields:
    """The published fields."""
    kernels = wide_kernels(rho)
    return Fields(frequency=Axis(kernels, damping=damping), time=Axis(kernels))


def positive(model: nn.Module) -> nn.Module:
    """The network with equal positive weights, and means in place of maxima, so that no path of the gradient is closed."""
    model = model.double().eval()
    for value in model.parameters():
        nn.init.constant_(value, len(value) / value.numel() if value.ndim > 1 else 1.0)
    for module in list(model.modules()):
        for name, part in module.named_children():
            if isinstance(part, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(part.kernel_size))
    return model


def gradient(network: Callable[[Tensor], Tensor], size: tuple[int, ...]) -> Tensor:
    """Of the middle place of a network's map by its input of ones, absolute, summed over channels."""
    x = torch.ones(size, dtype=torch.float64, requires_grad=True)
    made = network(x)
    middle = tuple(n // 2 for n in made.shape[2:])
    made[(0, slice(None), *middle)].sum().backward()
    assert x.grad is not None
    return x.grad[0].abs().sum(dim=0)


def support(seen: Tensor, axis: int) -> int:
    """Places along an axis with a gradient."""
    return int((seen.sum(dim=1 - axis) > 0).sum())


def table() -> Iterator[dict]:
    """The published fields of every rho."""
    yield from json.loads(TABLE.read_text())["rows"]


def test_the_formula_gives_the_published_fields() -> None:
    """Of the layers one by one, each stride counting from the next layer on."""
    strides = {0: (2,), 2: (1, 2), 4: (1, 2), 8: (1, 2)}  # of the stem, and of pools behind blocks
    for row in table():
        sight = Sight((1,), (1,))
        for place, kernel in enumerate(row["kernels"]):
            first, *pooled = strides.get(place, (1,))
            sight = sight.through((kernel,), (first,), (1,))
            for pool in pooled:
                sight = sight.through((pool,), (pool,), (1,))
        assert sight.field == (row["formula"],)


@pytest.mark.parametrize("rho", [0, 4, 7, 12, 22])
def test_a_network_s_field_is_the_published_one_and_the_support_of_its_gradient(rho: int) -> None:
    expected = next(row["formula"] for row in table() if row["rho"] == rho)
    model = CpResNet(1, 1, 2, of_rho(rho))
    assert receptive_field(model) == (expected, expected)
    seen = gradient(lambda x: positive(model).maps(x)[-1], (1, 1, 16 * (expected // 16 + 3), 40))
    assert support(seen, 0) == expected


@pytest.mark.parametrize("kind", [CpResNet, CpVgg, CpDenseNet])
def test_every_form_is_restricted_along_each_axis_by_itself(kind: type[nn.Module]) -> None:
    """Kernel, dilation, pooling and depth, other ones along frequency than along time, and alike for all forms."""
    model = kind(2, 1, 2, MIXED)
    field = receptive_field(model)
    assert field == receptive_field(CpResNet(2, 1, 2, MIXED)) == (63, 35)
    model = positive(model)
    head = next(iter(model.feed_forward))  # its places see what the last map's see
    caught: list[Tensor] = []
    head.register_forward_hook(lambda _layer, _given, made: caught.append(made))

    def network(x: Tensor) -> Tensor:
        model(x)
        return caught[-1]

    seen = gradient(network, (1, 1, 160, 96))
    assert (support(seen, 0), support(seen, 1)) == field


def test_damping_keeps_the_support_and_weakens_its_edges() -> None:
    """Energy of the outer fifths along frequency, as a share of all, falls at least tenfold."""
    shares, supports = [], []
    for damping in (1.0, 0.01):
        model = positive(CpResNet(1, 1, 2, of_rho(4, damping)))
        seen = gradient(lambda x: model.maps(x)[-1], (1, 1, 120, 40))  # noqa: B023
        energy = seen.square().sum(dim=1)
        inside = energy[energy > 0]
        fifth = len(inside) // 5
        shares.append(float((inside[:fifth].sum() + inside[-fifth:].sum()) / inside.sum()))
        supports.append(len(inside))
    assert supports == [71, 71]
    assert shares[1] < shares[0] / 10


def test_a_mobilenet_sees_so_far_without_squeezing_and_everything_with_it() -> None:
    model = MobileNet(0.1, classes=2, squeeze_axes="")
    assert receptive_field(model) == (595, 595)
    seen = gradient(lambda x: positive(model).maps(x)[-1], (1, 1, 704, 34))
    assert support(seen, 0) == 595
    assert receptive_field(MobileNet(0.1, classes=2)) == (math.inf, math.inf)
    assert receptive_field(CpMobile(base=8)) == (math.inf, math.inf)  # its response norm


def test_discriminators_have_known_fields() -> None:
    """Of periods in periods, of spectra in frames and bins; the gradient's support is just as large."""
    by_period = PeriodDiscriminator(3, 1)
    field = receptive_field(by_period, torch.zeros(1, 1, 3000))
    assert field == (647, 1)
    model = positive(by_period)
    x = torch.ones(1, 1, 3 * 1200, dtype=torch.float64, requires_grad=True)
    scores = model(x).scores
    scores[0, 0, scores.shape[2] // 2, 1].backward()
    assert x.grad is not None
    heard = x.grad[0, 0].nonzero()[:, 0]
    assert len(heard) == 647
    assert all(int(after - before) == 3 for before, after in pairwise(heard))

    by_band = BandDiscriminator(512, 2, 1)
    field = receptive_field(by_band, torch.zeros(1, 1, 8000))
    layers = positive(nn.Sequential(*by_band.bands[0], by_band.score))
    seen = gradient(layers, (1, 2, 40, 208))
    assert (support(seen, 0), support(seen, 1)) == field == (21, 97)


def test_what_has_no_field_is_refused() -> None:
    with pytest.raises(ValueError, match="Linear has no convolution of maps"):
        receptive_field(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="transposed"):
        receptive_field(nn.ConvTranspose1d(1, 1, 3), torch.zeros(1, 1, 9))
    with pytest.raises(ValueError, match="Linear has no convolution"):
        receptive_field(nn.Linear(2, 2), torch.zeros(1, 2))
