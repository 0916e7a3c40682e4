"""What a model's `model_index.json` says of sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from woosh.generation.request import LARGEST_GUIDANCE
from woosh.generation.solvers import LearnedSteps

LARGEST_DOUBT = 10.0  # beyond it nothing is left of the latents


@dataclass(frozen=True)
class SamplingSettings:
    """What a model's `model_index.json` says of sampling.

    Attributes:
        default_steps: steps of a request that names none; None is 25, or 4 for few-step models.
        default_guidance_scale: guidance of a request that names none; None is 5.5, or 4.5 for
            few-step models.
        guidance_start: largest time at which guidance acts (arXiv 2404.07724). Guidance near time 1
            drives sparse sounds into silence. Not for few-step models.
        guidance_range: least and greatest guidance that a few-step model was taught.
        guidance_offset: what a few-step model embeds is the guidance plus this.
        renoise_scale: of `solvers.renoise_weights`, for a few-step request that names no weights.
        time_shift: of `solvers.shifted_times`, for a request that names no times.
        learned_steps: of a solver that was fitted to the model by `training/train_solver.py`, or None.
        latent_doubt: deviation of the noise that generated latents are taken to have, see `WooshMelAutoencoder.draw`.

    Raises:
        ValueError: a value out of its range.
    """

    default_steps: int | None = None
    default_guidance_scale: float | None = None
    guidance_start: float = 1.0
    guidance_range: Sequence[float] | None = None
    guidance_offset: float = 0.0
    renoise_scale: float = 1.0
    time_shift: float = 1.0
    latent_doubt: float = 0.0
    learned_steps: LearnedSteps | None = None

    def __post_init__(self) -> None:
        if self.default_steps is not None and self.default_steps < 1:
            raise ValueError(f"default_steps is {self.default_steps}; it must be 1 or more")
        if not 0 <= (self.default_guidance_scale or 0.0) <= LARGEST_GUIDANCE:
            raise ValueError(
                f"default_guidance_scale is {self.default_guidance_scale}; it must be from 0 to {LARGEST_GUIDANCE:g}"
            )
        if not 0 <= self.latent_doubt <= LARGEST_DOUBT:
            raise ValueError(
                f"latent_doubt is {self.latent_doubt}; it must be from 0 to {LARGEST_DOUBT:g}"
            )
        if self.guidance_range is not None and len(self.guidance_range) != 2:
            raise ValueError("guidance_range must be two numbers, the least and the greatest")
        if self.time_shift <= 0:
            raise ValueError(f"time_shift is {self.time_shift}; it must be above 0")
