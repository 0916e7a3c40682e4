"""What the transformer's blocks are modulated by: embeddings of times and guidance, and the prompt in one vector.

Shapes: B batch, L text tokens, C their channels, W width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from woosh.generation.layers import Perceptron, fixed_features, fourier_features, precise

LOG_VARIANCE_WIDTH = 128


class TimeEmbedding(nn.Module):
    """Learned Fourier features of the time, then a perceptron: (B,) -> e(t) (B, W)."""

    def __init__(self, features: int, inner_width: int, width: int) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.empty(features // 2, 1))
        self.perceptron = Perceptron(features, inner_width, width)

    def forward(self, time: Tensor) -> Tensor:
        features = fourier_features(time, self.frequencies).to(self.frequencies.dtype)
        return F.silu(self.perceptron(features))


class FlowMapEmbedding(nn.Module):
    """Fixed features of time, next time and guidance, in this order, then a perceptron: 3 x (B,) -> (B, W)."""

    def __init__(self, features: int, inner_width: int, width: int) -> None:
        super().__init__()
        self.count = features // 2
        self.perceptron = Perceptron(3 * features, inner_width, width)

    def forward(self, time: Tensor, next_time: Tensor, guidance: Tensor) -> Tensor:
        features = torch.cat(
            [fixed_features(value, self.count) for value in (time, next_time, guidance)], dim=1
        )
        return F.silu(self.perceptron(features.to(self.perceptron.expand.weight.dtype)))


class Summary(nn.Module):
    """The prompt in one vector: the mean of the text's real tokens, and how long the sound is.

    (B, L, C), mask (B, L) and seconds (B,) -> (B, W). Seconds of 0 say that the length is not known.
    """

    STRETCH = 10.0  # of the logarithm of seconds, so that a tenth more is one radian of the quickest feature

    def __init__(self, text_width: int, features: int, inner_width: int, width: int) -> None:
        super().__init__()
        self.count = features // 2
        self.text = nn.Linear(text_width, width)
        self.length = Perceptron(features, inner_width, width)
        self.unknown_length = nn.Parameter(torch.empty(width))

    def forward(self, text: Tensor, mask: Tensor, seconds: Tensor) -> Tensor:
        real = mask[..., None].to(text.dtype)
        mean = (text * real).sum(dim=1) / real.sum(dim=1).clamp_min(1)  # (B, C)
        stretched = self.STRETCH * precise(seconds).clamp_min(1e-3).log()
        length = self.length(fixed_features(stretched, self.count).to(text.dtype))
        known = (seconds > 0)[:, None]
        return self.text(mean) + torch.where(known, length, self.unknown_length)


class LogVariance(nn.Module):
    """Log-variance of the loss at one or several times, with one table of frequencies: (B,)... -> (B,)."""

    def __init__(self, features: int, times: int) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.empty(features // 2, 1))
        self.perceptron = Perceptron(times * features, LOG_VARIANCE_WIDTH, 1)

    def forward(self, *times: Tensor) -> Tensor:
        features = torch.cat([fourier_features(time, self.frequencies) for time in times], dim=1)
        return self.perceptron(features.to(self.frequencies.dtype)).squeeze(1)
