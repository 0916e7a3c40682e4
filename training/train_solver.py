"""Fit a solver of few steps to a model of many: about a hundred numbers, in minutes.

    python training/train_solver.py configs/solver_small.yaml [name=value ...]

Sounds of prompts are solved to convergence once; then the coefficients of all steps are moved so that few steps end nearer
to them (`woosh.training.flow.solver`). Of several shifts of the times the best is kept, as measured on other prompts from
other seeds. Output folder: solver.json, whose numbers are `learned_steps` of a model's
model_index.json, and errors.json: of the learned solver and of `multistep` with as many calls.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from woosh.catalogue import find_model
from woosh.generation.guidance import Group, Window, conditions_of, guided_velocity
from woosh.generation.loading import load_sampler
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler, noise_streams
from woosh.generation.solvers import Velocity, multistep, nonstationary, shifted_times
from woosh.training.command import run_recipe
from woosh.training.flow.solver import (
    Descent,
    as_learned,
    converged_latents,
    fit_steps,
    latent_error,
)
from woosh.whole_files import write_text


@dataclass(frozen=True)
class Config:
    """Settings of one fit; see `configs/solver_small.yaml`."""

    output: str
    model: str  # name or folder
    steps: int
    shifts: tuple[float, ...]  # of the times, see `woosh.generation.solvers.shifted_times`
    descent: Descent
    finer: int  # steps of the converged sounds for each of these
    seconds: float  # of the sounds; the numbers serve every length
    prompts: tuple[str, ...]
    held_out: tuple[str, ...]
    seed: int
    device: str


def clips_of(sampler: Sampler, request: Request) -> tuple[Velocity, Tensor]:
    """The guided velocity of a request's clips, all in one evaluation, and their noise (B, C, T)."""
    guidance = sampler.guidance_of(request)
    noise = sampler.noise_of(request, noise_streams(request), circular=False)
    texts = [
        text
        for branch in guidance.branches
        for text in (request.prompts if branch.prompt else request.negative_prompts)
    ]
    condition = conditions_of(
        sampler.transformer, sampler.embed_text(texts), None, [Window(0, noise.shape[-1])]
    )
    group = Group(slice(None), condition)
    return guided_velocity(sampler.transformer, [group], guidance), noise


@torch.no_grad()
def main(config: Config) -> None:
    """Fit for each shift, keep the best and write it."""
    sampler = load_sampler(find_model(config.model), config.device)
    if sampler.few_step:
        raise ValueError(
            f"{config.model} is a few-step model, which no solver serves: name another"
        )
    shared = {"seconds": config.seconds, "steps": config.steps}
    fitted = Request(list(config.prompts), seed=config.seed, **shared)
    heard = Request(list(config.held_out), seed=config.seed + len(config.prompts), **shared)
    sampler.transformer.requires_grad_(False)
    velocity, noise = clips_of(sampler, fitted)
    other_velocity, other_noise = clips_of(sampler, heard)
    times = sampler.times_of(heard)
    converged = converged_latents(velocity, noise, times, config.finer)
    other = converged_latents(other_velocity, other_noise, times, config.finer)
    errors = {"multistep": latent_error(multistep(other_velocity, other_noise, times), other)}
    found = []
    for shift in config.shifts:
        start = as_learned(
            shifted_times(config.steps, shift).tolist(), sampler.guidance_of(fitted).scale
        )
        steps = fit_steps(velocity, noise, converged, start, config.descent)
        for name, tried in (("multistep", start), ("learned", steps)):
            error = latent_error(nonstationary(other_velocity, other_noise, tried), other)
            errors[f"{name}, shift {shift:g}"] = error
            found.append((error, tried))
    _, best = min(found, key=lambda pair: pair[0])
    for name, error in errors.items():
        print(f"{name}, {config.steps} calls: {error:.4f} of the latents")
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "solver.json", json.dumps(dataclasses.asdict(best)) + "\n")
    write_text(output / "errors.json", json.dumps(errors, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(run_recipe(main, Config, __doc__))
