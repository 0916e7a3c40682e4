"""`woosh generate`: sounds from prompts."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from woosh import audio, catalogue
from woosh.commands.options import (
    MAX_CLIPS,
    Commands,
    add_command,
    add_model_options,
    add_request_options,
    levelled,
    number,
    seeds_of,
)
from woosh.commands.outputs import plan_output
from woosh.generation.request import SOLVERS, Request, clean_text

if TYPE_CHECKING:
    import numpy as np

    from woosh.embeddings.prompt_check import PromptEar
    from woosh.generation.sampling import Sampler

NAMED_LABELS = 3  # of what is heard, in a note
EXAMPLES = """\
examples:
  woosh generate "a dog barking" -o dog.wav
  woosh generate "rain on a tin roof" --seconds 10 --seed 7 -o rain.flac
  woosh generate "glass breaking" -n 4 -o takes/              four takes, numbered
  woosh generate "footsteps on gravel" "a door creaks" -o scene/
  woosh generate "a siren" --negative "music, voices" --loudness -18
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
    add(
        "--sound-seconds",
        type=number(0, open_low=True),
        metavar="S",
        help="how long the sound itself is; silence follows up to --seconds. For models that are told "
        "(default: left to the model)",
    )
    add_request_options(parser)
    add("--solver", choices=SOLVERS, default="euler", help="default euler")
    add("--format", choices=tuple(audio.SUBTYPES), help="file format (default wav)")
    add_model_options(parser)
    parser.set_defaults(model=None)
    add(
        "--quiet",
        action="store_true",
        help="do not listen whether a sound is what its prompt asks for, and do not note it where it is not",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with a batch that was ended: a sound is not made again where a file of its name carries the same "
        "prompt, seed, model and version. Needs the --seed of that batch, and its other options, which are not compared",
    )
    add(
        "--lora",
        action="append",
        default=[],
        type=lora_choice,
        metavar="FILE[:SCALE]",
        help="what training/finetune_lora.py wrote, and how much of it (default 1); several add up. Without "
        "--model, the model is the one that the first was trained beside",
    )


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
    clips = len(prompts) * arguments.count
    if clips > MAX_CLIPS:
        raise ValueError(f"{clips} sounds are more than {MAX_CLIPS}: ask for fewer at a time")
    if arguments.resume and arguments.seed is None:
        raise ValueError(
            "--resume needs the --seed of the batch that was ended: the first that it printed"
        )
    model = _base_model(arguments.lora) if arguments.model is None else arguments.model
    _check_bases(arguments.lora, model)
    info = catalogue.describe_model(catalogue.find_model(model))
    each = [prompt for prompt in prompts for _ in range(arguments.count)]
    requests = [
        _request(prompt, seed, arguments)
        for prompt, seed in zip(each, seeds_of(arguments, clips), strict=True)
    ]
    used = {"lora": _names(arguments.lora)} if arguments.lora else {}
    records = [request.record(info.name) | used for request in requests]
    for request, record in zip(requests, records, strict=True):
        request.check(info)
        audio.encode_metadata(record)
    target = plan_output(arguments.output, arguments.format, clips)

    from woosh.embeddings.prompt_check import load_prompt_ear
    from woosh.generation.loading import load_model

    sampler = load_model(info, arguments.device, arguments.dtype)
    _add_loras(sampler, arguments.lora)
    ear = None if arguments.quiet else load_prompt_ear()
    target.folder.mkdir(exist_ok=True)
    ceiling = audio.CEILINGS[target.file_format]
    for index, (request, record) in enumerate(zip(requests, records, strict=True)):
        prompt = prompts[index // arguments.count]
        if arguments.resume and (path := target.made(prompt, index, clips, record)) is not None:
            print(f"{path}  already made  seed {request.seed}", flush=True)
            continue
        sound = sampler(request)[0].cpu().numpy()
        sound = levelled(sound, arguments.loudness, ceiling, info)
        with target.claim(prompt, index, clips) as path:
            audio.write_audio(path, sound, info.sample_rate, record)
        seconds = sound.shape[1] / info.sample_rate
        print(f"{path}  {seconds:.2f} s  seed {request.seed}", flush=True)
        if ear is not None:
            _note_misheard(ear, str(request.prompt), path, sound, info.sample_rate)


def _request(prompt: str, seed: int, arguments: argparse.Namespace) -> Request:
    negative = arguments.negative
    return Request(
        prompt=prompt,
        negative_prompt=None if negative is None else clean_text(negative, "negative prompt"),
        seconds=arguments.seconds,
        sound_seconds=arguments.sound_seconds,
        steps=arguments.steps,
        guidance_scale=arguments.guidance,
        seed=seed,
        solver=arguments.solver,
    )


def _note_misheard(
    ear: PromptEar, prompt: str, path: Path, sound: np.ndarray, sample_rate: int
) -> None:
    """Say what a sound is heard as, if that is not what its prompt asks for."""
    heard = ear.misheard(prompt, sound, sample_rate)
    if heard:
        print(
            f"woosh: note: {path.name} may not be {prompt!r}: the built-in ear hears "
            f"{'; '.join(heard[:NAMED_LABELS])}. Another --seed may be better; --quiet leaves this out",
            file=sys.stderr,
        )


def _base_model(loras: list[tuple[str, float]]) -> str:
    """The model that the first file was trained beside; without files, the default."""
    if not loras:
        return catalogue.DEFAULT_MODEL
    from woosh.generation.lora import read_lora

    return read_lora(loras[0][0])[1].base


def _check_bases(loras: list[tuple[str, float]], model: str) -> None:
    if loras:
        from woosh.generation.lora import check_base, read_lora

        for file, _ in loras:
            check_base(file, read_lora(file)[1].base, model)


def _names(loras: list[tuple[str, float]]) -> str:
    return " ".join(f"{Path(file).name}:{scale:g}" for file, scale in loras)


def _add_loras(sampler: Sampler, loras: list[tuple[str, float]]) -> None:
    """Merge the files into the transformer, and tell the words that their training put in front of captions."""
    from woosh.generation.lora import merge_lora

    for file, scale in loras:
        facts = merge_lora(sampler.transformer, file, scale)
        if facts.trigger:
            print(f"woosh: note: {file} listens to {facts.trigger!r}", file=sys.stderr)
