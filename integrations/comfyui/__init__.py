"""Nodes for ComfyUI over the installed package: sounds from words, for videos, and what is done with sounds.

ComfyUI takes this folder as it is, below its `custom_nodes`. Sounds are its AUDIO, {"waveform": (B, C, T) float32,
"sample_rate": Hz}, and videos its VIDEO.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from woosh import audio, catalogue
from woosh.generation.loading import load_model
from woosh.generation.request import LARGEST_GUIDANCE, Request, clean_text
from woosh.generation.sampling import Sampler
from woosh.studio.edit import edit
from woosh.studio.loop import make_loop
from woosh.studio.originals import guidance_for
from woosh.studio.places import Region
from woosh.studio.takes import draw_take
from woosh.studio.variations import vary
from woosh.studio.workshop import Model, Watch
from woosh.video import open_video
from woosh.video.watching import load_watcher, watch_video

CATEGORY = "audio/woosh"
MODEL = "WOOSH_MODEL"
MOST = 64  # takes of one run
LARGEST_SEED = 2**53 - 1 - 100_000  # a browser's numbers are exact up to 2^53
Audio = dict[str, Any]

PROMPT = ("STRING", {"multiline": True, "default": "a dog barking"})
SEED = ("INT", {"default": 0, "min": 0, "max": LARGEST_SEED, "control_after_generate": True})
COUNT = ("INT", {"default": 1, "min": 1, "max": MOST})
STEPS = ("INT", {"default": 0, "min": 0, "max": 1000, "tooltip": "0 is the model's own"})
GUIDANCE = (
    "FLOAT",
    {"default": 0.0, "min": 0.0, "max": LARGEST_GUIDANCE, "tooltip": "0 is the model's own"},
)


class LoadModel:
    """A model, kept by ComfyUI as long as its name stays."""

    RETURN_TYPES = (MODEL,)
    RETURN_NAMES = ("model",)
    FUNCTION = "load"
    CATEGORY = CATEGORY
    DESCRIPTION = "Loads a Woosh model: a built-in one, or a folder of your own."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The names of the built-in models, and a folder that goes before them."""
        names = [info.name for info in catalogue.built_in_models()]
        return {
            "required": {
                "name": (names, {"default": catalogue.DEFAULT_MODEL}),
                "device": (["auto", "cpu", "cuda", "mps"], {"default": "auto"}),
            },
            "optional": {"folder": ("STRING", {"default": "", "tooltip": "instead of a name"})},
        }

    def load(self, name: str, device: str, folder: str = "") -> tuple[Model]:
        """The model with its networks."""
        info = catalogue.describe_model(catalogue.find_model(folder.strip() or name))
        return (Model(load_model(info, device, "auto"), info),)


class Generate:
    """Sounds from words."""

    RETURN_TYPES = ("AUDIO",)
    FUNCTION = "generate"
    CATEGORY = CATEGORY
    DESCRIPTION = (
        "Makes sounds from words, as long as asked for and at -23 LUFS; several are a batch."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What a request asks for."""
        return {
            "required": {
                "model": (MODEL,),
                "prompt": PROMPT,
                "seconds": (
                    "FLOAT",
                    {"default": 5.0, "min": 0.1, "max": catalogue.LONGEST_SECONDS, "step": 0.1},
                ),
                "seed": SEED,
                "count": COUNT,
                "loop": ("BOOLEAN", {"default": False}),
            },
            "optional": {
                "negative": ("STRING", {"multiline": True, "default": ""}),
                "steps": STEPS,
                "guidance": GUIDANCE,
            },
        }

    def generate(  # noqa: PLR0913 - one for each input
        self,
        model: Model,
        prompt: str,
        seconds: float,
        seed: int,
        count: int,
        loop: bool,
        negative: str = "",
        steps: int = 0,
        guidance: float = 0.0,
    ) -> tuple[Audio]:
        """A batch of takes, with seeds that follow each other."""
        asked = Request(
            clean_text(prompt, "prompt"),
            negative_prompt=" ".join(negative.split()) or None,
            seconds=seconds,
            steps=steps or None,
            guidance_scale=guidance or None,
        )
        asked.check(model.info)
        rate = model.info.sample_rate
        settings = audio.FinishSettings(
            trim=None if loop else audio.Trim(), samples=asked.samples(rate), loop=loop
        )

        def make(sampler: Sampler, number: int) -> np.ndarray:
            wanted = replace(asked, seed=seed + number)
            made = make_loop(sampler, wanted).audio if loop else draw_take(sampler, wanted).sound
            return audio.finish(made, rate, settings).audio

        return (made_audio(model, make, count),)


class Vary:
    """Variations of sounds."""

    RETURN_TYPES = ("AUDIO",)
    FUNCTION = "vary"
    CATEGORY = CATEGORY
    DESCRIPTION = "Makes variations of each sound of a batch, as long and as loud, in mono."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The sounds, and how alike their variations are."""
        return {
            "required": {
                "model": (MODEL,),
                "audio": ("AUDIO",),
                "similarity": ("FLOAT", {"default": 0.7, "min": 0.0, "max": 1.0, "step": 0.01}),
                "seed": SEED,
                "count": COUNT,
            },
            "optional": {"prompt": ("STRING", {"multiline": True, "default": ""})},
        }

    def vary(  # noqa: PLR0913 - one for each input
        self,
        model: Model,
        audio: Audio,
        similarity: float,
        seed: int,
        count: int,
        prompt: str = "",
    ) -> tuple[Audio]:
        """A batch: the variations of the first sound, then those of the second ..."""
        rate, words = model.info.sample_rate, " ".join(prompt.split())
        sounds = sounds_of(audio, rate)
        asked = Request(
            words,
            seconds=sounds[0].shape[1] / rate,
            guidance_scale=guidance_for(words, None, model.info),
        )

        def make(sampler: Sampler, number: int) -> np.ndarray:
            wanted = replace(asked, seed=seed + number)
            return vary(sampler, sounds[number // count], wanted, similarity)[0]

        return (made_audio(model, make, count * len(sounds)),)


class Edit:
    """Parts of sounds made anew."""

    RETURN_TYPES = ("AUDIO",)
    FUNCTION = "edit"
    CATEGORY = CATEGORY
    DESCRIPTION = "Makes a part of each sound of a batch anew to fit what is around it; the rest stays. From 0 to 0 is all of it."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The sounds, and which part of them becomes what."""
        seconds = {"default": 0.0, "min": 0.0, "max": catalogue.LONGEST_SECONDS, "step": 0.01}
        return {
            "required": {
                "model": (MODEL,),
                "audio": ("AUDIO",),
                "prompt": PROMPT,
                "start": ("FLOAT", seconds),
                "stop": ("FLOAT", seconds),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
                "seed": SEED,
            }
        }

    def edit(  # noqa: PLR0913 - one for each input
        self,
        model: Model,
        audio: Audio,
        prompt: str,
        start: float,
        stop: float,
        strength: float,
        seed: int,
    ) -> tuple[Audio]:
        """The same batch with the part anew, at its own rate and with its own channels."""
        rate = int(audio["sample_rate"])
        sounds = sounds_of(audio, rate)
        asked = Request(clean_text(prompt, "prompt"), seconds=sounds[0].shape[1] / rate)
        regions = [] if start == stop == 0 else [Region(start, stop)]

        def make(sampler: Sampler, number: int) -> np.ndarray:
            wanted = replace(asked, seed=seed + number)
            return edit(sampler, sounds[number], rate, wanted, regions, strength)

        return (made_audio(model, make, len(sounds), rate),)


class Dub:
    """Sounds for videos."""

    RETURN_TYPES = ("AUDIO",)
    FUNCTION = "dub"
    CATEGORY = CATEGORY
    DESCRIPTION = "Makes a sound that follows the picture of a video, as long as it. Needs a model that sees, such as woosh-small-video."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The video, and what its picture does not say."""
        return {
            "required": {"model": (MODEL,), "video": ("VIDEO",), "seed": SEED, "count": COUNT},
            "optional": {"prompt": ("STRING", {"multiline": True, "default": ""})},
        }

    def dub(
        self, model: Model, video: Any, seed: int, count: int, prompt: str = ""
    ) -> tuple[Audio]:
        """A batch of takes of the video's sound."""
        info = model.info
        if info.video_channels is None or info.visual is None:
            raise ValueError(f"{info.name} does not see: load {catalogue.DEFAULT_VIDEO_MODEL}")
        watcher = load_watcher(info.visual, model.sampler.device, info.video_channels)
        with tempfile.TemporaryDirectory(prefix="woosh-") as folder:
            path = Path(folder) / "video.mp4"
            video.save_to(str(path))
            film = open_video(path)
            features, seconds = watch_video(watcher, film), film.seconds
        asked = Request(" ".join(prompt.split()), seconds=seconds, video=features)
        settings = audio.FinishSettings(trim=None, samples=asked.samples(info.sample_rate))

        def make(sampler: Sampler, number: int) -> np.ndarray:
            sound = draw_take(sampler, replace(asked, seed=seed + number)).sound
            return audio.finish(sound, info.sample_rate, settings).audio

        return (made_audio(model, make, count),)


def sounds_of(given: Audio, rate: int) -> list[np.ndarray]:
    """The sounds (C, S) of ComfyUI's audio at a rate."""
    waveform = given["waveform"].detach().float().cpu().numpy()  # (B, C, T)
    return [audio.resample(sound, int(given["sample_rate"]), rate) for sound in waveform]


def made_audio(
    model: Model, make: Callable[[Sampler, int], np.ndarray], count: int, rate: int | None = None
) -> Audio:
    """Make sounds one after the other, shown in ComfyUI's progress and ended by its interruption.

    Args:
        model: that makes them.
        make: gives the sound (C, S) of a number, with a sampler that tells its steps.
        count: of the sounds, which are equally long.
        rate: of the sounds in Hz; None is the model's.
    """
    watch = Watch(partial(tell, progress_bar(count), count), threading.Event())
    sampler = replace(model.sampler, step_bar=watch)
    made: list[np.ndarray] = []
    for number in range(count):
        watch.sound_begins(number)
        made.append(make(sampler, number))
    return as_audio(made, model.info.sample_rate if rate is None else rate)


def as_audio(sounds: Sequence[np.ndarray], rate: int) -> Audio:
    """Sounds (C, S) of one length as ComfyUI's audio."""
    return {"waveform": torch.from_numpy(np.stack(sounds)), "sample_rate": rate}


def progress_bar(count: int) -> Any:
    """ComfyUI's bar of so many sounds, each in a hundred parts."""
    from comfy.utils import ProgressBar  # pyright: ignore[reportMissingImports]

    return ProgressBar(100 * count)


def tell(bar: Any, count: int, made: int, share: float) -> None:
    """Show how far the work is, and end it if the user has asked for that."""
    from comfy.model_management import (  # pyright: ignore[reportMissingImports]
        throw_exception_if_processing_interrupted,
    )

    bar.update_absolute(round(100 * (made + share)), 100 * count)
    throw_exception_if_processing_interrupted()


NODE_CLASS_MAPPINGS = {
    "WooshLoadModel": LoadModel,
    "WooshGenerate": Generate,
    "WooshVary": Vary,
    "WooshEdit": Edit,
    "WooshDub": Dub,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "WooshLoadModel": "Woosh: load a model",
    "WooshGenerate": "Woosh: sounds from words",
    "WooshVary": "Woosh: variations",
    "WooshEdit": "Woosh: part of a sound anew",
    "WooshDub": "Woosh: sound for a video",
}
