"""Restricted convolutions: damped, frequency-aware, decomposed, grouped, masked."""

import pytest
import torch

from tests.official import assert_parity
from tests.taggers.fixtures import load_fixture
from woosh.taggers.fields import (
    Axis,
    ConvolutionForm,
    DecomposedConvolution,
    FieldConvolution,
    Fields,
    Reach,
    damping_line,
    damping_plane,
    frequency_plane,
    wide_kernels,
)

WIDE = Reach((3, 3), (1, 1), (1.0, 1.0))


def test_damping_falls_in_a_line_from_the_middle_to_the_edges() -> None:
    assert damping_line(1, 0.01).tolist() == [1]
    torch.testing.assert_close(damping_line(3, 0.01), torch.tensor([0.01, 1, 0.01]))
    expected = torch.tensor([0.01, 0.505, 1, 0.505, 0.01])
    torch.testing.assert_close(damping_line(5, 0.01), expected)


@pytest.mark.parametrize("least", [0.01, 0.1])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_damping_planes_are_the_reference_s(kernel: int, least: float) -> None:
    expected = load_fixture("cpresnet_planes").io[f"damping_{least}_k{kernel}"]
    assert_parity(damping_plane((kernel, kernel), (least, 1.0)), expected)


@pytest.mark.parametrize("bands", [4, 7, 16])
def test_frequency_planes_are_the_reference_s(bands: int) -> None:
    """Whatever the map holds: 2 i / F - 1 in row i."""
    expected = load_fixture("cpresnet_planes").io[f"frequency_plane_{bands}"]
    plane = frequency_plane(torch.randn(2, 5, bands, 3))
    assert plane.shape == (2, 1, bands, 3)
    assert_parity(plane[1, 0], expected)


def test_a_frequency_aware_convolution_knows_where_it_is() -> None:
    """A shift along frequency only shifts a plain convolution's map, and changes a frequency-aware one's."""
    x = torch.zeros(1, 2, 20, 6)
    x[:, :, 8:10, 2:4] = torch.randn(1, 2, 2, 2)
    for coordinates in (False, True):
        layer = FieldConvolution(2, 3, WIDE, ConvolutionForm(coordinates=coordinates))
        assert layer.weight.shape[1] == (3 if coordinates else 2)
        moved = layer(x.roll(4, dims=2)).roll(-4, dims=2)[:, :, 6:12]
        assert torch.allclose(moved, layer(x)[:, :, 6:12], atol=1e-6) != coordinates


def test_damping_changes_neither_counts_nor_support_but_the_weight_of_edges() -> None:
    plain = FieldConvolution(1, 1, WIDE)
    damped = FieldConvolution(1, 1, Reach((3, 3), (1, 1), (0.01, 1.0)))
    assert list(damped.state_dict()) == list(plain.state_dict()) == ["weight"]
    with torch.no_grad():
        damped.weight.fill_(1)
    x = torch.zeros(1, 1, 5, 5, requires_grad=True)
    damped(x)[0, 0, 2, 2].backward()
    assert x.grad is not None
    expected = torch.tensor([0, 0.01, 1, 0.01, 0])
    torch.testing.assert_close(x.grad[0, 0, :, 2], expected)
    torch.testing.assert_close(x.grad[0, 0, 2], torch.tensor([0.0, 1, 1, 1, 0]))


def test_a_decomposed_convolution_damps_its_wide_part_alone() -> None:
    reach = Reach((3, 3), (1, 1), (0.01, 1.0))
    layer = DecomposedConvolution(8, 16, reach, ConvolutionForm(decomposition=4))
    shapes = [tuple(value.shape) for value in layer.state_dict().values()]
    assert shapes == [(4, 8, 1, 1), (4, 4, 3, 3), (16, 4, 1, 1)]
    assert layer.conv1.damping is None and layer.conv2.damping is not None
    assert layer(torch.zeros(1, 8, 5, 5)).shape == (1, 16, 5, 5)


def test_groups_divide_the_weights() -> None:
    whole, grouped = (FieldConvolution(8, 8, WIDE, ConvolutionForm(groups=g)) for g in (1, 4))
    assert grouped.weight.numel() * 4 == whole.weight.numel()
    assert grouped(torch.zeros(1, 8, 5, 5)).shape == (1, 8, 5, 5)


def test_axes_are_restricted_by_themselves() -> None:
    fields = Fields(
        (1, 1, 0),
        frequency=Axis((3, 1, 3, 3), dilation=2, halved_after=(1,), damping=0.5),
        time=Axis((1, 1, 3, 1), halved_after=(2,)),
    )
    assert fields.reach(1, 0) == Reach((3, 1), (2, 1), (0.5, 1.0))
    assert fields.reach(2, 1) == Reach((3, 1), (2, 1), (0.5, 1.0))
    assert fields.reach(2, 0).padding == (2, 1)
    assert [fields.pool_after(block) for block in (1, 2)] == [(2, 1), (1, 2)]
    assert [list(fields.numbers(stage)) for stage in range(3)] == [[1], [2], []]


def test_what_makes_no_network_is_refused() -> None:
    assert wide_kernels(2, 6) == (3, 1, 3, 3, 1, 1)
    for make, message in (
        (lambda: wide_kernels(23), "rho is 23; it must be from 0 to 22"),
        (lambda: Axis((2,)), "must be odd"),
        (lambda: Axis(dilation=0), "the dilation 1 or more"),
        (lambda: Axis(damping=2), "damping is 2"),
        (lambda: Fields((4, 4)), "name three stages"),
        (lambda: Fields((1, 1, 1)), "two kernels for each block"),
        (lambda: ConvolutionForm(coordinates=True, groups=2), "choose one"),
        (lambda: DecomposedConvolution(4, 6, WIDE, ConvolutionForm(decomposition=4)), "divisor"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_channels_that_groups_cannot_share_are_refused() -> None:
    """Found when the network is built and not when it first hears something."""
    with pytest.raises(ValueError, match="5 and 8 channels cannot be shared by 2 groups"):
        FieldConvolution(5, 8, form=ConvolutionForm(groups=2))
