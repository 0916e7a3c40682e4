"""Products in eight bits against those in float32."""

import pytest
import torch
from torch import nn

from tests.toys import TEXT_WIDTH, TOKENS, make_transformer, randomise
from woosh.generation.float8 import Float8Linear, computes_float8, rows_in_eight_bits, with_float8


def test_numbers_of_eight_bits_are_within_a_sixteenth_of_each() -> None:
    """Three bits of mantissa, whatever the size of a row; a row of zeros stays one."""
    rows = torch.tensor([[1.0, -0.3, 0.02], [1e4, 3e3, 200.0], [0.0, 0.0, 0.0]])
    numbers, scale = rows_in_eight_bits(rows)
    assert numbers.dtype == torch.float8_e4m3fn
    torch.testing.assert_close(numbers.float() * scale, rows, rtol=1 / 16, atol=0)


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_computes_as_the_one_it_was_made_of(bias: bool) -> None:
    linear = nn.Linear(64, 48, bias=bias)
    x = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(0))
    wanted = linear(x)
    made = Float8Linear(linear)(x.bfloat16()).float()
    assert made.shape == wanted.shape
    assert 0 < (made - wanted).norm() / wanted.norm() < 0.06


def test_a_transformer_in_eight_bits_gives_about_the_same_velocity() -> None:
    """And the one that it was made of stays as it is."""
    transformer = randomise(make_transformer(), 2).bfloat16()
    generator = torch.Generator().manual_seed(1)
    latents, time = torch.randn(2, 8, 20, generator=generator), torch.tensor([0.3, 0.9])
    text = torch.randn(2, TOKENS, TEXT_WIDTH, generator=generator).bfloat16()
    with torch.no_grad():
        condition = transformer.prepare(text, torch.ones(2, TOKENS))
        wanted = transformer(latents, time, condition)
        made = with_float8(transformer)(latents, time, condition)
        assert torch.equal(transformer(latents, time, condition), wanted)
    assert 0 < (made - wanted).norm() / wanted.norm() < 0.1


def test_what_cannot_be_computed_is_refused() -> None:
    assert not computes_float8(torch.device("cpu"))
    with pytest.raises(ValueError, match="60 to 48 channels"):
        Float8Linear(nn.Linear(60, 48))
    with pytest.raises(ValueError, match="load it in bfloat16"):
        with_float8(make_transformer())
