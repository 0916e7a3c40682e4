"""Synchformer's visual part (arXiv 2401.16423): frames -> one vector per frame that says what moves, and when.

A divided space-time vision transformer (Motionformer, arXiv 2106.05392) reads segments of 16 frames at 24 per
second; one more layer joins the patches of a moment. Parameters bear the names of the published weights. Shapes: B
batch, S segments, F frames, T moments of a segment (two frames each), N patches of a moment, W width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional

from woosh.parts import ConfigMixin, ModelMixin, register_to_config
from woosh.weight_files import check_tensors, read_tensors

SEGMENT, STRIDE = 16, 8  # frames
PATCH, TUBELET = 16, 2  # pixels, frames
EPSILON = 1e-6
PUBLISHED = "vfeat_extractor."  # before every name in the published file
UNUSED = "patch_embed."  # a 2-D patch embedding that the file holds and nothing reads


class DividedAttention(nn.Module):
    """Attention among the tokens of a group, and of the class token to all: (B, 1 + T N, W) -> the same.

    Args:
        width: W.
        heads: attention heads.
        over_time: whether a group is one patch at all moments, or all patches at one moment.
    """

    def __init__(self, width: int, heads: int, over_time: bool) -> None:
        super().__init__()
        self.heads = heads
        self.groups = "b h (t n) c -> (b n) h t c" if over_time else "b h (t n) c -> (b t) h n c"
        self.whole = "(b n) h t c -> b h (t n) c" if over_time else "(b t) h n c -> b h (t n) c"
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, moments: int) -> Tensor:
        query, key, value = rearrange(self.qkv(x), "b l (k h c) -> k b h l c", k=3, h=self.heads)
        sizes = {"t": moments, "n": (x.shape[1] - 1) // moments}
        of_all = functional.scaled_dot_product_attention(query[:, :, :1], key, value)

        def grouped(part: Tensor) -> Tensor:
            return rearrange(part[:, :, 1:], self.groups, **sizes)

        def with_class(part: Tensor) -> Tensor:
            """The class token stands in front of every group."""
            group = grouped(part)
            first = repeat(part[:, :, :1], "b h l c -> (b r) h l c", r=len(group) // len(part))
            return torch.cat([first, group], dim=2)

        mixed = functional.scaled_dot_product_attention(
            grouped(query), with_class(key), with_class(value)
        )
        mixed = rearrange(mixed, self.whole, **sizes)
        joined = rearrange(torch.cat([of_all, mixed], dim=2), "b h l c -> b l (h c)")
        return self.proj(joined)


class FeedForward(nn.Module):
    """Two linear layers, four times the width between, exact GELU: (..., W) -> (..., W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention over time, then over space, then a feed-forward part, each added: (B, 1 + T N, W) -> the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm3 = nn.LayerNorm(width, eps=EPSILON)
        self.timeattn = DividedAttention(width, heads, over_time=True)
        self.norm1 = nn.LayerNorm(width, eps=EPSILON)
        self.attn = DividedAttention(width, heads, over_time=False)
        self.norm2 = nn.LayerNorm(width, eps=EPSILON)
        self.mlp = FeedForward(width)

    def forward(self, x: Tensor, moments: int) -> Tensor:
        x = x + self.timeattn(self.norm3(x), moments)
        x = x + self.attn(self.norm1(x), moments)
        return x + self.mlp(self.norm2(x))


class MomentSummary(nn.Module):
    """One encoder layer over a moment's patches and a class token, whose output it gives: (B, N, W) -> (B, W)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.self_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.linear1 = nn.Linear(width, 4 * width)
        self.linear2 = nn.Linear(4 * width, width)
        self.norm1 = nn.LayerNorm(width, eps=EPSILON)
        self.norm2 = nn.LayerNorm(width, eps=EPSILON)

    def forward(self, patches: Tensor) -> Tensor:
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        normed = self.norm1(x)
        attended = self.self_attn(normed[:, :1], normed, normed, need_weights=False)[0]
        summary = (x[:, :1] + attended)[:, 0]
        return summary + self.linear2(functional.gelu(self.linear1(self.norm2(summary))))


class PatchEmbedding(nn.Module):
    """Tubelets of 2 frames x 16 x 16 pixels, each projected: (B, 3, F, H, W) -> (B, C, T, H / 16, W / 16)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        size = (TUBELET, PATCH, PATCH)
        self.proj = nn.Conv3d(3, width, size, size)

    def forward(self, frames: Tensor) -> Tensor:
        return self.proj(frames)


class Synchformer(ModelMixin, ConfigMixin):
    """Frames at 24 per second -> one vector for each.

    As released, a segment of grey frames stands in front, so a vector tells of the 9 to 16 frames before its own.

    Args:
        width: W.
        depth: blocks.
        heads: attention heads.
        image_size: height and width of a frame in pixels.
    """

    @register_to_config
    def __init__(
        self, width: int = 768, depth: int = 12, heads: int = 12, image_size: int = 224
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} cannot be shared by heads {heads}")
        if image_size % PATCH:
            raise ValueError(f"image_size is {image_size}; it must be a multiple of {PATCH}")
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (image_size // PATCH) ** 2, width))
        self.temp_embed = nn.Parameter(torch.zeros(1, SEGMENT // TUBELET, width))
        self.patch_embed_3d = PatchEmbedding(width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.spatial_attn_agg = MomentSummary(width, heads)
        for parameter in (self.cls_token, self.pos_embed, self.temp_embed):
            nn.init.trunc_normal_(parameter, std=0.02)
        nn.init.trunc_normal_(self.spatial_attn_agg.cls_token, std=0.02)

    @property
    def frame_size(self) -> int:
        """Height and width of the frames that it takes, in pixels."""
        return self.config.image_size

    def segment_features(self, segments: Tensor) -> Tensor:
        """Segments of 16 frames (B, 16, 3, H, W) -> features of their 8 moments (B, 8, W)."""
        patches = self.patch_embed_3d(rearrange(segments, "b f c h w -> b c f h w"))
        moments = patches.shape[2]
        positions = repeat(self.pos_embed[:, 1:], "b n c -> b (t n) c", t=moments)
        times = repeat(self.temp_embed, "b t c -> b (t n) c", n=self.pos_embed.shape[1] - 1)
        x = rearrange(patches, "b c t h w -> b (t h w) c") + positions + times
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        x = torch.cat([first, x], dim=1)  # (B, 1 + T N, W)
        for block in self.blocks:
            x = block(x, moments)
        patches = rearrange(self.norm(x[:, 1:]), "b (t n) c -> (b t) n c", t=moments)
        return rearrange(self.spatial_attn_agg(patches), "(b t) c -> b t c", t=moments)

    def forward(self, frames: Tensor, batch: int = 8) -> Tensor:
        """Frames (B, F, 3, H, W) in -1 to 1, 24 per second -> features (B, F, W).

        Args:
            frames: pixels, 0.5 subtracted and divided by 0.5.
            batch: segments that are computed at a time.

        Raises:
            ValueError: frames of another shape.
        """
        size = self.config.image_size
        if frames.ndim != 5 or frames.shape[2:] != (3, size, size) or frames.shape[1] < 1:
            raise ValueError(f"frames must be (B, F, 3, {size}, {size}), not {tuple(frames.shape)}")
        count, length = frames.shape[:2]
        padded = functional.pad(frames, (0, 0, 0, 0, 0, 0, SEGMENT, 0))
        segments = padded.unfold(1, SEGMENT, STRIDE)  # (B, S, 3, H, W, 16), S = F // 8 + 1
        segments = rearrange(segments, "b s c h w f -> (b s) f c h w")
        features = [self.segment_features(part) for part in segments.split(batch)]
        whole = rearrange(torch.cat(features), "(b s) t c -> b (s t) c", b=count)
        return whole[:, :length]

    @torch.no_grad()
    def watch(self, windows: Iterable[Tensor]) -> Tensor:
        """Windows (n, 3, H, W) of one film, 8 bits, one after another -> features (F, W), as if it were seen at once.

        Raises:
            ValueError: no frame.
        """
        size, told, count = self.config.image_size, [], 0
        held = torch.zeros(SEGMENT, 3, size, size, device=self.device, dtype=self.dtype)
        for window in windows:
            count += len(window)
            held = torch.cat([held, window.to(held) / 127.5 - 1])
            while len(held) >= SEGMENT + STRIDE:
                told.append(self.segment_features(held[None, :SEGMENT])[0])
                held = held[STRIDE:]
        if count == 0:
            raise ValueError("there is no frame to watch")
        told.append(self.segment_features(held[None, :SEGMENT])[0])
        return torch.cat(told)[:count].float().cpu()


def load_synchformer(path: str | Path) -> Synchformer:
    """The published weights, strictly; those of other parts than the visual one are left alone.

    Raises:
        ValueError: names or shapes that do not fit.
    """
    return from_tensors(read_tensors(Path(path)), str(path))


def from_tensors(tensors: Mapping[str, Tensor], source: str) -> Synchformer:
    """The network of published tensors; `source` is named in errors."""
    found = {
        name.removeprefix(PUBLISHED): value
        for name, value in tensors.items()
        if name.startswith(PUBLISHED) and not name.startswith(PUBLISHED + UNUSED)
    }
    if not found:
        raise ValueError(
            f"{source} has no tensor {PUBLISHED}...; give Synchformer's published weights"
        )
    with torch.device("meta"):
        model = Synchformer()
    check_tensors(model, found, source)
    model.load_state_dict(found, strict=True, assign=True)
    return model.eval()
