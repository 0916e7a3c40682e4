"""`woosh generate`: sounds from prompts."""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from woosh import audio, catalogue
from woosh.commands.assets import add_asset_options, plan_assets
from woosh.commands.delivery import Delivery, Silences
from woosh.commands.finishing import add_finishing_options, finishing_of
from woosh.commands.options import (
    add_best_of_option,
    add_model_options,
    add_request_options,
    check_drawn,
    explain,
    number,
    seeds_of,
)
from woosh.commands.outputs import plan_output
from woosh.commands.prompts import prompts_of
from woosh.commands.sources import DEFAULT_STRENGTH, find_sources, load_judge_for
from woosh.generation.request import DEFAULT_SOLVER, SOLVERS, Request, clean_text
from woosh.outside_files import shown
from woosh.studio.finishing import check_record
from woosh.studio.takes import draw_take

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
  woosh generate @prompts.txt -o scene/                       a prompt on each line
  woosh generate "a castle door" --lora castle.safetensors:0.8
  woosh generate "a castle door" --best-of 4          four drawn, the best kept
  woosh generate "a castle door" -n 4 --from sounds/  new takes of recordings in your own library
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Generate sounds from prompts.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add(
        "prompts",
        nargs="+",
        metavar="PROMPT",
        help="what to hear; several give several sounds. "
        "@FILE and - (the standard input) give prompts, one on each line",
    )
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
        help="length to make (default 5), up to 600; silence at its ends is cut off",
    )
    add(
        "--sound-seconds",
        type=number(0, open_low=True),
        metavar="S",
        help="how long the sound itself is; silence follows up to --seconds. For models that are told "
        "(default: left to the model)",
    )
    add_request_options(parser)
    add_best_of_option(parser)
    add("--solver", choices=SOLVERS, default=DEFAULT_SOLVER, help=f"default {DEFAULT_SOLVER}")
    add_asset_options(parser)
    add_model_options(parser)
    add(
        "--offload",
        action="store_true",
        help="for accelerators of little memory: parts of the model wait in the processor's while another one computes",
    )
    add_finishing_options(parser, trims=True)
    parser.set_defaults(model=None)
    add(
        "--from",
        dest="library",
        type=Path,
        metavar="DIR",
        help="start from recordings of your own that `woosh index DIR` has heard: take k from the k-th nearest to the prompt",
    )
    add("--like", type=Path, metavar="FILE", help="with --from: nearest to this sound instead")
    add(
        "--strength",
        type=number(0, 1),
        metavar="S",
        help="with --from: how much is drawn anew, from 0, the recording as the model's autoencoder gives it, to 1, "
        f"where nothing of it is left (default {DEFAULT_STRENGTH:g})",
    )
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
    prompts = prompts_of(arguments.prompts)
    clips = len(prompts) * arguments.count
    check_drawn(clips, arguments.best_of)
    if arguments.resume and arguments.seed is None:
        raise ValueError(
            "--resume needs the --seed of the batch that was ended: the first that it printed"
        )
    model = _base_model(arguments.lora) if arguments.model is None else arguments.model
    _check_bases(arguments.lora, model)
    info = catalogue.describe_model(catalogue.find_model(model))
    each = [prompt for prompt in prompts for _ in range(arguments.count)]
    seeds = seeds_of(arguments, clips, arguments.best_of)
    requests = [_request(prompt, seed, arguments) for prompt, seed in zip(each, seeds, strict=True)]
    for request in requests:
        request.check(info)
    target = plan_output(arguments.output, arguments.format, clips)
    sources = find_sources(arguments, prompts)
    used = {"lora": _names(arguments.lora)} if arguments.lora else {}
    records = [
        request.record(info.name) | used | ({} if source is None else source.record())
        for request, source in zip(requests, sources, strict=True)
    ]
    for record in records:
        check_record(record)
    samples = requests[0].samples(info.sample_rate)
    finishing = finishing_of(arguments, samples, audio.CEILINGS[target.file_format])
    delivery = Delivery(target, finishing, plan_assets(arguments, target), clips)

    from woosh.embeddings.prompt_check import load_prompt_ear
    from woosh.generation.loading import load_model
    from woosh.generation.records import full_record

    sampler = load_model(info, arguments.device, arguments.dtype, offload=arguments.offload)
    _add_loras(sampler, arguments.lora)
    records = [
        full_record(request, info, sampler) | record
        for request, record in zip(requests, records, strict=True)
    ]
    ear = None if arguments.quiet else load_prompt_ear()
    judge = load_judge_for(arguments.best_of)
    target.folder.mkdir(exist_ok=True)
    silences = Silences()
    for index, (request, record) in enumerate(zip(requests, records, strict=True)):
        prompt = prompts[index // arguments.count]
        if arguments.resume and (path := delivery.made(record, index, arguments.best_of)):
            print(f"{path}  already made  seed {audio.read_metadata(path)['seed']}", flush=True)
            continue
        drawn, source = replace(request, sounds_per_prompt=arguments.best_of), sources[index]
        start = None if source is None else source.start(sampler, drawn)
        choose = (
            None if judge is None else judge.chooser(judge.wish_of_words(prompt), info.sample_rate)
        )
        with silences.kept():
            take = draw_take(sampler, drawn, start, choose)
            path = delivery.deliver(take, info.sample_rate, record, index)
            if ear is not None:
                _note_misheard(ear, prompt, path, take.sound, info.sample_rate)
    silences.raise_any()


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

    file = loras[0][0]
    base = read_lora(file)[1].base
    try:
        catalogue.find_model(base)
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(
            f"{file} was trained beside {shown(base)}, which is not here: add --model with its name or folder"
        ) from error
    return base


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
