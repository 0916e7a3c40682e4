"""PaSST, the patchout spectrogram transformer (arXiv 2110.05069): log-mel -> classes and features.

Parameters bear the names of the published weights (github.com/kkoutini/PaSST), so that these load
without renaming. Shapes: B batch, F rows and T columns of patches, N tokens, W width, H heads.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from woosh.parts import ConfigMixin, ModelMixin, register_to_config
from woosh.taggers.log_mel import LogMel

PATCH_SIZE = 16  # bands and frames
EPSILON = 1e-6


class PatchEmbedding(nn.Module):
    """Overlapping 16 x 16 patches of the spectrogram, each projected: (B, 1, bands, frames) -> (B, W, F, T)."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, width, PATCH_SIZE, stride)

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self.proj(spectrogram)


class Attention(nn.Module):
    """Attention of all tokens to all: (B, N, W) -> (B, N, W).

    With `scrambled_heads` the heads' results (B, H, N, W / H) are read as (B, N, W) as they lie in
    memory, so that a token receives what one head made of other tokens.
    """

    def __init__(self, width: int, heads: int, scrambled_heads: bool) -> None:
        super().__init__()
        self.heads, self.scrambled_heads = heads, scrambled_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )  # (B, H, N, W / H) each
        mixed = functional.scaled_dot_product_attention(query, key, value)
        ordered = mixed if self.scrambled_heads else mixed.transpose(1, 2)
        return self.proj(ordered.reshape(x.shape))


class FeedForward(nn.Module):
    """Two linear layers, four times the width between, exact GELU: (..., W) -> (..., W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention and feed-forward part, each on the normalised tokens, each added: (B, N, W) -> (B, N, W)."""

    def __init__(self, width: int, heads: int, scrambled_heads: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPSILON)
        self.attn = Attention(width, heads, scrambled_heads)
        self.norm2 = nn.LayerNorm(width, eps=EPSILON)
        self.mlp = FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PasstOutput(NamedTuple):
    """What the network says of each clip."""

    logits: Tensor  # (B, classes)
    features: Tensor  # (B, W), mean of the class token and the distillation token


class Passt(ModelMixin, ConfigMixin):
    """Vision transformer on overlapping patches of a log-mel spectrogram.

    A patch's position is the sum of a vector for its row (frequency) and one for its column (time),
    so that any shorter clip fits. In training, patchout leaves patches out: whole columns, whole
    rows, or any. The defaults are those of the published PaSST-S with stride 10, for 10 s of 32 kHz
    audio and AudioSet's classes; `woosh.taggers.passt_weights.VARIANTS` has the others.

    Attribute `log_mel` is the front end that the network was trained with.

    Args:
        width: channels of the tokens, W.
        depth: transformer blocks.
        heads: attention heads, H.
        stride: bands and frames from one patch of 16 x 16 to the next.
        frames: spectrogram frames that the position vectors are made for; longer input is cut.
        hop_length: samples per spectrogram frame.
        classes: of the head.
        patchout_time: columns left out in training.
        patchout_frequency: rows left out in training.
        patchout_tokens: patches of the rest left out in training, wherever they are.
        scrambled_heads: whether attention joins its heads in the wrong order, as the released
            Woosh-CLAP does, whose weights fit nothing else.
        bands: of the spectrogram.
    """

    @register_to_config
    def __init__(  # noqa: PLR0913
        self,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        stride: int = 10,
        frames: int = 998,
        hop_length: int = 320,
        classes: int = 527,
        patchout_time: int = 0,
        patchout_frequency: int = 0,
        patchout_tokens: int = 0,
        scrambled_heads: bool = False,
        bands: int = 128,
    ) -> None:
        super().__init__()
        if not 1 <= stride <= PATCH_SIZE <= min(frames, bands):
            raise ValueError(
                f"stride is {stride}, frames {frames} and bands {bands}: patches of {PATCH_SIZE} need a stride of 1 "
                f"to {PATCH_SIZE}, and {PATCH_SIZE} frames and bands or more"
            )
        if width % heads != 0:
            raise ValueError(f"width {width} cannot be shared by heads {heads}")
        self.patchout = (patchout_time, patchout_frequency, patchout_tokens)
        if min(self.patchout) < 0:
            raise ValueError(f"patchout must not be negative, got {self.patchout}")
        self.log_mel = LogMel(hop_length=hop_length, bands=bands)
        # As many as the published networks have; with stride 12 the convolution gives one column less.
        rows, columns = self.log_mel.bands // stride, frames // stride
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, width))
        self.new_pos_embed = nn.Parameter(torch.zeros(1, 2, width))
        self.freq_new_pos_embed = nn.Parameter(torch.zeros(1, width, rows, 1))
        self.time_new_pos_embed = nn.Parameter(torch.zeros(1, width, 1, columns))
        self.patch_embed = PatchEmbedding(width, stride)
        self.blocks = nn.Sequential(*(Block(width, heads, scrambled_heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))
        # A second head that the published files hold and nothing uses, hence nothing trains.
        self.head_dist = nn.Linear(width, classes).requires_grad_(False)
        self.initialise()

    def initialise(self) -> None:
        """Truncated normal weights of deviation .02 and zero biases, except in the convolution."""
        for parameter in (
            self.cls_token,
            self.dist_token,
            self.new_pos_embed,
            self.freq_new_pos_embed,
            self.time_new_pos_embed,
        ):
            nn.init.trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, log_mel: Tensor, generator: Generator | None = None) -> PasstOutput:
        """Classify spectrograms; the same patches stay for the whole batch.

        Args:
            log_mel: (B, bands, frames) of `self.log_mel`, at least 16 frames; those beyond the
                positions are cut off.
            generator: draws, in training, the patches that stay and the positions of a shorter
                clip, on its own device; None is torch's default generator, on the CPU.

        Raises:
            ValueError: a spectrogram of another shape, or shorter than patchout can spare.
        """
        return self.read_out(self.blocks(self.embed(log_mel, generator)))

    def embed(self, log_mel: Tensor, generator: Generator | None = None) -> Tensor:
        """Spectrograms, see `forward`, -> the tokens that the first block is given (B, 2 + N, W)."""
        patches = self.embed_patches(log_mel, generator)  # (B, W, F, T)
        tokens = self.leave_out(patches, generator)  # (B, N, W)
        first = torch.cat([self.cls_token, self.dist_token], dim=1) + self.new_pos_embed
        return torch.cat([first.expand(len(tokens), -1, -1), tokens], dim=1)

    def read_out(self, tokens: Tensor) -> PasstOutput:
        """What the last block made (B, 2 + N, W) -> logits and features."""
        features = self.norm(tokens)[:, :2].mean(dim=1)  # (B, W)
        return PasstOutput(self.head(features), features)

    def probabilities(self, audio: Tensor) -> Tensor:
        """Audio (B, S) at 32 kHz -> probability of each class (B, classes), not exclusive.

        Raises:
            ValueError: audio that is not (B, S) or shorter than 16 frames (.15 s by default).
        """
        return torch.sigmoid(self(self.log_mel(audio)).logits)

    def embed_patches(self, log_mel: Tensor, generator: Generator | None) -> Tensor:
        """Log-mel (B, bands, frames) -> patches with their positions (B, W, F, T)."""
        bands = self.log_mel.bands
        if log_mel.ndim != 3 or log_mel.shape[1] != bands or log_mel.shape[2] < PATCH_SIZE:
            raise ValueError(
                f"log_mel must be (batch, {bands}, frames) with {PATCH_SIZE} frames or more, "
                f"got {tuple(log_mel.shape)}"
            )
        spectrogram = log_mel[:, None].to(self.patch_embed.proj.weight.dtype)
        columns = self.time_new_pos_embed.shape[3]
        patches = self.patch_embed(spectrogram)[..., :columns]  # (B, W, F, T)
        spare = columns - patches.shape[3]
        start = draw_start(spare + 1, generator) if self.training else 0
        time = self.time_new_pos_embed[..., start : start + patches.shape[3]]
        return patches + time + self.freq_new_pos_embed[:, :, : patches.shape[2]]

    def leave_out(self, patches: Tensor, generator: Generator | None) -> Tensor:
        """Patches (B, W, F, T) -> the tokens (B, N, W) that stay: all F T of them in evaluation."""
        columns, rows, tokens = self.patchout if self.training else (0, 0, 0)
        patches = keep_some(patches, 3, columns, generator)
        patches = keep_some(patches, 2, rows, generator)
        flat = patches.flatten(2).transpose(1, 2)  # (B, F T, W)
        return keep_some(flat, 1, tokens, generator)


def draw_start(count: int, generator: Generator | None) -> int:
    """One of 0 to count - 1."""
    device = None if generator is None else generator.device
    return int(torch.randint(count, (), generator=generator, device=device))


def keep_some(x: Tensor, dim: int, dropped: int, generator: Generator | None) -> Tensor:
    """Drop so many entries of a dimension, drawn at random; those that stay keep their order."""
    if dropped == 0:
        return x
    count = x.shape[dim]
    if dropped >= count:
        raise ValueError(
            f"patchout of {dropped} leaves nothing of {count}: lower it or take longer clips"
        )
    device = None if generator is None else generator.device
    order = torch.randperm(count, generator=generator, device=device)
    return x.index_select(dim, order[dropped:].sort().values.to(x.device))
