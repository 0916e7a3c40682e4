"""Parts of the transformer: features of a number, rotary positions, attention and its two kinds of block.

Shapes: B batch, N tokens, W width, H heads, D channels of a head (W = H D).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-6
ROTARY_BASE = 10000.0


def precise(value: Tensor) -> Tensor:
    """In float32 if it is coarser, as it is otherwise."""
    return value.to(torch.promote_types(value.dtype, torch.float32))


def fourier_features(value: Tensor, frequencies: Tensor) -> Tensor:
    """[cos(2 pi v w), sin(2 pi v w)] for learned w, in float32 at least.

    Args:
        value: (B,).
        frequencies: (K, 1), cycles per unit of value.

    Returns:
        (B, 2 K).
    """
    angles = 2 * math.pi * precise(value)[:, None] * precise(frequencies).squeeze(1)
    return torch.cat((angles.cos(), angles.sin()), dim=1)


def fixed_frequencies(count: int, device: torch.device) -> Tensor:
    """w_k = 10000^(-k / count), (count,), the frequencies of `fixed_features`."""
    return ROTARY_BASE ** (-torch.arange(count, device=device) / count)


def fixed_features(value: Tensor, count: int) -> Tensor:
    """[cos(v w), sin(v w)] with `fixed_frequencies`: (B,) -> (B, 2 count).

    No factor 2 pi and no scaling, so that the derivative by the value stays below one (MeanFlow, arXiv 2505.13447,
    needs it).
    """
    angles = precise(value)[:, None] * fixed_frequencies(count, value.device)
    return torch.cat((angles.cos(), angles.sin()), dim=1)


def rotary_frequencies(
    head_channels: int, rotary_channels: int, max_frames: int, factor: float
) -> Tensor:
    """Angle per position of each pair of head channels, YaRN-scaled (arXiv 2309.00071, equations 17 to 23).

    Pairs that turn more than 32 times in `max_frames` positions keep their frequency, those that turn less than once
    have it divided by `factor`, and those in between are graded. YaRN's attention temperature is left out.

    Args:
        head_channels: D.
        rotary_channels: how many of them rotate; the pairs after those get frequency zero.
        max_frames: the length that the unscaled frequencies are meant for.
        factor: 1 gives plain rotary frequencies.

    Returns:
        (D / 2,), radians per position.
    """
    pairs = torch.arange(head_channels // 2)
    frequencies = ROTARY_BASE ** (-2 * pairs / head_channels)

    def pair_turning(times: int) -> float:
        return (
            head_channels
            * math.log(max_frames / (2 * math.pi * times))
            / (2 * math.log(ROTARY_BASE))
        )

    low = max(math.floor(pair_turning(32)), 0)
    high = min(math.ceil(pair_turning(1)), head_channels - 1)
    ramp = ((pairs - low) / max(high - low, 1)).clamp(0, 1)
    scaled = frequencies * (1 - ramp * (1 - 1 / factor))
    return torch.where(pairs < rotary_channels // 2, scaled, 0.0)


def rotary_table(positions: Tensor, frequencies: Tensor) -> Tensor:
    """Cosine and sine of position times frequency: (N,), (D / 2,) -> (N, 1, D / 2, 2), ready for all heads."""
    angles = positions.float()[:, None] * frequencies
    return torch.stack((angles.cos(), angles.sin()), dim=-1)[:, None]


def rotate(heads: Tensor, table: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    """Turn pairs of channels of (B, N, H, D), float32 or float64: adjacent ones (2i, 2i + 1) by a `rotary_table`.

    A cosine and a sine (N, 1, D / 2) turn pairs (i, i + D / 2). One complex product is ten times as fast as four real ones on
    every other channel, and graphs, which know no complex numbers, multiply whole halves.
    """
    if isinstance(table, tuple):
        cosine, sine = table
        first, second = heads.chunk(2, dim=-1)
        return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=-1)
    pairs = torch.view_as_complex(heads.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * torch.view_as_complex(table)).flatten(-2)


def attend(
    query: Tensor, key: Tensor, value: Tensor, table: Tensor | tuple[Tensor, Tensor]
) -> Tensor:
    """Rotary attention over all tokens, without any mask: three (B, N, H, D) -> (B, N, W).

    Query and key arrive and are rotated in float32 at least; the product runs in the value's precision.
    """
    query = rotate(query, table).to(value.dtype).transpose(1, 2)
    key = rotate(key, table).to(value.dtype).transpose(1, 2)
    value = value.transpose(1, 2)
    training = value.requires_grad and value.dtype == torch.bfloat16
    if isinstance(table, tuple) or (training and value.device.type == "cpu"):
        # Graphs fuse this better than the kernel's own form; and its backward pass takes 2.5 times as long on a CPU.
        weights = torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5, dim=-1)
        mixed = weights @ value
    else:
        mixed = F.scaled_dot_product_attention(query, key, value)
    return mixed.transpose(1, 2).flatten(2)


class HeadNorm(nn.Module):
    """RMS norm over the channels of each head, computed in float32 at least: two (B, N, H, D)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, heads: Tensor) -> Tensor:
        return F.rms_norm(precise(heads), self.weight.shape, precise(self.weight), EPSILON)


class Perceptron(nn.Module):
    """Two linear layers with a SiLU, or tanh-GELU, between: (..., inputs) -> (..., outputs)."""

    def __init__(self, inputs: int, inner: int, outputs: int, gelu: bool = False) -> None:
        super().__init__()
        self.expand = nn.Linear(inputs, inner)
        self.activation = nn.GELU(approximate="tanh") if gelu else nn.SiLU()
        self.contract = nn.Linear(inner, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.contract(self.activation(self.expand(x)))


class AdaptiveNorm(nn.Module):
    """LayerNorm without own affine part; shift, scale and gate come from the embedding of time (DiT's adaLN).

    Not `adaptive`, it is the bare LayerNorm with a gate of one.
    """

    def __init__(self, width: int, adaptive: bool = True) -> None:
        super().__init__()
        self.modulation = nn.Linear(width, 3 * width) if adaptive else None

    def forward(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, W), (B, W) -> the modulated norm (B, N, W) and the gate (B, 1, W)."""
        normal = F.layer_norm(x, x.shape[-1:], eps=EPSILON)
        if self.modulation is None:
            return normal, x.new_ones(1)
        shift, scale, gate = self.modulation(embedding)[:, None].chunk(3, dim=-1)
        return torch.addcmul(shift, normal, 1 + scale), gate


class Stream(nn.Module):
    """What one stream owns in a joint block: its projections, norms and feed-forward part."""

    def __init__(self, width: int, inner_width: int, heads: int, adaptive: bool) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = AdaptiveNorm(width, adaptive)
        self.qkv = nn.Linear(width, 3 * width)
        self.query_norm = HeadNorm(width // heads)
        self.key_norm = HeadNorm(width // heads)
        self.out = nn.Linear(width, width)
        self.feed_forward_norm = AdaptiveNorm(width, adaptive)
        self.feed_forward = Perceptron(width, inner_width, width, gelu=True)

    def project(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, N, W), (B, W) -> query, key and value (B, N, H, D), and the gate (B, 1, W) of the attention."""
        normal, gate = self.attention_norm(x, embedding)
        query, key, value = self.qkv(normal).unflatten(-1, (3, self.heads, -1)).unbind(2)
        return self.query_norm(query), self.key_norm(key), value, gate

    def update(self, x: Tensor, mixed: Tensor, gate: Tensor, embedding: Tensor) -> Tensor:
        """Add the attention's result `mixed` (B, N, W), then the feed-forward part."""
        x = x + gate * self.out(mixed)
        normal, gate = self.feed_forward_norm(x, embedding)
        return x + gate * self.feed_forward(normal)


class JointBlock(nn.Module):
    """Streams with weights of their own meet in one attention over all their tokens.

    The video stream, where there is one, is not modulated by the time.
    """

    def __init__(self, width: int, inner_width: int, heads: int, video: bool) -> None:
        super().__init__()
        self.audio = Stream(width, inner_width, heads, adaptive=True)
        self.text = Stream(width, inner_width, heads, adaptive=True)
        self.video = Stream(width, inner_width, heads, adaptive=False) if video else None

    def forward(
        self, tokens: tuple[Tensor, ...], embedding: Tensor, table: Tensor
    ) -> tuple[Tensor, ...]:
        """Token tensors of audio, text and (video networks) video, each (B, N, W) -> the same, updated."""
        streams = (
            (self.audio, self.text) if self.video is None else (self.audio, self.text, self.video)
        )
        projected = [
            stream.project(x, embedding) for stream, x in zip(streams, tokens, strict=True)
        ]
        queries, keys, values, gates = zip(*projected, strict=True)
        mixed = attend(torch.cat(queries, 1), torch.cat(keys, 1), torch.cat(values, 1), table)
        parts = mixed.split([x.shape[1] for x in tokens], dim=1)
        return tuple(
            stream.update(x, part, gate, embedding)
            for stream, x, part, gate in zip(streams, tokens, parts, gates, strict=True)
        )


class FusedBlock(nn.Module):
    """Attention and feed-forward part side by side on the one sequence of all tokens."""

    def __init__(self, width: int, inner_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.widths = (width, width, width, inner_width)
        self.norm = AdaptiveNorm(width)
        self.expand = nn.Linear(width, sum(self.widths))
        self.query_norm = HeadNorm(width // heads)
        self.key_norm = HeadNorm(width // heads)
        self.activation = nn.GELU(approximate="tanh")
        self.out = nn.Linear(width + inner_width, width)

    def forward(self, x: Tensor, embedding: Tensor, table: Tensor) -> Tensor:
        normal, gate = self.norm(x, embedding)
        query, key, value, hidden = self.expand(normal).split(self.widths, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)) for part in (query, key, value))
        mixed = attend(self.query_norm(query), self.key_norm(key), value, table)
        return x + gate * self.out(torch.cat((mixed, self.activation(hidden)), dim=-1))
