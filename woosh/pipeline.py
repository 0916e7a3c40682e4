"""Text -> audio: the whole way through tokenizer, text encoder, transformer, solver and decoder."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from diffusers.pipelines.pipeline_utils import AudioPipelineOutput, DiffusionPipeline
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from woosh.autoencoder import WooshAutoencoder
from woosh.catalogue import longest_seconds
from woosh.flow import guide
from woosh.solvers import (
    MeanVelocity,
    Velocity,
    dopri5,
    euler,
    flow_map,
    renoise_weights,
    uniform_times,
)
from woosh.text import WooshTextEncoder, tokenize
from woosh.transformer import Condition, WooshTransformer

logger = logging.getLogger(__name__)

StepCallback = Callable[["WooshPipeline", int, float, dict[str, Tensor]], dict[str, Tensor] | None]


@dataclass(frozen=True)
class Group:
    """Clips whose velocities are evaluated in one call, and what they are conditioned on."""

    clips: slice
    condition: Condition  # of the clips, then of their negative prompts if they are guided


class WooshPipeline(DiffusionPipeline):
    """Sound effects from text.

    Args:
        autoencoder: audio <-> latents.
        transformer: velocity of the latents. One with `flow_map` makes this a few-step pipeline.
        text_encoder: token ids -> hidden states.
        tokenizer: text -> token ids.
        default_steps: steps of a call that names none; None is 25, or 4 for few-step models.
        default_guidance_scale: guidance of a call that names none; None is 5.5, or 4.5 for
            few-step models.
    """

    model_cpu_offload_seq = "text_encoder->transformer->autoencoder"

    def __init__(
        self,
        autoencoder: WooshAutoencoder,
        transformer: WooshTransformer,
        text_encoder: WooshTextEncoder,
        tokenizer: PreTrainedTokenizerBase,
        default_steps: int | None = None,
        default_guidance_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            autoencoder=autoencoder,
            transformer=transformer,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
        )
        self.register_to_config(
            default_steps=default_steps, default_guidance_scale=default_guidance_scale
        )

    @property
    def sample_rate(self) -> int:
        """Of the audio, in Hz."""
        return self.autoencoder.config.sample_rate

    @property
    def longest(self) -> float:
        """Longest clip of one call, in seconds."""
        return longest_seconds(
            self.transformer.config.max_frames,
            self.autoencoder.config.hop_length,
            self.sample_rate,
        )

    @property
    def few_step(self) -> bool:
        """Whether the transformer is a distilled one, with its own sampler and guidance."""
        return self.transformer.config.flow_map

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        negative_prompt: str | Sequence[str] | None = None,
        seconds: float = 5.0,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        num_waveforms_per_prompt: int = 1,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        solver: str = "euler",
        callback_on_step_end: StepCallback | None = None,
        output_type: str = "np",
    ) -> AudioPipelineOutput:
        """Generate P x N sounds from P prompts, those of the first prompt first.

        The same generator gives the same sound whatever else is in the batch. On the CPU the two
        are the same bit for bit (fixed-step and few-step solvers): matrix products there round
        differently at another batch size, so each clip is evaluated by itself, its two guidance
        branches together. On accelerators all clips are evaluated at once, which is faster and
        leaves differences in the last bits.

        Args:
            prompt: what to hear, one text or P. The empty text is the unconditional model.
            negative_prompt: what not to hear, one text for all or P; None is the empty text. Not
                for few-step models.
            seconds: length of the sounds, above 0 and up to `longest`. The cost follows it.
            num_inference_steps: steps of the solver; more are finer and slower. Not with dopri5.
            guidance_scale: v = v_uncond + g (v_cond - v_uncond): 1 is no guidance and halves the
                cost. What the released tools call "cfg" c is g = 1 + c for models that are not
                distilled. Few-step models take the number as an input and were taught with the
                released meaning: pass c itself.
            num_waveforms_per_prompt: N.
            generator: source of the noise: one for each of the P x N sounds, or one for all. A
                single one serves the first sound as it would serve it alone; the others start
                from numbers drawn from it. None takes fresh noise. Noise is drawn in float32 on
                the generator's own device, so a CPU generator gives the same noise everywhere.
            solver: "euler", or "dopri5" for adaptive steps, each clip with its own step size.
                Few-step models have their own sampler, and `solver` stays "euler".
            callback_on_step_end: called as callback(pipeline, step, time, {"latents": latents})
                after each step, with the noise level reached; latents in the dictionary that it
                may return replace the present ones. Not with dopri5.
            output_type: "np" or "pt" for audio (P N, 1, S), float32 in [-1, 1] with peaks above 1
                scaled down, or "latent" for normalised latents (P N, C, T).

        Raises:
            ValueError: an argument out of its range or unfit for this model, or audio that is not
                finite (float16 may overflow).
        """
        prompts, negatives = self._check_texts(prompt, negative_prompt, num_waveforms_per_prompt)
        frames, samples = self._check_length(seconds)
        steps = self._check_solver(solver, num_inference_steps, callback_on_step_end)
        guidance = self._check_guidance(guidance_scale)
        if output_type not in ("np", "pt", "latent"):
            raise ValueError(f"output_type must be np, pt or latent, got {output_type!r}")

        generators = noise_streams(generator, len(prompts))
        latents = self._draw_noise(generators, frames)
        groups = self._prepare(prompts, negatives, guidance, solver)
        if solver == "dopri5":
            latents = self._solve_adaptively(latents, groups, guidance)
        else:
            latents = self._solve(
                latents, groups, guidance, steps, generators, callback_on_step_end
            )
        if output_type == "latent":
            return AudioPipelineOutput(audios=latents)  # type: ignore[arg-type]
        audio = self._decode(latents, groups)[..., :samples]
        return AudioPipelineOutput(audios=audio if output_type == "pt" else audio.cpu().numpy())  # type: ignore[arg-type]

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
        if frames > 2 * self.transformer.config.max_frames:
            raise ValueError(
                f"{seconds:g} seconds are too long: this model generates up to {self.longest:g} s "
                "in one call"
            )
        return frames, samples

    def _check_solver(self, solver: str, steps: int | None, callback: StepCallback | None) -> int:
        """Return the number of steps (of no meaning to dopri5)."""
        if solver not in ("euler", "dopri5"):
            raise ValueError(f"solver must be euler or dopri5, got {solver!r}")
        if solver == "dopri5":
            if self.few_step:
                raise ValueError("a few-step model has its own sampler: leave out solver")
            if steps is not None or callback is not None:
                raise ValueError(
                    "dopri5 chooses its own steps: leave out num_inference_steps and "
                    "callback_on_step_end"
                )
        if steps is None:
            steps = self.config.default_steps or (4 if self.few_step else 25)
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"num_inference_steps must be 1 or more, got {steps!r}")
        return steps

    def _check_guidance(self, guidance_scale: float | None) -> float:
        if guidance_scale is None:
            default = self.config.default_guidance_scale
            return (4.5 if self.few_step else 5.5) if default is None else default
        if not (math.isfinite(guidance_scale) and guidance_scale >= 0):
            raise ValueError(f"guidance_scale must be 0 or more, got {guidance_scale!r}")
        return float(guidance_scale)

    def _draw_noise(self, generators: Sequence[torch.Generator], frames: int) -> Tensor:
        """Noise (B, C, T), each clip's from its own generator."""
        shape = (1, self.transformer.config.latent_channels, frames)
        noise = [
            torch.randn(shape, generator=generator, device=generator.device)
            for generator in generators
        ]
        return torch.cat([clip.to(self._execution_device) for clip in noise])

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
        device = self._execution_device
        states = [self.text_encoder(ids.to(device), mask.to(device)) for ids, mask in encoded]
        return torch.cat(states), torch.cat([mask for _, mask in encoded]).to(device)

    def _prepare(
        self, prompts: list[str], negatives: list[str], guidance: float, solver: str
    ) -> list[Group]:
        """Do the work per prompt: embed each different text once, condition each group once."""
        guided = self._is_guided(guidance)
        unique = list(dict.fromkeys([*prompts, *negatives] if guided else prompts))
        text, mask = self.embed_text(unique)
        alone = self._execution_device.type == "cpu" or solver == "dopri5"
        size = 1 if alone else len(prompts)
        groups = []
        for start in range(0, len(prompts), size):
            clips = slice(start, start + size)
            members = [*prompts[clips], *(negatives[clips] if guided else [])]
            rows = torch.tensor([unique.index(member) for member in members], device=text.device)
            groups.append(Group(clips, self.transformer.prepare(text[rows], mask[rows])))
        return groups

    def _is_guided(self, guidance: float) -> bool:
        """Whether a step needs the unconditional velocity too."""
        return not self.few_step and guidance != 1

    def _velocity(self, groups: Sequence[Group], guidance: float) -> Velocity:
        """Return the guided velocity of all clips, both branches of a group in one evaluation."""
        guided = self._is_guided(guidance)

        def velocity(latents: Tensor, time: Tensor) -> Tensor:
            parts = []
            for group in groups:
                clips, moments = latents[group.clips], time[group.clips]
                if guided:
                    clips, moments = torch.cat([clips, clips]), torch.cat([moments, moments])
                evaluated = self.transformer(clips, moments, group.condition)
                parts.append(guide(*evaluated.chunk(2), guidance) if guided else evaluated)
            return torch.cat(parts)

        return velocity

    def _mean_velocity(self, groups: Sequence[Group], guidance: float) -> MeanVelocity:
        """Return the mean velocity of all clips between two times; guidance is an input of it."""

        def velocity(latents: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
            parts = []
            for group in groups:
                clips, moments = latents[group.clips], time[group.clips]
                scale = torch.full_like(moments, guidance)
                parts.append(
                    self.transformer(clips, moments, group.condition, next_time[group.clips], scale)
                )
            return torch.cat(parts)

        return velocity

    def _solve(
        self,
        latents: Tensor,
        groups: Sequence[Group],
        guidance: float,
        steps: int,
        generators: Sequence[torch.Generator],
        callback: StepCallback | None,
    ) -> Tensor:
        """Walk from noise to latents in fixed steps, one at a time for the callback's sake."""
        times, renoise = uniform_times(steps), renoise_weights(steps)
        velocity = self._velocity(groups, guidance)
        mean_velocity = self._mean_velocity(groups, guidance)
        for step in self.progress_bar(range(steps)):
            span = times[step : step + 2]
            if self.few_step:
                weight = renoise[step : step + 1]
                latents = flow_map(mean_velocity, latents, span, weight, generators)
            else:
                latents = euler(velocity, latents, span)
            if callback is not None:
                replaced = callback(self, step, float(span[1]), {"latents": latents})
                latents = (replaced or {}).get("latents", latents)
        return latents

    def _solve_adaptively(
        self, latents: Tensor, groups: Sequence[Group], guidance: float
    ) -> Tensor:
        """Walk from noise to latents with dopri5, clip by clip."""
        clips = []
        for group in self.progress_bar(groups):
            alone = Group(slice(None), group.condition)
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
    """Return one generator for each of `count` sounds; see `WooshPipeline.__call__`.

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
