"""The multimodal diffusion transformer: from noisy latents, a time and a condition to a velocity.

One class is all four released networks: text to audio, video to audio, and their few-step (flow map) students.
Conventions of time, sign and guidance are those of `woosh.generation.flow`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from woosh.generation.flow import linear_mean_velocity, linear_velocity
from woosh.generation.layers import (
    EPSILON,
    FusedBlock,
    JointBlock,
    Perceptron,
    rotary_frequencies,
    rotary_table,
)
from woosh.generation.modulation import FlowMapEmbedding, LogVariance, Summary, TimeEmbedding
from woosh.parts import ConfigMixin, ModelMixin, register_to_config

VIDEO_RATE = 24.0  # video features per second


@dataclass(frozen=True)
class Condition:
    """All that is computed once per prompt; made by `WooshTransformer.prepare`, only read afterwards.

    Attributes:
        text: projected text tokens (B, L, W).
        video: projected video tokens (B, K, W), or None in a network without video.
        summary: what joins the time's embedding (B, W), or None in a network without summary.
    """

    text: Tensor
    video: Tensor | None = None
    summary: Tensor | None = None


class FinalLayer(nn.Module):
    """Modulated LayerNorm and the linear layer that gives the velocity."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(width, 2 * width)
        self.linear = nn.Linear(width, outputs)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        shift, scale = self.modulation(embedding)[:, None].chunk(2, dim=-1)
        return self.linear(
            torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=EPSILON), 1 + scale)
        )


class WooshTransformer(ModelMixin, ConfigMixin):
    """Velocity of the flow between noise and the latents of a sound, given text and possibly video.

    A network with `flow_map` is a few-step student: its velocity is the mean one between two times (MeanFlow,
    arXiv 2505.13447). It keeps the time embedding and the log-variance head of the network that it was distilled
    from: released files hold them, and the student's embedding is first fitted to that time embedding. They take no
    part in `forward` and get no gradient; their names start with `UNUSED_IN_FLOW_MAP`.

    Args:
        latent_channels: C, channels of the latents.
        text_width: channels of the text encoder's hidden states.
        text_tokens: L, exact number of text tokens.
        width: channels of a token, W.
        inner_width: hidden channels of the feed-forward parts and of the input perceptrons.
        joint_blocks: blocks in which every stream has its own weights; they come first.
        fused_blocks: blocks on the one sequence of all tokens.
        heads: attention heads.
        rotary_channels: channels of a head that carry the position.
        max_frames: length in latent frames that the rotary frequencies are meant for; up to twice as many are taken.
            The memory token sits at this position.
        time_features: Fourier features of one time.
        rotary_factor: YaRN factor, see `woosh.generation.layers.rotary_frequencies`; 1 gives plain rotary frequencies,
            and it is above 0.
        patch_size: latent frames in one token. A token stands at the position of its first frame.
        flow_map: whether this is a few-step student, asked with `next_time` and `guidance`.
        video_channels: channels of the video features, or None for a network without a video stream.
        released_positions: the fused blocks number the tokens as the released networks do, see `positions`.
        linear_skip: add the best linear guess of the velocity (`woosh.generation.flow.linear_velocity`, in a flow map
            `linear_mean_velocity`), so that a narrow network need not carry the noise through its blocks. The released
            networks do without.
        latent_deviations: standard deviation of each latent channel, for `linear_skip`; None is 1 for all.
        latent_rate: latent frames per second.
        summary: the mean of the text and the length of the sound join the time's embedding, see `Summary`. The released
            networks do without.
    """

    UNUSED_IN_FLOW_MAP = ("time_embedding.", "log_variance_head.")

    __module__ = "woosh"  # the name that model_index.json stores, wherever this file lies

    @register_to_config
    def __init__(  # noqa: PLR0913
        self,
        latent_channels: int = 128,
        text_width: int = 1024,
        text_tokens: int = 77,
        width: int = 1024,
        inner_width: int = 4096,
        joint_blocks: int = 6,
        fused_blocks: int = 6,
        heads: int = 8,
        rotary_channels: int = 112,
        max_frames: int = 501,
        time_features: int = 256,
        rotary_factor: float = 40.0,
        patch_size: int = 1,
        flow_map: bool = False,
        video_channels: int | None = None,
        released_positions: bool = False,
        linear_skip: bool = False,
        latent_deviations: Sequence[float] | None = None,
        latent_rate: float = 100.0,
        summary: bool = False,
    ) -> None:
        super().__init__()
        if width % heads or (width // heads) % 2:
            raise ValueError(
                f"width {width} does not split into {heads} heads of an even number of channels"
            )
        if rotary_channels % 2 or rotary_channels > width // heads:
            raise ValueError(
                f"rotary_channels {rotary_channels} must be even and at most {width // heads}"
            )
        if rotary_factor <= 0:
            raise ValueError(f"rotary_factor is {rotary_factor}; it must be above 0")
        if released_positions and patch_size != 1:
            raise ValueError(f"released_positions goes with patch_size 1 only, not {patch_size}")
        if latent_deviations is not None and len(latent_deviations) != latent_channels:
            raise ValueError(
                f"latent_deviations has {len(latent_deviations)} values for {latent_channels} latent channels"
            )
        self.patch_size = patch_size
        self.max_frames = max_frames
        self.released_positions = released_positions
        self.linear_skip = linear_skip
        self.latent_deviations = None if latent_deviations is None else tuple(latent_deviations)
        self.latent_rate = latent_rate
        self.rotary = (width // heads, rotary_channels, max_frames, rotary_factor)
        self.memory_token = nn.Parameter(torch.empty(1, 1, width))
        self.text_padding = nn.Parameter(torch.empty(text_tokens, text_width))
        self.audio_in = nn.Linear(patch_size * latent_channels, width)
        self.text_in = Perceptron(text_width, inner_width, width)
        # Without a bias, so that zero features are the fixed zero token that stands for "no video".
        self.video_in = (
            None if video_channels is None else nn.Linear(video_channels, width, bias=False)
        )
        self.prompt_summary = (
            Summary(text_width, time_features, inner_width, width) if summary else None
        )
        self.time_embedding = TimeEmbedding(time_features, inner_width, width)
        self.log_variance_head = LogVariance(time_features, times=1)
        self.flow_map_embedding = (
            FlowMapEmbedding(time_features, inner_width, width) if flow_map else None
        )
        self.flow_map_log_variance = LogVariance(time_features, times=2) if flow_map else None
        self.joint = nn.ModuleList(
            JointBlock(width, inner_width, heads, video=video_channels is not None)
            for _ in range(joint_blocks)
        )
        self.fused = nn.ModuleList(
            FusedBlock(width, inner_width, heads) for _ in range(fused_blocks)
        )
        self.final = FinalLayer(width, patch_size * latent_channels)
        self.initialise()

    def initialise(self) -> None:
        """Start as DiT does (arXiv 2212.09748, adaLN-Zero): every block the identity, the velocity zero.

        The released networks did not start their modulation at zero; small networks train faster from here.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, TimeEmbedding | LogVariance):
                nn.init.normal_(module.frequencies)
        for name, module in self.named_modules():
            if name.endswith("modulation") and isinstance(module, nn.Linear):
                nn.init.zeros_(module.weight)
        nn.init.zeros_(self.final.linear.weight)
        nn.init.normal_(self.memory_token, std=0.02)
        nn.init.normal_(self.text_padding, std=0.02)
        if self.prompt_summary is not None:
            nn.init.normal_(self.prompt_summary.unknown_length, std=0.02)

    def prepare(
        self,
        text: Tensor,
        text_mask: Tensor,
        video: Tensor | None = None,
        sound_seconds: Tensor | None = None,
    ) -> Condition:
        """Project what the prompt gives, once for all steps.

        Args:
            text: hidden states of the text encoder (B, L, text_width).
            text_mask: (B, L), nonzero at real tokens. The others are replaced by a learned table: no attention is
                masked.
            video: features (B, K, video_channels) at 24 per second; zeros stand for "no video". None in a network
                with video stands for one zero token.
            sound_seconds: (B,) how long the sound itself is, without the silence around it; 0 where it is not known.
                None is not known at all.

        Raises:
            ValueError: a shape that does not fit, video for a network without a video stream, or a length for a network
                without a summary.
        """
        if text.shape[1:] != self.text_padding.shape or text_mask.shape != text.shape[:2]:
            tokens, channels = self.text_padding.shape
            raise ValueError(
                f"text must be (B, {tokens}, {channels}) with a mask (B, {tokens}), but they are "
                f"{tuple(text.shape)} and {tuple(text_mask.shape)}; pad or cut the texts to that number"
            )
        text = torch.where(
            text_mask[..., None].bool(), text.to(self.text_padding.dtype), self.text_padding
        )
        summary = self._summarise(text, text_mask, sound_seconds)
        return Condition(self.text_in(text), self._prepare_video(video, text), summary)

    def _summarise(self, text: Tensor, mask: Tensor, seconds: Tensor | None) -> Tensor | None:
        if self.prompt_summary is None:
            if seconds is not None:
                raise ValueError("this network is not told lengths; leave sound_seconds out")
            return None
        if seconds is None:
            seconds = torch.zeros(text.shape[0], device=text.device)
        if seconds.shape != text.shape[:1]:
            raise ValueError(
                f"sound_seconds must be ({text.shape[0]},), not {tuple(seconds.shape)}"
            )
        return self.prompt_summary(text, mask, seconds)

    def _prepare_video(self, video: Tensor | None, text: Tensor) -> Tensor | None:
        if self.video_in is None:
            if video is not None:
                raise ValueError("this network has no video stream; leave video out")
            return None
        channels, limit = self.video_in.in_features, 2 * self.max_frames
        features = text.new_zeros(text.shape[0], 1, channels) if video is None else video
        if (
            features.ndim != 3
            or features.shape[2] != channels
            or not 0 < features.shape[1] <= limit
        ):
            raise ValueError(
                f"video must be (B, K, {channels}) with K from 1 to {limit}, not {tuple(features.shape)}"
            )
        return self.video_in(features.to(text.dtype))

    def forward(
        self,
        latents: Tensor,
        time: Tensor,
        condition: Condition,
        next_time: Tensor | None = None,
        guidance: Tensor | None = None,
    ) -> Tensor:
        """Velocity, noise minus data, at one time or (flow map) its mean between two times.

        Args:
            latents: noisy latents (B, C, T), T up to twice `max_frames`.
            time: noise level (B,), 1 is pure noise.
            condition: what `prepare` made.
            next_time: time (B,) that the step leads to, at most `time`; for a flow map only.
            guidance: number (B,) that a flow map was taught with, embedded as it is; for a flow map only.

        Returns:
            (B, C, T) in the latents' precision.

        Raises:
            ValueError: too many latents, or an argument that does not fit this network.
        """
        frames = self._check(latents, time, condition)
        embedding = self.embed_times(time, next_time, guidance)  # (B, W)
        if condition.summary is not None:
            embedding = embedding + condition.summary
        tokens = self.embed_tokens(latents, condition)  # (B, 1 + N, W), (B, L, W), maybe (B, K, W)
        joint_table, fused_table = self.rotary_tables(tokens)
        for block in self.joint:
            tokens = block(tokens, embedding, joint_table)
        sequence = torch.cat(tokens, dim=1)  # (B, 1 + N + L + K, W)
        for block in self.fused:
            sequence = block(sequence, embedding, fused_table)
        patches = self.final(sequence[:, 1 : tokens[0].shape[1]], embedding)  # (B, N, p C)
        velocity = self.from_patches(patches, frames).to(latents.dtype)  # (B, C, T)
        if not self.linear_skip:
            return velocity
        deviation = self._deviation(latents)
        if next_time is None:
            return velocity + linear_velocity(latents, time, deviation)
        return velocity + linear_mean_velocity(latents, time, next_time, deviation)

    def _deviation(self, latents: Tensor) -> Tensor | float:
        """Of the data, (C, 1) or one for all channels."""
        if self.latent_deviations is None:
            return 1.0
        return latents.new_tensor(self.latent_deviations)[:, None]

    def features(
        self, latents: Tensor, time: Tensor, condition: Condition, blocks: Sequence[int]
    ) -> list[Tensor]:
        """The audio tokens (B, 1 + N, W) after the named blocks, the memory token first; later blocks are not run.

        Args:
            latents: noisy latents (B, C, T).
            time: noise level (B,).
            condition: what `prepare` made.
            blocks: numbers of blocks, joint ones first, counted from 0.

        Raises:
            ValueError: the network has no such block, or is a flow map (its times come in pairs).
        """
        count = len(self.joint) + len(self.fused)
        if not blocks or not 0 <= min(blocks) <= max(blocks) < count:
            raise ValueError(f"blocks {list(blocks)}: this network has 0 to {count - 1}")
        embedding = self.embed_times(time)
        if condition.summary is not None:
            embedding = embedding + condition.summary
        tokens = self.embed_tokens(latents, condition)
        joint_table, fused_table = self.rotary_tables(tokens)
        audio = tokens[0].shape[1]
        after = []
        for block in self.joint[: max(blocks) + 1]:
            tokens = block(tokens, embedding, joint_table)
            after.append(tokens[0])
        sequence = torch.cat(tokens, dim=1)
        for block in self.fused[: max(0, max(blocks) + 1 - len(self.joint))]:
            sequence = block(sequence, embedding, fused_table)
            after.append(sequence[:, :audio])
        return [after[number] for number in sorted(set(blocks))]

    def embed_tokens(self, latents: Tensor, condition: Condition) -> tuple[Tensor, ...]:
        """Tokens of audio (B, 1 + N, W), the memory token first, of the text (B, L, W) and, if seen, of the video."""
        audio = self.audio_in(self.to_patches(latents.to(self.dtype)))  # (B, N, W)
        memory = self.memory_token.expand(latents.shape[0], -1, -1)
        audio = torch.cat((memory, audio), dim=1)  # (B, 1 + N, W)
        seen = () if condition.video is None else (condition.video,)
        return (audio, condition.text, *seen)

    def _check(self, latents: Tensor, time: Tensor, condition: Condition) -> int:
        channels, limit = self.audio_in.in_features // self.patch_size, 2 * self.max_frames
        if latents.ndim != 3 or latents.shape[1] != channels:
            raise ValueError(f"latents must be (B, {channels}, T), not {tuple(latents.shape)}")
        batch, _, frames = latents.shape
        if not 0 < frames <= limit:
            raise ValueError(
                f"{frames} latent frames; this network takes 1 to {limit} ({limit / self.latent_rate:.2f} s)"
            )
        if time.shape != (batch,) or condition.text.shape[0] != batch:
            raise ValueError(
                f"{batch} latents need a time of shape ({batch},) and {batch} conditions, "
                f"not {tuple(time.shape)} and {condition.text.shape[0]}"
            )
        return frames

    def embed_times(
        self, time: Tensor, next_time: Tensor | None = None, guidance: Tensor | None = None
    ) -> Tensor:
        """Embedding (B, W) that modulates every block."""
        if self.flow_map_embedding is None:
            if next_time is not None or guidance is not None:
                raise ValueError(
                    "next_time and guidance are inputs of flow-map networks only; leave them out"
                )
            return self.time_embedding(time)
        if next_time is None or guidance is None:
            raise ValueError("a flow-map network needs next_time and guidance, each (B,)")
        return self.flow_map_embedding(time, next_time, guidance)

    def log_variance(self, time: Tensor, next_time: Tensor | None = None) -> Tensor:
        """Log-variance u (B,) that weighs the training loss (EDM2, arXiv 2312.02696, section 3 of its appendix B).

        Raises:
            ValueError: `next_time` missing in a flow-map network, or given to another.
        """
        if (next_time is None) != (self.flow_map_log_variance is None):
            raise ValueError("log_variance takes next_time in flow-map networks and only there")
        if self.flow_map_log_variance is None or next_time is None:
            return self.log_variance_head(time)
        return self.flow_map_log_variance(time, next_time)

    def to_patches(self, latents: Tensor) -> Tensor:
        """(B, C, T) -> (B, ceil(T / p), p C), the last patch filled with zeros."""
        latents = F.pad(latents, (0, -latents.shape[-1] % self.patch_size))
        return rearrange(latents, "b c (n p) -> b n (p c)", p=self.patch_size)

    def from_patches(self, patches: Tensor, frames: int) -> Tensor:
        """(B, ceil(T / p), p C) -> (B, C, T)."""
        latents = rearrange(patches, "b n (p c) -> b c (n p)", p=self.patch_size)
        return latents[..., :frames]

    def positions(
        self, audio: int, text: int, video: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Position of every token in joint and in fused blocks, in latent frames.

        The memory token is at `max_frames`, audio tokens at their first frame, text at 0 (it does not rotate) and
        video features at the latent frame of the same moment, k `latent_rate` / 24. The released networks use this in the joint
        blocks only; in the fused ones they lay the tables of all streams, 2 `max_frames` rows each, one after the
        other and cut that to the sequence, so that tokens get whatever position stands at their place.

        Args:
            audio: tokens of audio, the memory token among them.
            text: tokens of text.
            video: tokens of video.
            device: where the result lies.

        Returns:
            Two float32 tensors (audio + text + video,).
        """
        rows = 2 * self.max_frames
        memory = torch.full((1,), float(self.max_frames), device=device)
        frames = torch.arange(0, rows, self.patch_size, device=device, dtype=torch.float32)
        moments = torch.arange(rows, device=device) * (self.latent_rate / VIDEO_RATE)
        still = torch.zeros(text, device=device)
        joint = torch.cat((memory, frames[: audio - 1], still, moments[:video]))
        if not self.released_positions:
            return joint, joint
        return joint, torch.cat((memory, frames, still, moments))[: len(joint)]

    def rotary_tables(self, tokens: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Rotary tables (tokens, 1, D / 2, 2) of the joint and of the fused blocks; see `positions`."""
        audio, text, *video = (stream.shape[1] for stream in tokens)
        device = tokens[0].device
        frequencies = rotary_frequencies(*self.rotary).to(device)
        joint, fused = self.positions(audio, text, sum(video), device)
        table = rotary_table(joint, frequencies)
        return table, table if joint is fused else rotary_table(fused, frequencies)
