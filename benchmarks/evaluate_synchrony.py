"""Whether a video model's sound happens when something happens in the picture, on rendered scenes it never saw.

    python benchmarks/evaluate_synchrony.py [--model woosh-small-video] [--events 100] [--courses 60] [--device DEVICE]

Scenes of events: F1 of the sound's onsets against the moments of the record, one to one, within 20, 50 and 100 ms, and
the mean of onset minus moment; "chance" is the F1 at 50 ms against the moments of the other scenes, mean over all.
Scenes that go on: Pearson correlation of the sound's level with the intensity of the record. The scenes' own sound and
the same through the autoencoder say what can be reached; shuffled videos and a model of words alone, what is reached
without the picture. `--transformer` and `--visual` try the results of a training in the model's place.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from woosh.catalogue import describe_model, find_model
from woosh.generation.changes import load_transformer
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.metrics.synchrony import (
    TOLERANCES,
    alignment,
    chance_alignment,
    loudness_correlation,
    onsets_of,
)
from woosh.procedural.synthesis import RATE
from woosh.scenes import COURSE_FAMILIES, EVENT_FAMILIES, FRAME_RATE, SceneClip, generate_scene
from woosh.training.flow.encoding import encode_clip
from woosh.video.watching import Watcher, load_watcher
from woosh.whole_files import write_text

HELD_OUT_SEED = 950_000_000  # trainings take other seeds
JUDGED = TOLERANCES.index(0.05)


@dataclass(frozen=True)
class Scene:
    """A scene as it was heard, as the network sees it, and what is true of it."""

    number: int
    audio: Tensor  # (S,)
    caption: str
    events: Sequence[float]
    intensity: Tensor | None  # (F,)
    features: Tensor  # (K, V)


Make = Callable[[Scene, Scene], Tensor]  # a scene, and another one -> sound (S,)


def watched(clip: SceneClip, number: int, watcher: Watcher) -> Scene:
    """A rendered clip with what the network sees of it."""
    frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2)
    intensity = None if clip.intensity is None else torch.from_numpy(clip.intensity)
    features = watcher.watch([frames])
    audio = torch.from_numpy(clip.audio)
    return Scene(number, audio, clip.captions[0], clip.events, intensity, features)


def render(
    families: Sequence[str], count: int, first: int, seconds: float, watcher: Watcher
) -> list[Scene]:
    """Scenes of the families in turn."""
    return [
        watched(
            generate_scene(
                HELD_OUT_SEED + first + number,
                families[number % len(families)],
                seconds,
                watcher.frame_size,
            ),
            first + number,
            watcher,
        )
        for number in tqdm(range(count), desc="rendering", leave=False)
    ]


@dataclass(frozen=True)
class Settings:
    """Of sampling; None is the model's own."""

    steps: int | None
    guidance: float | None
    video_guidance: float | None
    seconds: float


def maker(
    sampler: Sampler, settings: Settings, words: bool, watches: str
) -> Callable[[Scene, Scene], Tensor]:
    """A model's sound for a scene; `watches` is "it", "another" or "nothing"."""

    def make(scene: Scene, other: Scene) -> Tensor:
        seen = {"it": scene.features, "another": other.features, "nothing": None}[watches]
        request = Request(
            scene.caption if words else "",
            seconds=settings.seconds,
            steps=settings.steps,
            guidance_scale=settings.guidance,
            seed=scene.number,
            video=seen,
            video_guidance_scale=None if seen is None else settings.video_guidance,
        )
        return sampler(request)[0, 0].cpu()

    return make


def measure(
    make: Make, events: Sequence[Scene], courses: Sequence[Scene], sample_rate: int
) -> dict[str, Any]:
    """Scores of one way to make the sound of all scenes."""
    clips = [
        (list(scene.events), onsets_of(make(scene, events[place - 1]), sample_rate))
        for place, scene in enumerate(tqdm(events, desc="events", leave=False))
    ]
    scores = alignment(clips)
    correlations = []
    for place, scene in enumerate(tqdm(courses, desc="courses", leave=False)):
        assert scene.intensity is not None
        sound = make(scene, courses[place - 1])
        correlations.append(loudness_correlation(sound, sample_rate, scene.intensity, FRAME_RATE))
    judged = scores[JUDGED]
    return {
        "f1": [score.f1 for score in scores],
        "precision": judged.precision,
        "recall": judged.recall,
        "offset": judged.offset,
        "chance": chance_alignment(clips)[JUDGED],
        "correlation": float(np.mean(correlations)) if courses else math.nan,
        "onsets": sum(len(found) for _, found in clips),
        "moments": sum(len(moments) for moments, _ in clips),
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| sound | F1 at 20 ms | 50 ms | 100 ms | precision | recall | offset | chance | loudness correlation |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        offset = "" if row["offset"] is None else f"{1000 * row['offset']:+.0f} ms"
        values = [*row["f1"], row["precision"], row["recall"]]
        lines.append(
            f"| {name} | "
            + " | ".join(f"{value:.3f}" for value in values)
            + f" | {offset} | {row['chance']:.3f} | {row['correlation']:.3f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Render, generate, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--model", default="woosh-small-video")
    add("--transformer", type=Path, help="folder of a transformer in the model's place")
    add("--visual", type=Path, help="folder of a network that watches in the model's place")
    add("--text-model", default="woosh-small")
    add("--only", action="store_true", help="no bounds and no comparisons, for a quick look")
    add("--events", type=int, default=100, help="scenes of events")
    add("--courses", type=int, default=60, help="scenes that go on")
    add("--seconds", type=float, default=5.0)
    add("--steps", type=int)
    add("--guidance", type=float)
    add("--video-guidance", type=float)
    add("--device", default="cpu")
    add("--json", type=Path, help="write the results here, as each row is done")
    options = parser.parse_args(arguments)
    info = describe_model(find_model(options.model))
    sampler = load_sampler(info.folder, options.device)
    if options.transformer is not None:
        seeing = load_transformer(options.transformer, torch.float32)
        sampler = replace(sampler, transformer=seeing.to(options.device).eval())
    place = options.visual or info.visual
    if place is None:
        parser.error(f"{info.name} has no network that watches: name one with --visual")
    if sampler.sample_rate != RATE:
        parser.error(f"{info.name} works at {sampler.sample_rate} Hz, the scenes at {RATE}")
    watcher = load_watcher(place, options.device, sampler.transformer.config.video_channels)
    settings = Settings(options.steps, options.guidance, options.video_guidance, options.seconds)

    events = render(EVENT_FAMILIES, options.events, 0, options.seconds, watcher)
    courses = render(COURSE_FAMILIES, options.courses, options.events, options.seconds, watcher)

    def again(scene: Scene, _: Scene) -> Tensor:
        latents = encode_clip(sampler.autoencoder, scene.audio.numpy())
        with torch.inference_mode():
            return sampler.autoencoder.decode(latents[None].to(sampler.device))[0, 0].cpu()

    ways: dict[str, Make] = {
        "of the picture alone": maker(sampler, settings, words=False, watches="it"),
        "of picture and words": maker(sampler, settings, words=True, watches="it"),
    }
    if not options.only:
        text = load_sampler(find_model(options.text_model), options.device)
        ways = {
            "the scene's own": lambda scene, _: scene.audio,
            "the scene's own through the autoencoder": again,
            **ways,
            "of another scene's picture": maker(sampler, settings, words=False, watches="another"),
            "of another's picture, own words": maker(
                sampler, settings, words=True, watches="another"
            ),
            f"{options.text_model}, of words": maker(text, settings, words=True, watches="nothing"),
        }
    rows: dict[str, dict[str, Any]] = {}
    for name, make in ways.items():
        rows[name] = measure(make, events, courses, RATE)
        if options.json:
            write_text(options.json, json.dumps(rows, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
