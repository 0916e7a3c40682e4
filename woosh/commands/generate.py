"""`woosh generate`: sounds from prompts."""

from __future__ import annotations

import argparse
import math
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from woosh import __version__, audio, catalogue
from woosh.commands.options import (
    MAX_CLIPS,
    Commands,
    add_command,
    add_loudness_option,
    add_model_options,
    add_precision_option,
    add_solver_options,
    clean_text,
    count_up_to,
    levelled,
    number,
    refuse_few_step_wishes,
    seed_number,
)
from woosh.commands.outputs import plan_output

if TYPE_CHECKING:
    import numpy as np

    from woosh.generation.sampling import Sampler

EXAMPLES = """\
examples:
  woosh generate "a dog barking" -o dog.wav
  woosh generate "rain on a tin roof" --seconds 10 --seed 7 -o rain.flac
  woosh generate "glass breaking" -n 4 -o takes/              four takes, numbered
  woosh generate "footsteps on gravel" "a door creaks" -o scene/
  woosh generate "a siren" --negative "music, voices" --model woosh-tiny --loudness -18
  woosh generate "a castle door" --lora castle.safetensors:0.8
"""


def add_to(commands: Commands) -> None:
    """Add the command to `woosh`."""
    parser = add_command(
        commands,
        "generate",
        run,
        brief="generate sounds from prompts",
        description="Generate sounds from prompts.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add("prompts", nargs="+", metavar="PROMPT", help="what to hear; several give several sounds")
    add(
        "-o",
        "--output",
        metavar="FILE|DIR",
        help="a file, whose extension tells the format, or a folder (an existing one, or a name "
        "without extension); default: this folder, named after the prompt. A file that you name "
        "is overwritten; names made here never overwrite anything",
    )
    add(
        "--seconds",
        type=number(0, open_low=True),
        default=5.0,
        metavar="S",
        help="length (default 5), up to 600",
    )
    add_solver_options(parser)
    add("--negative", metavar="TEXT", help="what not to hear (not with few-step models)")
    add("--solver", choices=("euler", "dopri5"), default="euler", help="default euler")
    add(
        "--seed",
        type=seed_number,
        metavar="N",
        help="number that decides the noise (default: random)",
    )
    add(
        "-n",
        "--count",
        type=count_up_to(MAX_CLIPS),
        default=1,
        metavar="COUNT",
        help="sounds for each prompt, with seeds N, N + 1, ... (default 1)",
    )
    add("--format", choices=tuple(audio.SUBTYPES), help="file format (default wav)")
    add_loudness_option(parser)
    add_model_options(parser)
    parser.set_defaults(model=None)
    add(
        "--lora",
        action="append",
        default=[],
        type=lora_choice,
        metavar="FILE[:SCALE]",
        help="what training/finetune_lora.py wrote, and how much of it (default 1); several add up. Without "
        "--model, the model is the one that the first was trained beside",
    )
    add_precision_option(parser)


def lora_choice(text: str) -> tuple[str, float]:
    """A file and its scale, from FILE or FILE:SCALE; a colon that no number follows belongs to the file's name."""
    file, colon, scale = text.rpartition(":")
    try:
        value = float(scale) if colon else 1.0
    except ValueError:
        return text, 1.0
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"the scale of {file} must be a number, not {scale}")
    return (file if colon else text), value


def run(arguments: argparse.Namespace) -> None:
    """`woosh generate`: check, load, then generate and write clip by clip."""
    prompts = [clean_text(text, "prompt") for text in arguments.prompts]
    negative = (
        None if arguments.negative is None else clean_text(arguments.negative, "negative prompt")
    )
    clips = len(prompts) * arguments.count
    if clips > MAX_CLIPS:
        raise ValueError(f"{clips} sounds are more than {MAX_CLIPS}: ask for fewer at a time")
    model = _base_model(arguments.lora) if arguments.model is None else arguments.model
    info = catalogue.describe_model(catalogue.find_model(model))
    _check_request(arguments, negative, info)
    target = plan_output(arguments.output, arguments.format, clips)
    seed = secrets.randbelow(2**32) if arguments.seed is None else arguments.seed
    records = [
        {
            "prompt": prompt,
            **({} if negative is None else {"negative_prompt": negative}),
            "seed": seed + index,
            "model": info.name,
            **({"lora": _names(arguments.lora)} if arguments.lora else {}),
            "version": __version__,
        }
        for index, prompt in enumerate(p for p in prompts for _ in range(arguments.count))
    ]
    for record in records:
        audio.encode_metadata(record)

    from woosh.generation.loading import load_model

    sampler = load_model(info, arguments.device, arguments.dtype)
    _add_loras(sampler, arguments.lora)
    target.folder.mkdir(exist_ok=True)
    for index, record in enumerate(records):
        sound = _generate_one(sampler, arguments, record["prompt"], negative, record["seed"])
        path = target.path(record["prompt"], index, clips)
        audio.write_audio(
            path,
            levelled(sound, arguments.loudness, audio.CEILINGS[target.file_format], info),
            info.sample_rate,
            record,
        )
        print(
            f"{path}  {sound.shape[1] / info.sample_rate:.2f} s  seed {record['seed']}", flush=True
        )


def _check_request(
    arguments: argparse.Namespace, negative: str | None, info: catalogue.ModelInfo
) -> None:
    """Raise ValueError for a wish that this model cannot fulfil."""
    if arguments.seconds > catalogue.LONGEST_SECONDS:
        raise ValueError(
            f"--seconds {arguments.seconds:g} is too long: up to {catalogue.LONGEST_SECONDS:g} s are made at a time"
        )
    if round(arguments.seconds * info.sample_rate) < 1:
        raise ValueError(f"--seconds {arguments.seconds:g} is shorter than one sample")
    refuse_few_step_wishes(info, negative)
    if info.few_step and arguments.solver != "euler":
        raise ValueError(
            f"{info.name} is a few-step model with its own solver: leave out --solver, or take "
            f"--model {info.parts_of or catalogue.GUIDED_MODEL}"
        )
    if arguments.solver == "dopri5" and arguments.steps is not None:
        raise ValueError("dopri5 chooses its own steps: leave out --steps")


def _base_model(loras: list[tuple[str, float]]) -> str:
    """The model that the first file was trained beside; without files, the default."""
    if not loras:
        return catalogue.DEFAULT_MODEL
    from woosh.generation.lora import read_lora

    return read_lora(loras[0][0])[1].base


def _names(loras: list[tuple[str, float]]) -> str:
    return " ".join(f"{Path(file).name}:{scale:g}" for file, scale in loras)


def _add_loras(sampler: Sampler, loras: list[tuple[str, float]]) -> None:
    """Merge the files into the transformer, and tell the words that their training put in front of captions."""
    from woosh.generation.lora import merge_lora

    for file, scale in loras:
        facts = merge_lora(sampler.transformer, file, scale)
        if facts.trigger:
            print(f"woosh: note: {file} listens to {facts.trigger!r}", file=sys.stderr)


def _generate_one(
    sampler: Sampler,
    arguments: argparse.Namespace,
    prompt: str,
    negative: str | None,
    seed: int,
) -> np.ndarray:
    import torch

    sound = sampler(
        prompt,
        negative_prompt=negative,
        seconds=arguments.seconds,
        num_inference_steps=arguments.steps,
        guidance_scale=arguments.guidance,
        generator=torch.Generator().manual_seed(seed),
        solver=arguments.solver,
    )
    return sound[0].cpu().numpy()
