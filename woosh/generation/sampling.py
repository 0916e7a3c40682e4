"""Text -> audio: the way through tokenizer, text encoder, transformer, solver and decoder.

`woosh.generation.pipeline` gives it the interface of diffusers. It stands apart because importing a diffusers
pipeline brings every model of that library along, which the command line would wait for.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from woosh.autoencoder import Autoencoder, WooshMelAutoencoder
from woosh.catalogue import longest_seconds, window_frames
from woosh.generation.guidance import (
    WHOLE,
    Group,
    Guidance,
    Window,
    conditions_of,
    guided_velocity,
    taught_velocity,
    windows_around,
    windows_of,
)
from woosh.generation.request import OWN_STEPS, Request
from woosh.generation.settings import SamplingSettings
from woosh.generation.solvers import (
    LearnedSteps,
    OnStep,
    Velocity,
    dopri5,
    draw_noise,
    euler,
    flow_map,
    multistep,
    nonstationary,
    renoise_weights,
    shifted_times,
)
from woosh.generation.starting import Start
from woosh.generation.text_encoder import WooshTextEncoder, check_vocabulary, tokenize
from woosh.generation.transformer import WooshTransformer
from woosh.progress import silent_steps

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sampler:
    """The parts of a text-to-audio model, and sampling from them.

    Args:
        autoencoder: audio <-> latents.
        transformer: velocity of the latents.
        text_encoder: token ids -> hidden states.
        tokenizer: text -> token ids.
        settings: the model's own.
        step_bar: makes a progress bar (tqdm) of so many steps; None are as many as it takes.
        computes_on: the device of parts that wait elsewhere (`woosh.generation.offloading`); None is the transformer's.

    Raises:
        ValueError: the transformer makes other channels than the autoencoder decodes, the tokenizer has more entries than
            the text encoder takes, or an autoencoder that draws nothing is told to doubt.
    """

    autoencoder: Autoencoder
    transformer: WooshTransformer
    text_encoder: WooshTextEncoder
    tokenizer: PreTrainedTokenizerBase
    settings: SamplingSettings = SamplingSettings()
    step_bar: Callable[[int | None], Any] = silent_steps
    computes_on: torch.device | None = None

    def __post_init__(self) -> None:
        check_vocabulary(len(self.tokenizer), self.text_encoder.config.vocabulary_size)
        made = self.transformer.config.latent_channels
        wanted = self.autoencoder.generated_channels
        if made != wanted:
            raise ValueError(
                f"the transformer makes {made} latent channels, the autoencoder decodes {wanted}: "
                "they do not belong together"
            )
        if self.settings.latent_doubt and not isinstance(self.autoencoder, WooshMelAutoencoder):
            raise ValueError(
                f"latent_doubt is {self.settings.latent_doubt}, and only a WooshMelAutoencoder draws what it doubts: "
                "make it 0"
            )

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.computes_on or self.transformer.device

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
        return window_frames(
            self.transformer.config.max_frames, sees=self.video_channels is not None
        )

    @property
    def few_step(self) -> bool:
        """Whether the transformer is a distilled one, with its own sampler and guidance."""
        return self.transformer.config.flow_map

    @property
    def video_channels(self) -> int | None:
        """Of the video features that the transformer takes, if it takes any."""
        return self.transformer.config.video_channels

    @property
    def learned_solver(self) -> bool:
        """Whether it has a solver that was fitted to it."""
        return self.settings.learned_steps is not None

    @property
    def told_length(self) -> bool:
        """Whether the transformer is told how long the sound itself is."""
        return self.transformer.config.summary

    @property
    def steps(self) -> int:
        """Steps of a request that names none."""
        return self.settings.default_steps or (4 if self.few_step else 25)

    @property
    def guidance_scale(self) -> float:
        """Guidance of a request that names none."""
        default = self.settings.default_guidance_scale
        return (4.5 if self.few_step else 5.5) if default is None else default

    def __call__(
        self, request: Request, on_step: OnStep | None = None, start: Start | None = None
    ) -> Tensor:
        """Audio (P N, 1, S) in float32, within [-1, 1]: see `latents` and `decode`."""
        audio = self.decode(self.latents(request, on_step, start))
        return audio[..., : request.samples(self.sample_rate)]

    @torch.no_grad()
    def latents(
        self,
        request: Request,
        on_step: OnStep | None = None,
        start: Start | None = None,
        circular: bool = False,
    ) -> Tensor:
        """Normalised latents (P N, C, T) of a request's sounds.

        Args:
            request: what to make.
            on_step: see `solvers.OnStep`; not with dopri5.
            start: what the sounds start from; None is noise. Not with dopri5.
            circular: the first frame follows the last one; T is then the sound's length in hops, rounded.

        Raises:
            ValueError: the model cannot do what is asked for, or a video for a circle.
        """
        request.check(self)
        request.check_video(self)
        if request.solver == "dopri5" and on_step is not None:
            raise ValueError("dopri5 chooses its own steps: leave out callback_on_step_end")
        if request.solver in OWN_STEPS and start is not None:
            raise ValueError(
                f"{request.solver} starts from noise: take the solver multistep to start from a sound"
            )
        if circular and request.video is not None:
            raise ValueError("a video does not go around in a circle: leave it out")
        times, renoise = self.times_of(request), self.renoise_of(request)
        guidance = self.guidance_of(request)
        generators = noise_streams(request)
        noise = self.noise_of(request, generators, circular)  # (B, C, T)
        if start is not None:
            noise, times = start.noisy(noise), start.times(times)
            if len(times) == 1:
                return noise
            renoise = start.renoise(renoise, len(times) - 1)
        lay = windows_around if circular else windows_of
        groups = self._groups(request, guidance, lay(noise.shape[2], self.window_frames))
        if request.solver == "dopri5":
            return self._solve_adaptively(noise, groups, guidance)
        with self.step_bar(len(times) - 1) as bar:

            def after_step(step: int, time: float, latents: Tensor) -> Tensor | None:
                bar.update()
                return None if on_step is None else on_step(step, time, latents)

            if self.few_step:
                embedded = guidance.scale + self.settings.guidance_offset
                mean_velocity = taught_velocity(self.transformer, groups, embedded)
                draw = partial(draw_noise, noise, generators)
                return flow_map(mean_velocity, noise, times, renoise, draw, after_step)
            velocity = guided_velocity(self.transformer, groups, guidance)
            if request.solver == "learned":
                steps = self._learned_steps(guidance)
                return nonstationary(velocity, noise, steps, after_step)
            solve = euler if request.solver == "euler" else multistep
            return solve(velocity, noise, times, after_step)

    def _solve_adaptively(
        self, noise: Tensor, groups: Sequence[Group], guidance: Guidance
    ) -> Tensor:
        """Latents (B, C, T) by dopri5, each group one clip with its own step size."""
        with self.step_bar(None) as bar:

            def of_one_clip(group: Group) -> Velocity:
                alone = Group(slice(None), group.conditions)
                guided = guided_velocity(self.transformer, [alone], guidance)

                def velocity(latents: Tensor, time: Tensor) -> Tensor:
                    bar.update()
                    return guided(latents, time)

                return velocity

            return dopri5([of_one_clip(group) for group in groups], noise)

    def _learned_steps(self, guidance: Guidance) -> LearnedSteps:
        """The steps that were fitted to this model.

        Raises:
            ValueError: they were fitted to velocities of another guidance.
        """
        steps = self.settings.learned_steps
        assert steps is not None  # `Request.check` has asked
        if guidance.video_scale is not None or guidance.scale != steps.guidance_scale:
            raise ValueError(
                f"this model's learned solver was fitted at guidance {steps.guidance_scale:g}: leave the guidance out, or "
                "take the solver multistep"
            )
        return steps

    def times_of(self, request: Request) -> Tensor:
        """The grid (steps + 1,) from 1 to 0 (of no meaning to dopri5)."""
        if request.solver == "learned" and self.settings.learned_steps is not None:
            return torch.tensor(self.settings.learned_steps.times)
        if request.times is not None:
            return torch.tensor([float(time) for time in request.times])
        steps = self.steps if request.steps is None else request.steps
        return shifted_times(steps, self.settings.time_shift)

    def renoise_of(self, request: Request) -> tuple[float, ...]:
        """A weight for each step of a few-step model."""
        steps = len(self.times_of(request)) - 1
        if request.renoise is None:
            scale = self.settings.renoise_scale
            return tuple(scale * weight for weight in renoise_weights(steps))
        if len(request.renoise) != steps:
            raise ValueError(
                f"renoise must be {steps} weights, one for each step, got {list(request.renoise)}"
            )
        return tuple(float(weight) for weight in request.renoise)

    def guidance_of(self, request: Request) -> Guidance:
        """The request's guidance, or the model's own."""
        if request.guidance_scale is None:
            scale = self.guidance_scale
        else:
            scale = float(request.guidance_scale)
            least, greatest = self.settings.guidance_range or (scale, scale)
            if self.few_step and not least <= scale <= greatest:
                logger.warning(
                    "guidance %g is outside of %g to %g, which this model was taught: it guesses",
                    *(scale, least, greatest),
                )
        return Guidance(scale, request.video_guidance_scale, self.settings.guidance_start)

    def noise_of(
        self, request: Request, generators: Sequence[torch.Generator], circular: bool
    ) -> Tensor:
        """Noise (B, C, T) in float32, each clip's from its own generator."""
        hops = request.samples(self.sample_rate) / self.autoencoder.config.hop_length
        frames = max(2, round(hops)) if circular else 1 + math.ceil(hops)
        channels = self.transformer.config.latent_channels
        like = torch.empty(request.count, channels, frames, device=self.device)
        return draw_noise(like, generators)

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

    def _groups(
        self, request: Request, guidance: Guidance, windows: Sequence[Window]
    ) -> list[Group]:
        """Do the work per prompt: embed each different text once, condition each group once."""
        branches = [WHOLE] if self.few_step else guidance.branches
        prompts, negatives = request.prompts, request.negative_prompts
        unique = list(dict.fromkeys([*prompts, *negatives] if len(branches) > 1 else prompts))
        text, mask = self.embed_text(unique)
        alone = self.device.type == "cpu" or request.solver == "dopri5"
        size = 1 if alone else len(prompts)
        groups = []
        for start in range(0, len(prompts), size):
            clips = slice(start, start + size)
            texts = [(prompts if branch.prompt else negatives)[clips] for branch in branches]
            rows = [unique.index(member) for part in texts for member in part]
            shown = [
                branch.video for branch, part in zip(branches, texts, strict=True) for _ in part
            ]
            conditions = conditions_of(
                self.transformer,
                (text[rows], mask[rows]),
                self._shown(request.video, shown),
                windows,
                self._told(request.sound_seconds, len(rows)),
            )
            groups.append(Group(clips, conditions))
        return groups

    def _shown(self, video: Tensor | None, shown: Sequence[bool]) -> Tensor | None:
        """Features (B, K, V) for each of the B, zeros where they are not shown."""
        if video is None:
            return None
        chosen = torch.tensor(shown, device=self.device)[:, None, None]
        return torch.where(chosen, video.to(self.device)[None], 0.0)

    def _told(self, seconds: float | None, count: int) -> Tensor | None:
        """How long each sound is (B,), if the request says."""
        return None if seconds is None else torch.full((count,), seconds, device=self.device)

    @torch.no_grad()
    def decode(self, latents: Tensor, circular: bool = False) -> Tensor:
        """Normalised latents (B, C, T) -> audio (B, 1, S) in float32, peaks above 1 scaled down to 1.

        Of a circle the audio's end goes over into its beginning, and S is hop T.

        On the CPU clip by clip: there a clip's bits would depend on the others of a batch.

        Raises:
            ValueError: the audio is not finite (float16 may overflow).
        """
        size = 1 if self.device.type == "cpu" else len(latents)
        doubt = self.settings.latent_doubt
        decode = partial(self.autoencoder.decode, circular=circular)
        decode = partial(decode, doubt=doubt) if doubt else decode
        audio = torch.cat([decode(clips) for clips in latents.split(size)])
        return limited(audio, self.transformer.dtype)


def limited(audio: Tensor, dtype: torch.dtype) -> Tensor:
    """Decoded audio (B, A, S) in float32, peaks above 1 scaled down to 1.

    Raises:
        ValueError: it is not finite; the error names the `dtype` that the network computed in.
    """
    audio = audio.float()
    if not bool(audio.isfinite().all()):
        raise ValueError(
            f"the audio of this model is not finite, computed in {dtype}: use float32 or bfloat16"
        )
    # The last factor keeps the rounding of the division from passing 1.
    peak = audio.abs().amax(dim=(1, 2), keepdim=True)
    return torch.where(peak > 1, audio / peak * (1 - 1e-7), audio)


def noise_streams(request: Request) -> list[torch.Generator]:
    """Return one generator for each sound of a request.

    Raises:
        ValueError: generators of another number.
    """
    count, generator = request.count, request.generator
    if request.seed is not None:
        return [torch.Generator().manual_seed(request.seed + index) for index in range(count)]
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
