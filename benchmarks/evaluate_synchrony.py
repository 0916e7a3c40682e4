"""Whether a video model's sound happens when something happens in the picture, on rendered scenes it never saw.

    python benchmarks/evaluate_synchrony.py [--model woosh-small-video] [--events 100] [--courses 60] [--device DEVICE]
        [--best-of N]

Scenes of events: F1 of the sound's onsets against the moments of the record, one to one, within 20, 50 and 100 ms, and
the mean of onset minus moment; "chance" is the F1 at 50 ms against the moments of the other scenes, mean over all.
Scenes that go on: Pearson correlation of the sound's level with the intensity of the record. The scenes' own sound and
the same through the autoencoder say what can be reached; shuffled videos and a model of words alone, what is reached
without the picture. `--transformer` and `--visual` try the results of a training in the model's place.

With --best-of, N sounds are drawn for each scene; the first rows have all of them, and others the one that
`woosh dub --best-of N` keeps: by the moments that the model's own network sees, and with words by the built-in aligner and
tagger. It does not know the record, by which all are judged. Gains are means over scenes of the kept sound's score
less the mean score of all N, with their standard errors; "at most" is the gain if the record itself chose.
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
from scipy.stats import sem
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
from woosh.studio.choosing import Judge, load_judge
from woosh.training.flow.encoding import encode_clip
from woosh.video.watching import Watcher, load_watcher, moments_seen
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
    seen: list[float] | None  # moments in seconds that the network tells


Make = Callable[[Scene, Scene], Tensor]  # a scene, and another one -> sounds (N, S)


def watched(clip: SceneClip, number: int, watcher: Watcher) -> Scene:
    """A rendered clip with what the network sees of it."""
    frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2)
    intensity = None if clip.intensity is None else torch.from_numpy(clip.intensity)
    features = watcher.watch([frames])
    audio = torch.from_numpy(clip.audio)
    seen = moments_seen(watcher, features)
    return Scene(number, audio, clip.captions[0], clip.events, intensity, features, seen)


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
    takes: int = 1  # of each scene, no two of which begin with the same noise


def maker(sampler: Sampler, settings: Settings, words: bool, watches: str) -> Make:
    """A model's sounds for a scene; `watches` is "it", "another" or "nothing"."""

    def make(scene: Scene, other: Scene) -> Tensor:
        seen = {"it": scene.features, "another": other.features, "nothing": None}[watches]
        request = Request(
            scene.caption if words else "",
            seconds=settings.seconds,
            steps=settings.steps,
            guidance_scale=settings.guidance,
            sounds_per_prompt=settings.takes,
            seed=scene.number * settings.takes,
            video=seen,
            video_guidance_scale=None if seen is None else settings.video_guidance,
        )
        return sampler(request)[:, 0].cpu()

    return make


def with_best(make: Make, judge: Judge, words: bool, sample_rate: int) -> tuple[Make, Make]:
    """All sounds of a scene, which are made once, and the one of them that `woosh dub` keeps."""
    made: dict[int, Tensor] = {}

    def takes(scene: Scene, other: Scene) -> Tensor:
        if scene.number not in made:
            made[scene.number] = make(scene, other)
        return made[scene.number]

    def best(scene: Scene, other: Scene) -> Tensor:
        sounds = takes(scene, other)
        wish = replace(judge.wish_of_words(scene.caption if words else ""), moments=scene.seen)
        kept = judge.best(wish, sounds[:, None].numpy(), sample_rate)
        return sounds[kept : kept + 1]

    return takes, best


def ways_that_see(sampler: Sampler, settings: Settings, drawn: int) -> dict[str, Make]:
    """Sounds of the picture, without and with words; of several of each scene, also the best."""
    ways: dict[str, Make] = {}
    judge = load_judge() if drawn > 1 else None
    for name, words in (("of the picture alone", False), ("of picture and words", True)):
        ways[name] = maker(sampler, replace(settings, takes=drawn), words, watches="it")
        if judge is not None:
            both = with_best(ways[name], judge, words, sampler.sample_rate)
            ways[name], ways[best_of(name, drawn)] = both
    return ways


def best_of(name: str, drawn: int) -> str:
    """The name of the row of the best."""
    return f"{name}, best of {drawn}"


def measure(
    make: Make, events: Sequence[Scene], courses: Sequence[Scene], sample_rate: int
) -> dict[str, Any]:
    """Scores of one way to make the sound of all scenes."""
    clips, correlations = [], []
    for place, scene in enumerate(tqdm(events, desc="events", leave=False)):
        sounds = make(scene, events[place - 1])
        clips.append([(list(scene.events), onsets_of(sound, sample_rate)) for sound in sounds])
    for place, scene in enumerate(tqdm(courses, desc="courses", leave=False)):
        intensity = scene.intensity
        assert intensity is not None
        sounds = make(scene, courses[place - 1])
        correlations.append(
            [loudness_correlation(sound, sample_rate, intensity, FRAME_RATE) for sound in sounds]
        )
    scores = alignment([clip for takes in clips for clip in takes])
    judged = scores[JUDGED]
    chances = [chance_alignment(takes)[JUDGED] for takes in zip(*clips, strict=True)]
    return {
        "f1": [score.f1 for score in scores],
        "precision": judged.precision,
        "recall": judged.recall,
        "offset": judged.offset,
        "chance": float(np.mean(chances)),
        "correlation": float(np.mean(correlations)) if courses else math.nan,
        "onsets": sum(len(found) for takes in clips for _, found in takes),
        "moments": sum(len(moments) for takes in clips for moments, _ in takes),
        "f1_of_takes": [[alignment([clip])[JUDGED].f1 for clip in takes] for takes in clips],
        "correlation_of_takes": correlations,
    }


def gain(takes: dict[str, Any], best: dict[str, Any]) -> str:
    """By how much the sounds that were kept are better than all, over scenes."""
    parts = []
    for name, key in (("F1 at 50 ms", "f1_of_takes"), ("correlation", "correlation_of_takes")):
        if len(takes[key]) > 1:
            every, kept = np.array(takes[key]), np.array(best[key])[:, 0]
            gains, most = kept - every.mean(axis=1), every.max(axis=1) - every.mean(axis=1)
            parts.append(
                f"{name} {gains.mean():+.3f}, standard error {sem(gains):.3f}, at most {most.mean():+.3f}"
            )
    return "; ".join(parts)


def gains(rows: dict[str, dict[str, Any]], drawn: int) -> str:
    """The gains of every row that has one of the best beside it."""
    return "\n".join(
        f"gain {name}: {gain(row, rows[best_of(name, drawn)])}"
        for name, row in rows.items()
        if best_of(name, drawn) in rows
    )


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
    add(
        "--best-of",
        type=int,
        default=1,
        metavar="N",
        help="sounds of each scene, one of which is kept",
    )
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
            return sampler.autoencoder.decode(latents[None].to(sampler.device))[0].cpu()

    drawn = options.best_of
    if drawn > 1 and any(scene.seen is None for scene in [*events, *courses]):
        parser.error("--best-of has nothing to choose by: what watches tells no moments")
    ways = ways_that_see(sampler, settings, drawn)
    if not options.only:
        text = load_sampler(find_model(options.text_model), options.device)
        ways = {
            "the scene's own": lambda scene, _: scene.audio[None],
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
    if drawn > 1:
        print(gains(rows, drawn))


if __name__ == "__main__":
    main()
