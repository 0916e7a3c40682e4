"""`woosh vary`: cousins of a sound."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from woosh import audio, catalogue
from woosh.commands.assets import add_asset_options
from woosh.commands.delivery import Silences
from woosh.commands.finishing import add_level_option, add_stereo_option
from woosh.commands.options import (
    add_best_of_option,
    add_model_options,
    add_request_options,
    check_drawn,
    explain,
    number,
    seeds_of,
)
from woosh.commands.revisions import plan_revisions
from woosh.commands.sources import load_judge_for
from woosh.generation.request import Request, clean_text
from woosh.studio.originals import guidance_for, prompt_for, read_source, record_of

EXAMPLES = """\
examples:
  woosh vary door.wav -n 8 -o doors/                 eight cousins of a door
  woosh vary door.wav -n 8 --similarity 0.9 -o doors/
  woosh vary steps.flac --prompt "footsteps on snow" --similarity 0.4
  woosh vary door.wav -n 4 --best-of 4 -o doors/     of four each, the most alike
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Make variations of a sound of up to 600 s: as long and as loud, in mono or, with --stereo, in two "
        "channels with width. Up to a similarity of 0.7, a variation that is too near to one before it is drawn again, with "
        "the seeds N + 10,000, N + 20,000 and N + 30,000; no more are drawn again than are asked for.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add("source", type=Path, metavar="FILE", help="an audio file of any rate and channels")
    add(
        "-o",
        "--output",
        metavar="FILE|DIR",
        help="a file for a single variation, or a folder; default: this folder, FILE-variation. A file that you name "
        "is overwritten; names made here never overwrite anything",
    )
    add(
        "--similarity",
        type=number(0, 1),
        default=0.7,
        metavar="S",
        help="from 0, another sound, to 1, the sound itself (default 0.7)",
    )
    add(
        "--prompt",
        metavar="TEXT",
        help="what to hear (default: what FILE says it was made from, or else no words)",
    )
    add_request_options(parser)
    add_best_of_option(parser)
    add_level_option(parser)
    add_stereo_option(parser)
    add_model_options(parser)
    add_asset_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """`woosh vary`: check, load, then vary and write take by take."""
    check_drawn(arguments.count, arguments.best_of)
    if arguments.similarity == 1 and arguments.count * arguments.best_of > 1:
        raise ValueError(
            "with --similarity 1 every take is the sound itself: ask for one, or for less similarity"
        )
    info = catalogue.describe_model(catalogue.find_model(arguments.model))
    source = arguments.source
    sound = read_source(source, info.sample_rate)
    prompt = prompt_for(source, arguments.prompt)
    clips = arguments.count
    seeds = seeds_of(arguments, clips, arguments.best_of)
    seconds = sound.shape[1] / info.sample_rate
    requests = [_request(prompt, seconds, seed, info, arguments) for seed in seeds]
    used = {"from": source.name, "similarity": arguments.similarity}
    records = [record_of(source, "vary", request, info, **used) for request in requests]
    for request in requests:
        request.check(info)
    stem = f"{audio.file_stem(source.stem)}-variation"
    delivery = plan_revisions(arguments, clips, stem)

    from woosh.generation.loading import load_model
    from woosh.generation.records import full_record
    from woosh.studio.variations import draw_variation, spacing_of

    sampler = load_model(info, arguments.device, arguments.dtype)
    judge = load_judge_for(arguments.best_of)
    choose, rate = None, info.sample_rate
    if judge is not None:
        choose = judge.chooser(judge.wish_of_sound(sound, rate), rate)
    silences, spacing = Silences(), spacing_of(sound, arguments.similarity, rate)
    for index, (request, record) in enumerate(zip(requests, records, strict=True)):
        drawn = replace(request, sounds_per_prompt=arguments.best_of)
        whole = full_record(request, info, sampler) | record
        with silences.kept():
            take = draw_variation(sampler, sound, drawn, arguments.similarity, choose, spacing)
            delivery.deliver(take, rate, whole, index)
    if spacing is not None and spacing.near:
        print(
            f"woosh: note: {spacing.near} of {clips} variations are nearer to one before them than takes of one "
            "recording mostly are: with less --similarity they differ more",
            file=sys.stderr,
        )
    silences.raise_any()


def _request(
    prompt: str,
    seconds: float,
    seed: int,
    info: catalogue.ModelInfo,
    arguments: argparse.Namespace,
) -> Request:
    negative, guidance = arguments.negative, arguments.guidance
    if negative is not None:
        negative = clean_text(negative, "negative prompt")
    return Request(
        prompt=prompt,
        negative_prompt=negative,
        seconds=seconds,
        steps=arguments.steps,
        guidance_scale=guidance_for(prompt, negative, info) if guidance is None else guidance,
        seed=seed,
    )
