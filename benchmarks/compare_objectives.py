"""How near sounds come to recordings by the objective that the flow was trained with and by the solver's steps.

    python benchmarks/compare_objectives.py RUN... [--steps 4 8 16 32] [--plot FILE] [--json FILE]

A RUN is an output folder of training/train_flow.py. Every one makes the same prompts from the same noise. Distances are
to recordings of the same ten classes, in the space of the built-in aligner.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from tqdm.auto import tqdm

from woosh.audio import resample
from woosh.autoencoder import Autoencoder, load_autoencoder
from woosh.catalogue import find_model
from woosh.embeddings.clap import WooshClap, embed_sounds, embed_texts, load_clap
from woosh.evaluation.aligner import embed_beginnings
from woosh.evaluation.plots import plot_objectives
from woosh.evaluation.ten_classes import LABELS, PROMPTS
from woosh.generation.changes import load_transformer
from woosh.generation.flow import expand_like, guide, radius, velocity_from_v
from woosh.generation.solvers import Velocity, euler, uniform_times
from woosh.metrics.distributions import frechet_distance, kernel_distance
from woosh.metrics.retrieval import clap_score
from woosh.training.conditioning import load_text_conditioner
from woosh.whole_files import write_text

BATCH = 10


def load_velocity(
    run: Path, embed: Callable[[Sequence[str]], tuple[Tensor, Tensor]], guidance: float
) -> Callable[[Sequence[str]], Velocity]:
    """The guided velocity of a run's transformer under given prompts, whatever it was trained to predict."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    model = load_transformer(run / "transformer", torch.float32).eval()
    circular = config["objective"] == "v_prediction"

    def under(prompts: Sequence[str]) -> Velocity:
        conditions = [model.prepare(*embed(texts)) for texts in (prompts, [""] * len(prompts))]

        def velocity(latents: Tensor, time: Tensor) -> Tensor:
            scale = expand_like(radius(time), latents) if circular else 1.0
            outputs = [model(latents / scale, time, condition) for condition in conditions]
            if circular:
                outputs = [velocity_from_v(output, latents, time) for output in outputs]
            return guide(outputs[0], outputs[1], guidance)

        return velocity

    return under


@torch.inference_mode()
def generate(
    under: Callable[[Sequence[str]], Velocity],
    autoencoder: Autoencoder,
    aligner: WooshClap,
    clips: int,
    seconds: float,
    steps: int,
) -> tuple[Tensor, list[str]]:
    """Embeddings (N, D) of `clips` sounds of each class, and their prompts."""
    prompts = [prompt for prompt in PROMPTS for _ in range(clips)]
    frames = 1 + round(seconds * autoencoder.latent_rate)
    parts = []
    for start in range(0, len(prompts), BATCH):
        chosen = prompts[start : start + BATCH]
        generator = torch.Generator().manual_seed(start)
        noise = torch.randn(
            len(chosen), autoencoder.generated_channels, frames, generator=generator
        )
        latents = euler(under(chosen), noise, uniform_times(steps))
        audio = autoencoder.decode(latents)[:, 0].numpy()
        rate = autoencoder.config.sample_rate
        parts.append(
            embed_sounds(aligner, [resample(a[None], rate, aligner.sample_rate)[0] for a in audio])
        )
    return torch.cat(parts), prompts


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--model", default="woosh-tiny", help="whose autoencoder and text encoder")
    parser.add_argument("--aligner", default="woosh-tiny-clap")
    parser.add_argument("--manifest", type=Path, default=Path("../shared/data/sfx/manifest.jsonl"))
    parser.add_argument("--steps", nargs="+", type=int, default=[4, 8, 16, 32])
    parser.add_argument("--clips", type=int, default=20, help="of each of the ten classes")
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--plot", type=Path, help="write a picture here")
    parser.add_argument("--json", type=Path, help="write all results here")
    options = parser.parse_args(arguments)
    folder = find_model(options.model)
    autoencoder = load_autoencoder(folder / "autoencoder").eval()
    embed: Any = load_text_conditioner(
        folder / "text_encoder", folder / "tokenizer", torch.device("cpu")
    )
    aligner = load_clap(options.aligner)
    recorded = embed_beginnings(aligner, options.manifest, LABELS, options.seconds)
    rows = []
    for run in tqdm(options.runs):
        with torch.inference_mode():
            under = load_velocity(run, embed, options.guidance)
        for steps in options.steps:
            made, prompts = generate(
                under, autoencoder, aligner, options.clips, options.seconds, steps
            )
            distance = kernel_distance(made, recorded, torch.Generator().manual_seed(0))
            row = {
                "run": run.name,
                "steps": steps,
                "frechet_distance": float(frechet_distance(made, recorded)),
                "kernel_distance": distance.value,
                "standard_error": distance.standard_error,
                "clap_score": clap_score(embed_texts(aligner, prompts), made),
            }
            rows.append(row)
            tqdm.write(json.dumps(row))
    print(table(rows))
    if options.json:
        write_text(options.json, json.dumps(rows, indent=1))
    if options.plot:
        plot_objectives(rows, options.plot)


def table(rows: Sequence[dict]) -> str:
    """The results as a Markdown table."""
    lines = ["| run | steps | FD | KD | CLAP score |", "|---|---|---|---|---|"]
    for row in rows:
        distance = f"{row['kernel_distance']:.2f} +- {row['standard_error']:.2f}"
        lines.append(
            f"| {row['run']} | {row['steps']} | {row['frechet_distance']:.3f} | {distance} | "
            f"{row['clap_score']:.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
