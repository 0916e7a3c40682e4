"""The interface of diffusers for text -> audio; the way itself is in `woosh.generation.sampling`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.pipeline_utils import AudioPipelineOutput, DiffusionPipeline
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from woosh.autoencoder import Autoencoder
from woosh.catalogue import find_model, is_built_in, part_folders
from woosh.generation.loading import load_part, settings_of
from woosh.generation.request import DEFAULT_SOLVER, Request
from woosh.generation.sampling import Sampler
from woosh.generation.solvers import OnStep
from woosh.generation.text_encoder import WooshTextEncoder
from woosh.generation.transformer import WooshTransformer
from woosh.weight_files import settle

# Modules of the parts as version 0.7 and earlier wrote them into model_index.json.
FORMER_HOMES = {"woosh.autoencoder", "woosh.text", "woosh.transformer"}

StepCallback = Callable[["WooshPipeline", int, float, dict[str, Tensor]], dict[str, Tensor] | None]


class WooshPipeline(DiffusionPipeline):
    """Sound effects from text, and from video where the transformer sees.

    Args:
        autoencoder: audio <-> latents.
        transformer: velocity of the latents. One with `flow_map` makes this a few-step pipeline.
        text_encoder: token ids -> hidden states.
        tokenizer: text -> token ids.
        default_steps: steps of a call that names none; None is 25, or 4 for few-step models.
        default_guidance_scale: guidance of a call that names none; None is 5.5, or 4.5 for
            few-step models.
        guidance_start: largest time at which guidance acts, see `woosh.generation.sampling.SamplingSettings`.
        guidance_range: least and greatest guidance that a few-step model was taught.
        guidance_offset: what a few-step model embeds is the guidance plus this.
        renoise_scale: of the renoise weights of a few-step call that names none.
        time_shift: of the steps of a call that names no times, see `woosh.generation.solvers.shifted_times`.
        latent_doubt: how far generated latents are doubted, see `WooshMelAutoencoder.draw`.
        learned_steps: of a solver that was fitted to the model: the fields of `woosh.generation.solvers.LearnedSteps`.
    """

    def __init__(  # noqa: PLR0913
        self,
        autoencoder: Autoencoder,
        transformer: WooshTransformer,
        text_encoder: WooshTextEncoder,
        tokenizer: PreTrainedTokenizerBase,
        default_steps: int | None = None,
        default_guidance_scale: float | None = None,
        guidance_start: float = 1.0,
        guidance_range: Sequence[float] | None = None,
        guidance_offset: float = 0.0,
        renoise_scale: float = 1.0,
        time_shift: float = 1.0,
        latent_doubt: float = 0.0,
        learned_steps: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            autoencoder=autoencoder,
            transformer=transformer,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
        )
        self.register_to_config(
            default_steps=default_steps,
            default_guidance_scale=default_guidance_scale,
            guidance_start=guidance_start,
            guidance_range=None if guidance_range is None else list(guidance_range),
            guidance_offset=guidance_offset,
            renoise_scale=renoise_scale,
            time_shift=time_shift,
            latent_doubt=latent_doubt,
            learned_steps=learned_steps,
        )

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | PathLike[str], **options: Any
    ) -> WooshPipeline:
        """Load a built-in model by its name, a model folder, or one of the hub.

        A built-in name is found first, without a call to the hub.
        Parts of a folder are read as the commands read them: those that it shares with a built-in model from there, weights
        in eight bits or kept as changes as such, and all of them strictly. The other options are those of
        `DiffusionPipeline.from_pretrained`, which reads the parts of a model of the hub.

        Raises:
            FileNotFoundError: a part of a folder is missing.
            ValueError: a part of a folder is damaged, or its weights do not fit its configuration.
        """
        if is_built_in(str(pretrained_model_name_or_path)):
            pretrained_model_name_or_path = find_model(str(pretrained_model_name_or_path))
        folder = Path(pretrained_model_name_or_path)
        if (folder / "model_index.json").is_file():
            dtype = options.get("dtype", options.get("torch_dtype"))
            for part, place in part_folders(folder).items():
                if part not in options:
                    own = (
                        dtype.get(part, dtype.get("default")) if isinstance(dtype, dict) else dtype
                    )
                    options[part] = load_part(part, place, own)
        pipeline = super().from_pretrained(pretrained_model_name_or_path, **options)
        for part in pipeline.components.values():
            if isinstance(part, nn.Module):
                settle(part)
        return pipeline

    @classmethod
    def load_config(cls, *arguments: Any, **options: Any) -> Any:
        """Read model_index.json; parts that version 0.7 saved are found where they are now."""
        loaded = super().load_config(*arguments, **options)
        config, *others = loaded if isinstance(loaded, tuple) else (loaded,)
        renamed = {name: _present_home(value) for name, value in config.items()}
        return (renamed, *others) if others else renamed

    @property
    def sampler(self) -> Sampler:
        """The parts as they are now, ready to sample."""
        return Sampler(
            self.autoencoder,
            self.transformer,
            self.text_encoder,
            self.tokenizer,
            settings=settings_of(self.config, "the configuration"),
            step_bar=self._step_bar,
        )

    @property
    def sample_rate(self) -> int:
        """Of the audio, in Hz."""
        return self.sampler.sample_rate

    @property
    def longest(self) -> float:
        """Longest clip that is made in one piece, in seconds; longer ones are made in windows."""
        return self.sampler.longest

    @property
    def few_step(self) -> bool:
        """Whether the transformer is a distilled one, with its own sampler and guidance."""
        return self.sampler.few_step

    def __call__(  # noqa: PLR0913
        self,
        prompt: str | Sequence[str],
        negative_prompt: str | Sequence[str] | None = None,
        seconds: float = 5.0,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        num_waveforms_per_prompt: int = 1,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        solver: str = DEFAULT_SOLVER,
        callback_on_step_end: StepCallback | None = None,
        output_type: str = "np",
        times: Sequence[float] | None = None,
        renoise: Sequence[float] | None = None,
        video: Tensor | None = None,
        video_guidance_scale: float | None = None,
        sound_seconds: float | None = None,
    ) -> AudioPipelineOutput:
        """Generate P x N sounds from P prompts, those of the first prompt first.

        The same generator gives the same sound whatever else is in the batch. On the CPU the two
        are the same bit for bit (fixed-step and few-step solvers): matrix products there round
        differently at another batch size, so each clip is evaluated by itself, its two guidance
        branches together. On accelerators all clips are evaluated at once, which is faster and
        leaves differences in the last bits.

        Args:
            prompt: what to hear, one text or P. For this and what is not explained here see
                `woosh.generation.request.Request`.
            negative_prompt: what not to hear, one text for all or P.
            seconds: length of the sounds. The cost follows it; what is longer than `longest` is made in windows that
                overlap.
            num_inference_steps: `steps` of the request; more are finer and slower.
            guidance_scale: v = v_uncond + g (v_cond - v_uncond): 1 is no guidance and halves the
                cost. What the released tools call "cfg" c is g = 1 + c for models that are not
                distilled. Few-step models take the number, plus their `guidance_offset`, as an
                input; outside of their `guidance_range` a warning says that they guess.
            num_waveforms_per_prompt: N, `sounds_per_prompt` of the request.
            generator: source of the noise: one for each of the P x N sounds, or one for all. None takes fresh noise.
                Noise is drawn in float32 on the generator's own device, so a CPU generator gives the same noise
                everywhere.
            solver: "multistep", "euler", "dopri5" for adaptive steps, each clip with its own step size, or "learned" for
                models with `learned_steps`.
            callback_on_step_end: called as callback(pipeline, step, time, {"latents": latents})
                after each step, with the noise level reached; latents in the dictionary that it
                may return replace the present ones. Not with dopri5.
            output_type: "np" or "pt" for audio (P N, 1, S), float32 in [-1, 1] with peaks above 1
                scaled down, or "latent" for normalised latents (P N, C, T).
            times: noise levels from 1 to 0 that the steps lead through, instead of equal steps.
            renoise: for each step of a few-step model, see `woosh.generation.solvers.flow_map`; None takes
                `woosh.generation.solvers.renoise_weights`, which for 4 and 8 steps are the released ones, times the
                model's `renoise_scale`.
            video: features (K, V) of what is seen, 24 per second (`woosh.video.watching.watch_video`), for all sounds of
                the call. Models that see make sound without it, too.
            sound_seconds: length of the sound itself, after which there is silence, for models that are told.
            video_guidance_scale: of the video alone, while `guidance_scale` is that of the words beyond it.

        Raises:
            ValueError: an argument out of its range or unfit for this model, or audio that is not
                finite (float16 may overflow).
        """
        if output_type not in ("np", "pt", "latent"):
            raise ValueError(f"output_type must be np, pt or latent, got {output_type!r}")

        request = Request(
            prompt=prompt,
            negative_prompt=negative_prompt,
            seconds=seconds,
            sound_seconds=sound_seconds,
            steps=num_inference_steps,
            guidance_scale=guidance_scale,
            sounds_per_prompt=num_waveforms_per_prompt,
            generator=generator,
            solver=solver,
            times=times,
            renoise=renoise,
            video=video,
            video_guidance_scale=video_guidance_scale,
        )
        on_step = self._on_step(callback_on_step_end)
        if output_type == "latent":
            result = self.sampler.latents(request, on_step)
        else:
            result = self.sampler(request, on_step)
        return AudioPipelineOutput(result.cpu().numpy() if output_type == "np" else result)  # type: ignore[arg-type]

    def _step_bar(self, total: int | None) -> tqdm:
        # Without a total, diffusers makes a bar only around something to iterate. (It has no types.)
        make: Any = self.progress_bar
        return make(iter(())) if total is None else make(total=total)

    def _on_step(self, callback: StepCallback | None) -> OnStep | None:
        """The callback of diffusers as the solvers call it."""
        if callback is None:
            return None

        def on_step(step: int, time: float, latents: Tensor) -> Tensor | None:
            return (callback(self, step, time, {"latents": latents}) or {}).get("latents")

        return on_step


def _present_home(value: Any) -> Any:
    """[module, class] of a part, with the module's present name; anything else as it is."""
    former = isinstance(value, list) and bool(value) and value[0] in FORMER_HOMES
    return ["woosh", *value[1:]] if former else value
