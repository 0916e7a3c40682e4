"""`woosh morph`: sounds between two."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from woosh import audio, catalogue
from woosh.commands.assets import add_asset_options
from woosh.commands.finishing import add_level_option, add_stereo_option
from woosh.commands.options import (
    add_dtype_option,
    add_model_options,
    add_seed_option,
    explain,
    first_seed,
    number,
    whole_number,
)
from woosh.commands.revisions import plan_revisions
from woosh.generation.request import Request, clean_text
from woosh.studio.finishing import check_record
from woosh.studio.originals import guidance_for, read_source

MOST_STEPS = 1000
EXAMPLES = """\
examples:
  woosh morph wind.wav sea.wav --steps 5 -o between/
  woosh morph growl.wav engine.wav --steps 9 --strength 0.8 -o between/
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Make sounds that lead from one to another. The first and the last are the two themselves, as the "
        "model's autoencoder gives them. All are as long as the longer one, and in mono.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add("first", type=Path, metavar="A", help="an audio file")
    add("second", type=Path, metavar="B", help="another")
    add(
        "-o",
        "--output",
        metavar="DIR",
        help="a folder, or a file's name, which is numbered; default: this folder, A-to-B. Nothing is overwritten",
    )
    add(
        "--steps",
        dest="count",
        type=whole_number(2, MOST_STEPS),
        default=5,
        metavar="N",
        help="sounds, A and B among them (default 5)",
    )
    add(
        "--strength",
        type=number(0, 1),
        default=0.6,
        metavar="S",
        help="how much is drawn anew in the middle, from 0, the mixture alone, to 1 (default 0.6)",
    )
    add("--prompt", metavar="TEXT", help="what to hear between them (default: no words)")
    add_seed_option(parser)
    add_dtype_option(parser)
    add_level_option(parser)
    add_stereo_option(parser)
    add_model_options(parser)
    add_asset_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """`woosh morph`: check, load, then morph and write sound by sound."""
    info = catalogue.describe_model(catalogue.find_model(arguments.model))
    paths = (arguments.first, arguments.second)
    first, second = (read_source(path, info.sample_rate) for path in paths)
    prompt = "" if arguments.prompt is None else clean_text(arguments.prompt, "prompt")
    length = max(first.shape[1], second.shape[1])
    request = Request(
        prompt=prompt,
        seconds=length / info.sample_rate,
        guidance_scale=guidance_for(prompt, None, info),
        seed=first_seed(arguments),
    )
    request.check(info)
    shares = np.linspace(0, 1, arguments.count)
    used = {"from": paths[0].name, "to": paths[1].name, "strength": arguments.strength}
    records = [
        request.record(info.name) | used | {"share": round(share, 4)} for share in shares.tolist()
    ]
    for record in records:
        check_record(record)
    stem = audio.file_stem(f"{paths[0].stem} to {paths[1].stem}")
    delivery = plan_revisions(arguments, arguments.count, stem)

    from woosh.generation.loading import load_model
    from woosh.generation.records import full_record
    from woosh.studio.morphing import morph

    sampler = load_model(info, arguments.device, arguments.dtype)
    made = morph(sampler, (first, second), request, shares, arguments.strength)
    whole = full_record(request, info, sampler)
    for index, (take, record) in enumerate(zip(made, records, strict=True)):
        delivery.deliver(take, info.sample_rate, whole | record, index)
