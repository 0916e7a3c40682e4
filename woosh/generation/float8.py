"""Matrix products in eight-bit floating point (e4m3, arXiv 2209.05433), for accelerators that compute in it.

Weights are converted once, each row with a scale of its own, and what goes in at every call, each token with its own. The
products are added up in float32. Of a random matrix the result is about 4 % off, relative to its length.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from woosh.generation.transformer import WooshTransformer

EIGHT_BITS = torch.float8_e4m3fn
LARGEST = torch.finfo(EIGHT_BITS).max
MULTIPLE = 16  # of the channels, which the products ask for
SMALLEST_SCALE = 1e-12  # of a row of zeros
CAPABILITY = (8, 9)  # of the first CUDA devices that compute in it


def computes_float8(device: torch.device) -> bool:
    """Whether a device multiplies in eight-bit floating point: CUDA from Ada and Hopper on."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= CAPABILITY


def rows_in_eight_bits(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """(M, K) -> the nearest numbers of eight bits (M, K), and the scale (M, 1) in float32 that each row is to be taken times."""
    largest = matrix.abs().amax(dim=1, keepdim=True).float()
    scale = (largest / LARGEST).clamp_min(SMALLEST_SCALE)
    return (matrix.float() / scale).clamp(-LARGEST, LARGEST).to(EIGHT_BITS), scale


class Float8Linear(nn.Module):
    """A linear layer that multiplies in eight bits: (..., K) -> (..., N) in bfloat16; not for training.

    Args:
        linear: the layer that it computes as.

    Raises:
        ValueError: channels that are not a multiple of 16.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        outputs, inputs = linear.weight.shape
        if inputs % MULTIPLE or outputs % MULTIPLE:
            raise ValueError(
                f"a layer of {inputs} to {outputs} channels does not multiply in eight bits: both must be multiples "
                f"of {MULTIPLE}"
            )
        weight, scale = rows_in_eight_bits(linear.weight.detach())
        self.weight: Tensor
        self.scale: Tensor
        self.bias: Tensor | None
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        bias = linear.bias
        self.register_buffer("bias", None if bias is None else bias.detach().to(torch.bfloat16))

    def forward(self, x: Tensor) -> Tensor:
        rows, scale = rows_in_eight_bits(x.flatten(0, -2))
        product = torch._scaled_mm(  # pyright: ignore[reportPrivateImportUsage] - torch.nn.functional has it from 2.10 on
            rows, self.weight.t(), scale, self.scale.t(), bias=self.bias, out_dtype=torch.bfloat16
        )
        return product.unflatten(0, x.shape[:-1])


def with_float8(transformer: WooshTransformer) -> WooshTransformer:
    """A transformer of the same weights, in bfloat16, whose blocks multiply tokens in eight bits.

    What is computed once for all tokens, the modulation, stays in bfloat16, and so do attention and the first and last layers.

    Raises:
        ValueError: a transformer in another precision, or of widths that are not multiples of 16.
    """
    if transformer.dtype != torch.bfloat16:
        raise ValueError(
            f"eight bits stand beside bfloat16, and this transformer is in {transformer.dtype}: load it in bfloat16"
        )
    held = copy.copy(transformer)
    blocks = {name: _replaced(getattr(transformer, name)) for name in ("joint", "fused")}
    held._modules = transformer._modules | blocks
    return held


def _replaced(module: nn.Module) -> nn.Module:
    """The same module with other linear layers; what is not replaced is shared."""
    held = copy.copy(module)
    held._modules = {
        name: child
        if child is None or name == "modulation"
        else Float8Linear(child)
        if isinstance(child, nn.Linear)
        else _replaced(child)
        for name, child in module._modules.items()
    }
    return held
