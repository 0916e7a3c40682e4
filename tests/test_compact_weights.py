"""Eight-bit matrices: how far rounding goes, what is rounded, and what is refused."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import Tensor, nn

from tests.kept_forms import WIDE
from tests.toys import make_mel_autoencoder, make_transformer, randomise
from woosh.compact_weights import LARGEST, LEAST_VALUES, SCALES, compacted, restored, rounded

# From the least to nearly the greatest that a scale in half precision lets a row hold.
VALUES = st.floats(-8e6, 8e6, width=32)
MATRICES = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=VALUES)


def models() -> list[nn.Module]:
    return [randomise(make_transformer(width=WIDE), 1), randomise(make_mel_autoencoder(32), 1)]


@given(MATRICES)
def test_a_value_moves_by_half_a_scale_at_most(values: np.ndarray) -> None:
    matrix = torch.from_numpy(values)
    whole, scale = rounded(matrix)
    assert (whole.dtype, scale.dtype) == (torch.int8, torch.float16)
    assert whole.shape == matrix.shape and scale.shape == (len(matrix), 1)
    assert whole.abs().max() <= LARGEST
    exact, step = matrix.double(), scale.double()
    assert bool(((whole.double() * step - exact).abs() <= 0.5001 * step).all())


@given(MATRICES, st.integers(-8, 8))
def test_rows_are_rounded_each_by_itself(values: np.ndarray, exponent: int) -> None:
    """One large row takes nothing from the others."""
    matrix = torch.from_numpy(values)
    whole, scale = rounded(matrix)
    beside = torch.full((1, matrix.shape[1]), 2.0**exponent)
    again, scales = rounded(torch.cat([beside, matrix]))
    assert torch.equal(again[1:], whole) and torch.equal(scales[1:], scale)


def test_rows_of_zeros_stay_zeros() -> None:
    whole, scale = rounded(torch.tensor([[0.0, 0.0], [1.0, -0.25], [0.0, -0.0]]))
    assert whole[0].tolist() == whole[2].tolist() == [0, 0] and whole[1].tolist() == [127, -32]
    assert scale[:, 0].tolist() == [0.0, pytest.approx(1 / 127, rel=1e-3), 0.0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e7])
def test_what_eight_bits_cannot_hold_is_refused(value: float) -> None:
    matrix = torch.ones(3, 4)
    matrix[1, 2] = value
    with pytest.raises(ValueError, match="eight bits with a scale cannot hold"):
        rounded(matrix)


@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
def test_large_matrices_of_linear_layers_are_rounded_and_nothing_else(model: nn.Module) -> None:
    tensors, before = compacted(model), model.state_dict()
    whole = {name for name, value in tensors.items() if value.dtype == torch.int8}
    linear = {
        f"{name}.weight": layer.weight
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear)
    }
    assert whole == {name for name, value in linear.items() if value.numel() >= LEAST_VALUES}
    assert 0 < len(whole) < len(linear)
    assert tensors.keys() == before.keys() | {name + SCALES for name in whole}
    found = restored(tensors, torch.float32)
    assert {name: value.shape for name, value in found.items()} == {
        name: value.shape for name, value in before.items()
    }
    for name, value in found.items():
        if name in whole:
            error = (value - before[name]).abs() / before[name].abs().amax(dim=1, keepdim=True)
            assert error.max() < 0.51 / LARGEST
        else:
            assert torch.equal(value, before[name].half().float())


def test_values_beyond_half_precision_are_refused() -> None:
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.bias[0] = 1e6
    with pytest.raises(ValueError, match="bias holds values beyond half precision"):
        compacted(model)


def without(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: value for key, value in tensors.items() if key != name}


def test_whole_numbers_and_scales_belong_together() -> None:
    tensors = compacted(nn.Sequential(nn.Linear(128, 128)))
    name = "0.weight" + SCALES
    assert tensors.keys() == {"0.weight", name, "0.bias"}
    with pytest.raises(ValueError, match="0.weight.row_scale are scales of no matrix"):
        restored(without(tensors, "0.weight"), torch.float32)
    # Without its scales it is no number of a network, which the network's own tensors then tell.
    assert restored(without(tensors, name), torch.float32)["0.weight"].dtype == torch.int8
    scales = tensors[name]
    for wrong in (scales[:1], scales[:5], scales[:, 0], scales.T):
        with pytest.raises(ValueError, match="scales of 0.weight are not one for each"):
            restored(tensors | {name: wrong}, torch.float32)


def test_what_is_no_number_of_a_network_stays_as_it_is() -> None:
    model = nn.BatchNorm1d(3)
    model.num_batches_tracked.fill_(7)  # type: ignore[union-attr, operator]
    tensors = restored(compacted(model), torch.bfloat16)
    assert tensors["num_batches_tracked"].dtype == torch.int64
    model.register_buffer("order", torch.arange(3, dtype=torch.int8))
    assert restored(compacted(model), torch.float32)["order"].tolist() == [0, 1, 2]
    assert tensors["num_batches_tracked"] == 7 and tensors["weight"].dtype == torch.bfloat16
