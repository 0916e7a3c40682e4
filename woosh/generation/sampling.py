"""Text -> audio: the way through tokenizer, text encoder, transformer, solver and decoder.

`woosh.generation.pipeline` gives it the interface of diffusers. It stands apart because importing a diffusers
pipeline brings every model of that library along, which the command line would wait for.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from woosh.autoencoder.network import WooshAutoencoder
from woosh.catalogue import LONGEST_SECONDS, longest_seconds, window_frames
from woosh.generation.guidance import (
    Group,
    Guidance,
    branches_of,
    conditions_of,
    guided_velocity,
    taught_velocity,
)
from woosh.generation.solvers import (
    Velocity,
    check_times,
    dopri5,
    euler,
    flow_map,
    renoise_weights,
    uniform_times,
)
from woosh.generation.text_encoder import WooshTextEncoder, tokenize
from woosh.generation.transformer import WooshTransformer
from woosh.generation.windows import Window, windows_of

logger = logging.getLogger(__name__)

# What a pipeline's model_index.json says of sampling.
SAMPLING_DEFAULTS = (
    *("default_steps", "default_guidance_scale", "guidance_start"),
    *("guidance_range", "guidance_offset", "renoise_scale"),
)

StepCallback = Callable[[int, float, dict[str, Tensor]], dict[str, Tensor] | None]
Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Sampler:
    """The parts of a text-to-audio model, and sampling from them.

    Args:
        autoencoder: audio <-> latents.
        transformer: velocity of the latents.
        text_encoder: token ids -> hidden states.
        tokenizer: text -> token ids.
        default_steps: steps of a call that names none; None is 25, or 4 for few-step models.
        default_guidance_scale: guidance of a call that names none; None is 5.5, or 4.5 for
            few-step models.
        guidance_start: largest time at which guidance acts (arXiv 2404.07724). Guidance near time 1
            drives sparse sounds into silence. Not for few-step models.
        guidance_range: least and greatest guidance that a few-step model was taught.
        guidance_offset: what a few-step model embeds is the guidance plus this.
        renoise_scale: of `solvers.renoise_weights`, for a few-step call that names no weights.
        progress: wraps the steps, to show a progress bar.

    Raises:
        ValueError: the transformer makes other channels than the autoencoder decodes.
    """

    autoencoder: WooshAutoencoder
    transformer: WooshTransformer
    text_encoder: WooshTextEncoder
    tokenizer: PreTrainedTokenizerBase
    default_steps: int | None = None
    default_guidance_scale: float | None = None
    guidance_start: float = 1.0
    guidance_range: Sequence[float] | None = None
    guidance_offset: float = 0.0
    renoise_scale: float = 1.0
    progress: Progress = iter

    def __post_init__(self) -> None:
        made = self.transformer.config.latent_channels
        wanted = self.autoencoder.generated_channels
        if made != wanted:
            raise ValueError(
                f"the transformer makes {made} latent channels, the autoencoder decodes {wanted}: "
                "they do not belong together"
            )

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.transformer.device

    @property
    def sample_rate(self) -> int:
        """Of the audio, in Hz."""
        return self.autoencoder.config.sample_rate

    @property
    def longest(self) -> float:
        """Longest clip that is made in one piece, in seconds; longer ones are made in windows."""
        return longest_seconds(
            self.window_frames, self.autoencoder.config.hop_length, self.sample_rate
        )

    @property
    def window_frames(self) -> int:
        """Most latent frames that are made in one piece."""
        config = self.transformer.config
        return window_frames(config.max_frames, config.video_channels is not None)

    @property
    def few_step(self) -> bool:
        """Whether the transformer is a distilled one, with its own sampler and guidance."""
        return self.transformer.config.flow_map

    @torch.no_grad()
    def __call__(  # noqa: PLR0913
        self,
        prompt: str | Sequence[str],
        negative_prompt: str | Sequence[str] | None = None,
        seconds: float = 5.0,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        num_waveforms_per_prompt: int = 1,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        solver: str = "euler",
        callback: StepCallback | None = None,
        latent: bool = False,
        times: Sequence[float] | None = None,
        renoise: Sequence[float] | None = None,
        video: Tensor | None = None,
        video_guidance_scale: float | None = None,
    ) -> Tensor:
        """Generate audio (P N, 1, S), or normalised latents (P N, C, T) if `latent`.

        The arguments are those of `woosh.generation.pipeline.WooshPipeline.__call__`.
        """
        prompts, negatives = self._check_texts(prompt, negative_prompt, num_waveforms_per_prompt)
        frames, samples = self._check_length(seconds)
        self._check_solver(solver, num_inference_steps, callback, times)
        grid = self._check_times(num_inference_steps, times)
        weights = self._check_renoise(renoise, len(grid) - 1)
        guidance = self._check_guidance(guidance_scale)
        led = Guidance(guidance, self._check_video(video, video_guidance_scale))
        generators = noise_streams(generator, len(prompts))
        latents = self._draw_noise(generators, frames)
        windows = windows_of(frames, self.window_frames)
        groups = self._prepare(prompts, negatives, video, windows, led, solver)
        if solver == "dopri5":
            latents = self._solve_adaptively(latents, groups, led)
        else:
            latents = self._solve(latents, groups, led, grid, weights, generators, callback)
        return latents if latent else self._decode(latents, groups)[..., :samples]

    def _check_texts(
        self,
        prompt: str | Sequence[str],
        negative_prompt: str | Sequence[str] | None,
        waveforms: int,
    ) -> tuple[list[str], list[str]]:
        """Return the prompt and the negative prompt of each of the P N sounds."""
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if not prompts or not all(isinstance(text, str) for text in prompts):
            raise ValueError(f"prompt must be a text or several, got {prompt!r}")
        if self.few_step and negative_prompt is not None:
            raise ValueError(
                "a few-step model has no unconditional branch: leave out negative_prompt"
            )
        negatives = "" if negative_prompt is None else negative_prompt
        negatives = [negatives] * len(prompts) if isinstance(negatives, str) else list(negatives)
        if len(negatives) != len(prompts) or not all(isinstance(text, str) for text in negatives):
            raise ValueError(
                f"negative_prompt must be a text or {len(prompts)}, one for each prompt, "
                f"got {negative_prompt!r}"
            )
        if isinstance(waveforms, bool) or not isinstance(waveforms, int) or waveforms < 1:
            raise ValueError(f"num_waveforms_per_prompt must be 1 or more, got {waveforms!r}")
        return (
            [text for text in prompts for _ in range(waveforms)],
            [text for text in negatives for _ in range(waveforms)],
        )

    def _check_length(self, seconds: float) -> tuple[int, int]:
        """Return the numbers of latent frames and of audio samples."""
        samples = round(seconds * self.sample_rate) if math.isfinite(seconds) else 0
        if samples < 1:
            raise ValueError(f"seconds must be a length above 0, got {seconds!r}")
        frames = 1 + math.ceil(samples / self.autoencoder.config.hop_length)
        if seconds > LONGEST_SECONDS:
            raise ValueError(
                f"{seconds:g} seconds are too long: one call makes up to {LONGEST_SECONDS:g} s"
            )
        return frames, samples

    def _check_solver(
        self,
        solver: str,
        steps: int | None,
        callback: StepCallback | None,
        times: Sequence[float] | None,
    ) -> None:
        if solver not in ("euler", "dopri5"):
            raise ValueError(f"solver must be euler or dopri5, got {solver!r}")
        if solver == "dopri5":
            if self.few_step:
                raise ValueError("a few-step model has its own sampler: leave out solver")
            if steps is not None or callback is not None or times is not None:
                raise ValueError(
                    "dopri5 chooses its own steps: leave out num_inference_steps, times and "
                    "callback_on_step_end"
                )

    def _check_times(self, steps: int | None, times: Sequence[float] | None) -> Tensor:
        """Return the grid (steps + 1,) from 1 to 0 (of no meaning to dopri5)."""
        if times is not None:
            if steps is not None:
                raise ValueError(
                    "times say how many steps there are: leave out num_inference_steps"
                )
            grid = torch.tensor([float(time) for time in times])
            check_times(grid)
            if grid[0] != 1 or grid[-1] != 0:
                raise ValueError(f"times must lead from 1 to 0, got {list(times)}")
            return grid
        if steps is None:
            steps = self.default_steps or (4 if self.few_step else 25)
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"num_inference_steps must be 1 or more, got {steps!r}")
        return uniform_times(steps)

    def _check_renoise(self, renoise: Sequence[float] | None, steps: int) -> tuple[float, ...]:
        """Return a weight for each step."""
        if renoise is None:
            return tuple(self.renoise_scale * weight for weight in renoise_weights(steps))
        if not self.few_step:
            raise ValueError("renoise is for few-step models: leave it out")
        weights = tuple(float(weight) for weight in renoise)
        if len(weights) != steps or not all(math.isfinite(w) and w >= 0 for w in weights):
            raise ValueError(f"renoise must be {steps} weights of 0 or more, got {list(renoise)}")
        return weights

    def _check_guidance(self, guidance_scale: float | None) -> float:
        if guidance_scale is None:
            default = self.default_guidance_scale
            return (4.5 if self.few_step else 5.5) if default is None else default
        if not (math.isfinite(guidance_scale) and guidance_scale >= 0):
            raise ValueError(f"guidance_scale must be 0 or more, got {guidance_scale!r}")
        if self.few_step and self.guidance_range is not None:
            least, greatest = self.guidance_range
            if not least <= guidance_scale <= greatest:
                logger.warning(
                    "guidance %g is outside of %g to %g, which this model was taught: it guesses",
                    *(guidance_scale, least, greatest),
                )
        return float(guidance_scale)

    def _check_video(self, video: Tensor | None, scale: float | None) -> float | None:
        channels = self.transformer.config.video_channels
        if video is None:
            if scale is not None:
                raise ValueError("video_guidance_scale needs a video: leave it out")
            return None
        if channels is None:
            raise ValueError("this model makes sound from words alone: leave out video")
        if video.ndim != 2 or video.shape[1] != channels or len(video) < 1:
            raise ValueError(f"video must be features (K, {channels}), not {tuple(video.shape)}")
        if scale is None:
            return None
        if self.few_step:
            raise ValueError("a few-step model has one guidance: leave out video_guidance_scale")
        if not (math.isfinite(scale) and scale >= 0):
            raise ValueError(f"video_guidance_scale must be 0 or more, got {scale!r}")
        return float(scale)

    def _draw_noise(self, generators: Sequence[torch.Generator], frames: int) -> Tensor:
        """Noise (B, C, T), each clip's from its own generator."""
        shape = (1, self.transformer.config.latent_channels, frames)
        noise = [
            torch.randn(shape, generator=generator, device=generator.device)
            for generator in generators
        ]
        return torch.cat([clip.to(self.device) for clip in noise])

    def embed_text(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Texts -> hidden states (B, L, W) and mask (B, L).

        One text at a time, so that its embedding does not depend on the others in any bit.
        """
        encoded = [
            tokenize(self.tokenizer, [text], self.transformer.config.text_tokens) for text in texts
        ]
        for text, (_, mask) in zip(texts, encoded, strict=True):
            if mask.all():
                logger.warning("this prompt fills all tokens, its end may be cut off: %s", text)
        device = self.device
        states = [self.text_encoder(ids.to(device), mask.to(device)) for ids, mask in encoded]
        return torch.cat(states), torch.cat([mask for _, mask in encoded]).to(device)

    def _prepare(
        self,
        prompts: list[str],
        negatives: list[str],
        video: Tensor | None,
        windows: Sequence[Window],
        guidance: Guidance,
        solver: str,
    ) -> list[Group]:
        """Do the work per prompt: embed each different text once, condition each group once."""
        branches = branches_of(guidance, self.few_step)
        unique = list(dict.fromkeys([*prompts, *negatives] if len(branches) > 1 else prompts))
        text, mask = self.embed_text(unique)
        alone = self.device.type == "cpu" or solver == "dopri5"
        size = 1 if alone else len(prompts)
        groups = []
        for start in range(0, len(prompts), size):
            clips = slice(start, start + size)
            texts = [(prompts if worded else negatives)[clips] for worded, _ in branches]
            rows = torch.tensor([unique.index(member) for part in texts for member in part])
            rows = rows.to(text.device)
            sees = [shown for (_, shown), part in zip(branches, texts, strict=True) for _ in part]
            conditions = conditions_of(
                self.transformer, text[rows], mask[rows], video, sees, windows
            )
            groups.append(Group(clips, conditions))
        return groups

    def _velocity(self, groups: Sequence[Group], guidance: Guidance) -> Velocity:
        return guided_velocity(self.transformer, groups, guidance, self.guidance_start)

    def _solve(
        self,
        latents: Tensor,
        groups: Sequence[Group],
        guidance: Guidance,
        times: Tensor,
        renoise: Sequence[float],
        generators: Sequence[torch.Generator],
        callback: StepCallback | None,
    ) -> Tensor:
        """Walk from noise to latents in fixed steps, one at a time for the callback's sake."""
        velocity = self._velocity(groups, guidance)
        embedded = guidance.scale + self.guidance_offset
        mean_velocity = taught_velocity(self.transformer, groups, embedded)
        for step in self.progress(range(len(renoise))):
            span = times[step : step + 2]
            if self.few_step:
                weight = renoise[step : step + 1]
                latents = flow_map(mean_velocity, latents, span, weight, generators)
            else:
                latents = euler(velocity, latents, span)
            if callback is not None:
                replaced = callback(step, float(span[1]), {"latents": latents})
                latents = (replaced or {}).get("latents", latents)
        return latents

    def _solve_adaptively(
        self, latents: Tensor, groups: Sequence[Group], guidance: Guidance
    ) -> Tensor:
        """Walk from noise to latents with dopri5, clip by clip."""
        clips = []
        for group in self.progress(groups):
            alone = Group(slice(None), group.conditions)
            clips.append(dopri5([self._velocity([alone], guidance)], latents[group.clips]))
        return torch.cat(clips)

    def _decode(self, latents: Tensor, groups: Sequence[Group]) -> Tensor:
        """Latents (B, C, T) -> audio (B, 1, S) in float32, peaks above 1 scaled down to 1."""
        audio = torch.cat([self.autoencoder.decode(latents[group.clips]) for group in groups])
        audio = audio.float()
        if not bool(audio.isfinite().all()):
            raise ValueError(
                f"the audio is not finite, computed in {self.transformer.dtype}: use float32 or "
                "bfloat16"
            )
        # The last factor keeps the rounding of the division from passing 1.
        peak = audio.abs().amax(dim=(1, 2), keepdim=True)
        return torch.where(peak > 1, audio / peak * (1 - 1e-7), audio)


def noise_streams(
    generator: torch.Generator | Sequence[torch.Generator] | None, count: int
) -> list[torch.Generator]:
    """Return one generator for each of `count` sounds; see `woosh.generation.pipeline.WooshPipeline.__call__`.

    Raises:
        ValueError: a list of another length.
    """
    if generator is None:
        return [torch.Generator().manual_seed(secrets.randbits(63)) for _ in range(count)]
    if isinstance(generator, torch.Generator):
        branch = torch.Generator(generator.device)
        branch.set_state(generator.get_state())
        seeds = torch.randint(2**63 - 1, (count,), generator=branch, device=branch.device)
        others = [torch.Generator(generator.device).manual_seed(seed) for seed in seeds.tolist()]
        return [generator, *others[1:]]
    if len(generator) != count:
        raise ValueError(f"{len(generator)} generators for {count} sounds: give one for each")
    return list(generator)
