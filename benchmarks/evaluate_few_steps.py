"""What few steps cost: distances to recordings, CLAP score and recognised clips of students and of their teacher.

    python benchmarks/evaluate_few_steps.py STUDENT... [--steps 1 2 4 8] [--clips 100] [--listener NAME] [--json FILE]

A STUDENT is a folder of a few-step transformer, such as runs/distill/transformer. All make the same prompts of ten
classes from the same noise, at times as the teacher (`--teacher`) shifts them; the teacher with guidance in 25 steps of Euler. Distances are to recordings of the
classes in the space of the built-in aligner. A clip is recognised if its class is to the listener, a tagger of AudioSet's
labels, the most probable of the ten. "Error" is the mean squared one of 20 clips' latents to the teacher's of
50 steps, relative to the variance of these.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from woosh.audio import resample
from woosh.catalogue import DEFAULT_TAGGER, find_model
from woosh.embeddings.clap import WooshClap, embed_sounds, embed_texts, load_clap
from woosh.embeddings.tagging import Tagger, load_ear
from woosh.evaluation.aligner import embed_beginnings
from woosh.evaluation.ten_classes import LABELS, PROMPTS, class_scores
from woosh.generation.changes import load_transformer
from woosh.generation.loading import load_sampler
from woosh.generation.sampling import Sampler
from woosh.generation.solvers import draw_noise, euler, flow_map, renoise_weights, shifted_times
from woosh.generation.transformer import WooshTransformer
from woosh.metrics.distributions import frechet_distance, kernel_distance
from woosh.metrics.retrieval import clap_score
from woosh.training.flow.distillation import teacher_velocity
from woosh.whole_files import write_text

BATCH = 20
EXACT_STEPS = 50

# prompts, noise (B, C, T), generators -> latents (B, C, T)
Make = Callable[[Sequence[str], Tensor, list[torch.Generator]], Tensor]


class Judged(NamedTuple):
    """Sounds as the aligner and the listener heard them."""

    embeddings: Tensor  # (N, D)
    recognised: float  # share that the listener takes for what they should be


def make_taught(sampler: Sampler, steps: int, guidance: float) -> Make:
    """The teacher's way from noise to latents."""

    def make(prompts: Sequence[str], noise: Tensor, _: list[torch.Generator]) -> Tensor:
        network = sampler.transformer
        taught = network.prepare(*sampler.embed_text(prompts))
        empty = network.prepare(*sampler.embed_text([""] * len(prompts)))
        scale = torch.full((len(prompts),), guidance)
        velocity = teacher_velocity(network, taught, empty, scale, sampler.settings.guidance_start)
        return euler(velocity, noise, shifted_times(steps, sampler.settings.time_shift))

    return make


def make_student(
    sampler: Sampler, student: WooshTransformer, steps: int, guidance: float, renoise_scale: float
) -> Make:
    """A student's way from noise to latents."""

    def make(prompts: Sequence[str], noise: Tensor, generators: list[torch.Generator]) -> Tensor:
        condition = student.prepare(*sampler.embed_text(prompts))
        scale = torch.full((len(prompts),), guidance)

        def velocity(x: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
            return student(x, time, condition, next_time, scale)

        renoise = [renoise_scale * share for share in renoise_weights(steps)]
        times = shifted_times(steps, sampler.settings.time_shift)
        return flow_map(velocity, noise, times, renoise, partial(draw_noise, noise, generators))

    return make


def noise_of(
    first: int, count: int, sampler: Sampler, seconds: float
) -> tuple[Tensor, list[torch.Generator]]:
    """Noise (count, C, T) of the clips from number `first` on, and the generators that go on with it."""
    frames = 1 + round(seconds * sampler.autoencoder.latent_rate)
    channels = sampler.transformer.config.latent_channels
    generators = [torch.Generator().manual_seed(first + row) for row in range(count)]
    noise = torch.stack([torch.randn(channels, frames, generator=g) for g in generators])
    return noise, generators


@torch.inference_mode()
def first_latents(make: Make, sampler: Sampler, seconds: float) -> Tensor:
    """Latents (B, C, T) of the first clips."""
    prompts = [PROMPTS[clip % len(PROMPTS)] for clip in range(BATCH)]
    return make(prompts, *noise_of(0, BATCH, sampler, seconds))


@torch.inference_mode()
def judge(
    make: Make,
    sampler: Sampler,
    aligner: WooshClap,
    listener: Tagger,
    clips: int,
    seconds: float,
) -> Judged:
    """Make `clips` sounds of each class and judge them."""
    prompts = [prompt for _ in range(clips) for prompt in PROMPTS]
    classes = torch.arange(len(PROMPTS)).repeat(clips)
    embeddings, probabilities = [], []
    rate = listener.embedder.sample_rate
    for start in tqdm(range(0, len(prompts), BATCH), leave=False):
        chosen = prompts[start : start + BATCH]
        audio = sampler.decode(make(chosen, *noise_of(start, len(chosen), sampler, seconds)))
        audio = audio / audio.abs().amax(dim=(1, 2), keepdim=True).clamp_min(1)  # the peak guard
        sounds = [resample(a, sampler.sample_rate, aligner.sample_rate)[0] for a in audio.numpy()]
        embeddings.append(embed_sounds(aligner, sounds))
        heard = [resample(a, sampler.sample_rate, rate)[0] for a in audio.numpy()]
        probabilities += [listener.scores(torch.from_numpy(sound)) for sound in heard]
    answers = class_scores(listener.labels, torch.stack(probabilities)).argmax(dim=1)
    return Judged(torch.cat(embeddings), (answers == classes).double().mean().item())


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("students", nargs="*", type=Path, metavar="STUDENT")
    add("--teacher", default="woosh-tiny", help="whose autoencoder and text encoder serve all")
    add("--aligner", default="woosh-tiny-clap")
    add("--listener", default=DEFAULT_TAGGER, help="such as tagger:mn04_as_mAP_432.pt")
    add("--manifest", type=Path, default=Path("../shared/data/sfx/manifest.jsonl"))
    add("--steps", nargs="+", type=int, default=[1, 2, 4, 8])
    add("--teacher-steps", nargs="*", type=int, default=[25])
    add("--renoise", nargs="+", type=float, default=[0.0], help="scales of the renoise weights")
    add("--guidance", type=float, help="default: the teacher's")
    add("--clips", type=int, default=100, help="of each of the ten classes")
    add("--seconds", type=float, default=2.5)
    add("--json", type=Path, help="write all results here")
    options = parser.parse_args(arguments)
    sampler = load_sampler(find_model(options.teacher))
    guidance = options.guidance or sampler.guidance_scale
    aligner = load_clap(options.aligner)
    listener = load_ear(options.listener)
    recorded = embed_beginnings(aligner, options.manifest, LABELS, options.seconds)
    texts = embed_texts(aligner, [prompt for _ in range(options.clips) for prompt in PROMPTS])
    ways: list[tuple[dict[str, Any], Make]] = [
        ({"model": options.teacher, "steps": steps}, make_taught(sampler, steps, guidance))
        for steps in options.teacher_steps
    ]
    for folder in options.students:
        student = load_transformer(folder, torch.float32).eval()
        ways += [
            (
                {"model": str(folder), "steps": steps, "renoise": scale},
                make_student(sampler, student, steps, guidance, scale),
            )
            for steps in options.steps
            for scale in (options.renoise if steps > 1 else [0.0])
        ]
    exact = first_latents(make_taught(sampler, EXACT_STEPS, guidance), sampler, options.seconds)
    rows = []
    for named, make in ways:
        missed = first_latents(make, sampler, options.seconds) - exact
        judged = judge(make, sampler, aligner, listener, options.clips, options.seconds)
        distance = kernel_distance(judged.embeddings, recorded, torch.Generator().manual_seed(0))
        row = {
            **named,
            "frechet_distance": float(frechet_distance(judged.embeddings, recorded)),
            "kernel_distance": distance.value,
            "standard_error": distance.standard_error,
            "clap_score": clap_score(texts, judged.embeddings),
            "recognised": judged.recognised,
            "error": float(missed.square().mean() / exact.var()),
        }
        rows.append(row)
        tqdm.write(json.dumps(row))
    print(table(rows))
    if options.json:
        write_text(options.json, json.dumps(rows, indent=1))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| model | steps | renoise | FD | KD | CLAP score | recognised | error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        share = f"{100 * row['recognised']:.1f} %"
        lines.append(
            f"| {row['model']} | {row['steps']} | {row.get('renoise', '')} | {row['frechet_distance']:.3f} | "
            f"{row['kernel_distance']:.2f} +- {row['standard_error']:.2f} | {row['clap_score']:.3f} | {share} | "
            f"{row['error']:.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
