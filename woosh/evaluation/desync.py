"""DeSync: how far apart Synchformer (arXiv 2401.16423) believes picture and sound to be, measured as av-benchmark does.

Pictures at 25 per second and sound at 16 kHz are cut into segments of .64 s that overlap by half; 14 of them, 4.8 s, are
compared at a time, and one of 21 offsets from -2 to 2 s is chosen. Parameters bear the names of the published weights.
Shapes: B batch, S segments, M mel frames, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from woosh.video import Video, View, read_frames
from woosh.video.synchformer import (
    PUBLISHED,
    SEGMENT,
    STRIDE,
    MomentSummary,
    Synchformer,
    from_tensors,
)
from woosh.weight_files import check_tensors, read_tensors

PICTURE_RATE, SOUND_RATE = 25, 16_000  # per second
SEGMENT_SAMPLES, STRIDE_SAMPLES = 10_240, 5_120  # as long as 16 and 8 pictures
COMPARED = 14  # segments
COMPARED_SECONDS = (COMPARED + 1) * STRIDE / PICTURE_RATE  # 4.8
OFFSETS = torch.linspace(-2.0, 2.0, 21)  # seconds
MEL_BANDS, MEL_FRAMES = 128, 66
MEL_WINDOW, MEL_HOP, MEL_FFT = 400, 160, 1024  # samples
MEL_MEAN, MEL_DEVIATION = -4.2677393, 2 * 4.5689974  # of log-mel spectra, see Gong et al. 2021
PATCH, PATCH_STRIDE = 16, 10  # bands and frames


class SelfAttention(nn.Module):
    """Attention with three projections, without the one behind it: (B, L, W) -> (B, L, W)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            rearrange(part(x), "b l (h c) -> b h l c", h=self.heads)
            for part in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return rearrange(mixed, "b h l c -> b l (h c)")


class SpectrogramBlock(nn.Module):
    """A block of the audio spectrogram transformer (arXiv 2104.01778): (B, L, W) -> (B, L, W)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        epsilon = 1e-12
        self.layernorm_before = nn.LayerNorm(width, eps=epsilon)
        self.attention = nn.ModuleDict(
            {
                "attention": SelfAttention(width, heads),
                "output": nn.ModuleDict({"dense": nn.Linear(width, width)}),
            }
        )
        self.layernorm_after = nn.LayerNorm(width, eps=epsilon)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, 4 * width)})
        self.output = nn.ModuleDict({"dense": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.attention["attention"](self.layernorm_before(x))
        x = x + self.attention["output"]["dense"](mixed)  # type: ignore[index]
        hidden = functional.gelu(self.intermediate["dense"](self.layernorm_after(x)))
        return x + self.output["dense"](hidden)


class SpectrogramEmbedding(nn.Module):
    """Overlapping patches of a spectrogram behind two tokens of their own: (B, bands, M) -> (B, 2 + f t, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, width))
        count = steps(MEL_BANDS) * steps(MEL_FRAMES)
        self.position_embeddings = nn.Parameter(torch.zeros(1, 2 + count, width))
        self.patch_embeddings = nn.ModuleDict(
            {"projection": nn.Conv2d(1, width, PATCH, PATCH_STRIDE)}
        )

    def forward(self, mel: Tensor) -> Tensor:
        patches = self.patch_embeddings["projection"](mel[:, None]).flatten(2).transpose(1, 2)
        first = torch.cat([self.cls_token, self.distillation_token], dim=1)
        x = torch.cat([first.expand(len(mel), -1, -1), patches], dim=1)
        return x + self.position_embeddings


def steps(length: int) -> int:
    """Patches along a side of the spectrogram."""
    return (length - PATCH) // PATCH_STRIDE + 1


class SpectrogramTransformer(nn.Module):
    """All tokens of a segment's spectrogram: (B, bands, M) -> (B, 2 + f t, W)."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embeddings = SpectrogramEmbedding(width)
        blocks = nn.ModuleList(SpectrogramBlock(width, heads) for _ in range(depth))
        self.encoder = nn.ModuleDict({"layer": blocks})
        self.layernorm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.embeddings(mel)
        for block in self.encoder["layer"]:  # type: ignore[union-attr]
            x = block(x)
        return self.layernorm(x)


class SoundTower(nn.Module):
    """Spectrograms of segments (B, bands, M) -> six moments of each (B, 6, W)."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.ast = SpectrogramTransformer(width, depth, heads)
        self.freq_attn_agg = MomentSummary(width, heads)

    def forward(self, mel: Tensor) -> Tensor:
        tokens = self.ast(mel)[:, 2:]
        moments = rearrange(tokens, "b (f t) c -> (b t) f c", t=steps(MEL_FRAMES))
        return rearrange(self.freq_attn_agg(moments), "(b t) c -> b t c", b=len(mel))


class ComparisonAttention(SelfAttention):
    """Attention with the projection behind it: (B, L, W) -> (B, L, W)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(super().forward(x))


class ComparisonBlock(nn.Module):
    """Attention and feed-forward part, each on the normalised tokens, each added: (B, L, W) -> (B, L, W)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(width)
        self.attn = ComparisonAttention(width, heads)
        self.ln2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class ComparisonPositions(nn.Module):
    """A learned vector for every place: (B, L, W) -> (B, L, W)."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.pos_emb = nn.Parameter(torch.zeros(1, length, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pos_emb


class ComparisonTransformer(nn.Module):
    """Moments of picture (B, V, W) and sound (B, A, W) -> a logit for each offset (B, 21)."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.OFF_tok = nn.Parameter(torch.zeros(1, 1, width))
        self.MOD_tok = nn.Parameter(torch.zeros(1, 1, width))
        self.vis_in_lnorm = nn.LayerNorm(width)
        self.aud_in_lnorm = nn.LayerNorm(width)
        length = 2 + COMPARED * (SEGMENT // 2 + steps(MEL_FRAMES))  # 198
        self.pos_emb_cfg = ComparisonPositions(length, width)
        self.blocks = nn.Sequential(*(ComparisonBlock(width, heads) for _ in range(depth)))
        self.ln_f = nn.LayerNorm(width)
        self.off_head = nn.Linear(width, len(OFFSETS))

    def forward(self, seen: Tensor, heard: Tensor) -> Tensor:
        asking, between = (
            token.expand(len(seen), -1, -1) for token in (self.OFF_tok, self.MOD_tok)
        )
        parts = [asking, self.vis_in_lnorm(seen), between, self.aud_in_lnorm(heard)]
        x = self.blocks(self.pos_emb_cfg(torch.cat(parts, dim=1)))
        return self.off_head(self.ln_f(x)[:, 0])


class Comparison(nn.Module):
    """All of Synchformer that its visual part is not.

    Args:
        width: W.
        depth: blocks of the sound's tower.
        heads: of these blocks.
        compared_depth: blocks that see picture and sound.
        compared_heads: of those.
    """

    def __init__(
        self,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        compared_depth: int = 3,
        compared_heads: int = 8,
    ) -> None:
        super().__init__()
        self.afeat_extractor = SoundTower(width, depth, heads)
        self.vproj = nn.Linear(width, width)
        self.aproj = nn.Linear(width, width)
        self.transformer = ComparisonTransformer(width, compared_depth, compared_heads)

    def forward(self, seen: Tensor, mel: Tensor) -> Tensor:
        """Features of 14 segments' pictures (B, 14, 8, W) and their spectrograms (B, 14, bands, M) -> logits (B, 21)."""
        heard = self.afeat_extractor(mel.flatten(0, 1))
        heard = rearrange(heard, "(b s) t c -> b (s t) c", b=len(mel))
        return self.transformer(self.vproj(seen.flatten(1, 2)), self.aproj(heard))


def segment_spectrograms(audio: Tensor) -> Tensor:
    """Sound (B, S) at 16 kHz -> normalised log-mel spectra of its segments (B, N, 128, 66)."""
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(
        MEL_FFT // 2 + 1, MEL_BANDS, 0.0, SOUND_RATE / 2, SOUND_RATE, norm=None, mel_scale="htk"
    )
    segments = audio.unfold(1, SEGMENT_SAMPLES, STRIDE_SAMPLES)  # (B, N, 10240)
    spectrum = torch.stft(
        segments.flatten(0, 1),
        MEL_FFT,
        MEL_HOP,
        MEL_WINDOW,
        torch.hann_window(MEL_WINDOW, device=audio.device),
        return_complex=True,
    )
    power = spectrum.real.square() + spectrum.imag.square()
    mel = torch.from_numpy(filters).to(power).T @ power
    # The frame that is missing is padded before it is normalised, as in training.
    padded = functional.pad((mel + 1e-6).log(), (0, MEL_FRAMES - mel.shape[-1]))
    return rearrange((padded - MEL_MEAN) / MEL_DEVIATION, "(b n) f t -> b n f t", b=len(audio))


class DeSync(nn.Module):
    """Synchformer whole: what it sees, what it hears, and by how much they are apart."""

    def __init__(self, visual: Synchformer, comparison: Comparison) -> None:
        super().__init__()
        self.visual = visual
        self.comparison = comparison

    @torch.inference_mode()
    def offset(self, frames: Tensor, audio: Tensor) -> float:
        """Seconds by which 4.8 s of sound are apart from the pictures.

        Args:
            frames: (120, 3, H, W), 8 bits, 25 per second.
            audio: (76800,) at 16 kHz.
        """
        pixels = frames.to(self.visual.device, torch.float32) / 127.5 - 1
        segments = rearrange(pixels.unfold(0, SEGMENT, STRIDE), "s c h w f -> s f c h w")
        seen = torch.cat([self.visual.segment_features(part) for part in segments.split(4)])
        logits = self.comparison(seen[None], segment_spectrograms(audio[None].to(pixels)))
        return float(OFFSETS[int(logits[0].argmax())])

    def measure(self, video: Video, audio: np.ndarray, sample_rate: int) -> float:
        """Mean of the absolute offsets of a video's first and last 4.8 s from its sound.

        Args:
            video: of `woosh.video.open_video`.
            audio: (S,), from the first picture on.
            sample_rate: in Hz.

        Raises:
            ValueError: fewer than 4.8 s.
        """
        import soxr

        sound = torch.from_numpy(soxr.resample(audio, sample_rate, SOUND_RATE)).float()
        pictures = int(min(video.seconds, len(sound) / SOUND_RATE) * PICTURE_RATE + 1e-6)
        segments = (pictures - SEGMENT) // STRIDE + 1
        if segments < COMPARED:
            raise ValueError(
                f"{video.path}: DeSync needs {COMPARED_SECONDS:g} s of picture and sound, "
                f"not {pictures / PICTURE_RATE:g}"
            )
        return float(np.mean([abs(offset) for offset in self._offsets(video, sound, segments)]))

    def _offsets(self, video: Video, sound: Tensor, segments: int) -> Iterator[float]:
        size = self.visual.frame_size
        for first in (0, segments - COMPARED):
            start = first * STRIDE / PICTURE_RATE
            windows = read_frames(video, View(PICTURE_RATE, size, start, COMPARED_SECONDS, "crop"))
            at = first * STRIDE_SAMPLES
            length = (COMPARED + 1) * STRIDE_SAMPLES
            yield self.offset(torch.cat(list(windows)), sound[at : at + length])


def load_desync(path: str | Path) -> DeSync:
    """Synchformer's published weights, all of them and strictly.

    Raises:
        FileNotFoundError: no such file.
        ValueError: names or shapes that do not fit, such as a file with the visual part alone.
    """
    tensors = read_tensors(Path(path))
    visual = from_tensors(tensors, str(path))
    others = {name: value for name, value in tensors.items() if not name.startswith(PUBLISHED)}
    with torch.device("meta"):
        comparison = Comparison()
    check_tensors(comparison, others, str(path))
    comparison.load_state_dict(others, strict=True, assign=True)
    return DeSync(visual, comparison).eval()
