"""What is asked for: one `Request`, the same for the pipeline, the commands and the demos.

It needs no torch and no model, so that a wrong request is answered before anything is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from woosh import __version__
from woosh.catalogue import DEFAULT_MODEL, FEW_STEP_MODEL, LONGEST_SECONDS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SOLVERS = ("multistep", "euler", "dopri5", "learned")
OWN_STEPS = ("dopri5", "learned")  # solvers that take no number of steps
DEFAULT_SOLVER = "multistep"
SEED_LIMIT = 2**63  # torch takes seeds below it
LARGEST_GUIDANCE = 1000.0  # far beyond what sounds good; without a limit float32 overflows


class Abilities(Protocol):
    """What a request must fit: `ModelInfo` tells it before a model is loaded, `Sampler` afterwards."""

    @property
    def sample_rate(self) -> int:
        """Of the audio, in Hz."""
        ...

    @property
    def few_step(self) -> bool:
        """Whether it is a distilled model, with its own sampler and guidance."""
        ...

    @property
    def video_channels(self) -> int | None:
        """Of the video features that it takes, if it takes any."""
        ...

    @property
    def told_length(self) -> bool:
        """Whether it is told how long the sound itself is."""
        ...

    @property
    def learned_solver(self) -> bool:
        """Whether it has a solver that was fitted to it."""
        ...


@dataclass(frozen=True, eq=False)
class Request:
    """P prompts and N sounds of each, those of the first prompt first.

    Attributes:
        prompt: what to hear, one text or P. The empty text is the unconditional model.
        negative_prompt: what not to hear, one text for all or P; None is the empty text. Not for few-step models.
        seconds: length of the sounds, above 0 and up to 600.
        sound_seconds: length of the sound itself, above 0, in what may be longer: silence follows. None leaves it to the
            model. Only for models that are told.
        steps: of the solver, 1 or more; None is the model's default. Not with dopri5.
        guidance_scale: from 0 to `LARGEST_GUIDANCE`, 1 is no guidance; None is the model's default. With `video_guidance_scale` it is
            that of the words beyond the video.
        sounds_per_prompt: N.
        seed: sound i of the request is made from the noise of seed + i; None takes fresh noise, or `generator`.
        generator: source of the noise instead of a seed: one for each of the P N sounds, or one for all, which serves
            the first sound as it would serve it alone; the others start from numbers drawn from it.
        solver: "multistep", whose steps are of second order, "euler", whose steps cost the same and are of first, or "dopri5"
            for adaptive steps. Few-step models have their own, and `solver` stays as it is.
        times: noise levels that fall from 1 to 0, which the steps lead through; None takes equal steps. Not with dopri5.
        renoise: for each step of a few-step model, how far it first goes back up, in parts of the step; None is the
            model's default.
        video: features (K, V) of what is seen, 24 per second, for all sounds. Only for models that see.
        video_guidance_scale: of the video alone, as large; None guides video and words together by
            `guidance_scale`. Not for few-step models.

    Raises:
        ValueError: a value out of its range, or two that contradict each other.
    """

    prompt: str | Sequence[str]
    negative_prompt: str | Sequence[str] | None = None
    seconds: float = 5.0
    sound_seconds: float | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    sounds_per_prompt: int = 1
    seed: int | None = None
    generator: torch.Generator | Sequence[torch.Generator] | None = None
    solver: str = DEFAULT_SOLVER
    times: Sequence[float] | None = None
    renoise: Sequence[float] | None = None
    video: Tensor | None = None
    video_guidance_scale: float | None = None

    def __post_init__(self) -> None:
        self._check_texts()
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise ValueError(f"seconds must be a length above 0, got {self.seconds!r}")
        if self.seconds > LONGEST_SECONDS:
            raise ValueError(
                f"{self.seconds:g} seconds are too long: up to {LONGEST_SECONDS:g} s are made at a time"
            )
        told = self.sound_seconds
        if told is not None and not (math.isfinite(told) and told > 0):
            raise ValueError(f"sound_seconds must be a length above 0, got {told!r}")
        _check_whole("steps", self.steps)
        _check_whole("sounds_per_prompt", self.sounds_per_prompt)
        _check_scale("guidance_scale", self.guidance_scale)
        _check_scale("video_guidance_scale", self.video_guidance_scale)
        if self.seed is not None and not 0 <= self.seed <= SEED_LIMIT - self.count:
            raise ValueError(
                f"seed must be from 0 to 2^63 less the number of sounds, got {self.seed!r}"
            )
        if self.seed is not None and self.generator is not None:
            raise ValueError("seed and generator both say where the noise comes from: give one")
        self._check_steps()

    def _check_texts(self) -> None:
        texts = _listed(self.prompt)
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"prompt must be a text or several, got {self.prompt!r}")
        if self.negative_prompt is None:
            return
        negatives = _listed(self.negative_prompt)
        one = isinstance(self.negative_prompt, str)
        if not (one or len(negatives) == len(texts)) or not all(
            isinstance(text, str) for text in negatives
        ):
            raise ValueError(
                f"negative_prompt must be a text or {len(texts)}, one for each prompt, "
                f"got {self.negative_prompt!r}"
            )

    def _check_steps(self) -> None:
        if self.solver not in SOLVERS:
            raise ValueError(
                f"solver must be {', '.join(SOLVERS[:-1])} or {SOLVERS[-1]}, got {self.solver!r}"
            )
        if self.solver in OWN_STEPS and (self.steps is not None or self.times is not None):
            raise ValueError(
                f"{self.solver} chooses its own steps: leave out the number of steps and times"
            )
        if self.times is not None:
            if self.steps is not None:
                raise ValueError(
                    "times say how many steps there are: leave out the number of steps"
                )
            falling = all(later < time for time, later in pairwise(self.times))
            if len(self.times) < 2 or self.times[0] != 1 or self.times[-1] != 0 or not falling:
                raise ValueError(
                    f"times must be numbers that fall from 1 to 0, got {list(self.times)}"
                )
        weights = self.renoise or ()
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
            raise ValueError(f"renoise must be weights of 0 or more, got {list(weights)}")

    def check(self, model: Abilities) -> None:
        """Check that a model can do this; only `check_video` is left for when the video has been watched.

        Raises:
            ValueError: it cannot.
        """
        if self.samples(model.sample_rate) < 1:
            raise ValueError(f"{self.seconds:g} seconds are shorter than one sample")
        if self.sound_seconds is not None and not model.told_length:
            raise ValueError("this model is not told how long a sound is: leave out sound_seconds")
        if not model.few_step:
            if self.solver == "learned" and not model.learned_solver:
                raise ValueError(
                    "this model has no learned solver: take multistep, or fit one with training/train_solver.py"
                )
            if self.renoise is not None:
                raise ValueError("renoise is for few-step models: leave it out")
            return
        refused = {
            "take no negative prompt": self.negative_prompt is not None,
            "have their own solver": self.solver != DEFAULT_SOLVER,
            "have one guidance, not one for the video": self.video_guidance_scale is not None,
        }
        for why, asked in refused.items():
            if asked:
                raise ValueError(
                    f"few-step models, such as {FEW_STEP_MODEL}, {why}: leave it out, or take another model, "
                    f"such as {DEFAULT_MODEL}"
                )

    def check_video(self, model: Abilities) -> None:
        """Check that the video's features fit the model.

        Raises:
            ValueError: they do not, or there are none although the video has a guidance.
        """
        if self.video is None:
            if self.video_guidance_scale is not None:
                raise ValueError("video_guidance_scale needs a video: leave it out")
            return
        channels, shape = model.video_channels, tuple(self.video.shape)
        if channels is None:
            raise ValueError("this model makes sound from words alone: leave out video")
        if len(shape) != 2 or shape[1] != channels or shape[0] < 1:
            raise ValueError(f"video must be features (K, {channels}), not {shape}")

    @property
    def count(self) -> int:
        """P N, the number of sounds."""
        return len(_listed(self.prompt)) * self.sounds_per_prompt

    @property
    def prompts(self) -> list[str]:
        """The prompt of each sound."""
        return [text for text in _listed(self.prompt) for _ in range(self.sounds_per_prompt)]

    @property
    def negative_prompts(self) -> list[str]:
        """The negative prompt of each sound."""
        texts = _listed(self.negative_prompt or "")
        each = texts * self.count if len(texts) == 1 else texts
        repeats = 1 if len(texts) == 1 else self.sounds_per_prompt
        return [text for text in each for _ in range(repeats)]

    def samples(self, sample_rate: int) -> int:
        """Length of a sound in samples."""
        return round(self.seconds * sample_rate)

    def record(self, model: str) -> dict[str, str | int | float]:
        """What a file keeps of the one sound of this request: what it was made from, and by which model.

        Raises:
            ValueError: several sounds, or none that a seed makes again.
        """
        if self.count != 1 or self.seed is None:
            raise ValueError(
                f"a file keeps one sound and its seed, not {self.count} sounds from seed {self.seed}"
            )
        negative = (
            {} if self.negative_prompt is None else {"negative_prompt": self.negative_prompts[0]}
        )
        asked = {"prompt": self.prompts[0], **negative, "seed": self.seed}
        return {**asked, "model": model, "version": __version__}


def clean_text(text: str, name: str) -> str:
    """Return what a user typed as a prompt, in one line.

    Args:
        text: as typed.
        name: what it is, for the error.

    Raises:
        ValueError: it is empty or not valid text.
    """
    words = " ".join(text.split())
    if not words:
        raise ValueError(f'the {name} is empty: say what to hear, such as "a dog barking"')
    if any(0xD800 <= ord(character) <= 0xDFFF for character in words):
        raise ValueError(f"the {name} is not valid UTF-8 text")
    return words


def _listed(texts: str | Sequence[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


def _check_whole(name: str, value: int | None) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{name} must be a whole number of 1 or more, got {value!r}")


def _check_scale(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= LARGEST_GUIDANCE:
        raise ValueError(f"{name} must be from 0 to {LARGEST_GUIDANCE:g}, got {value!r}")
