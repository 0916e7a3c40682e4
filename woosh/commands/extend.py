"""`woosh extend`: sounds made longer."""

from __future__ import annotations

import argparse
from pathlib import Path

from woosh import catalogue
from woosh.commands.delivery import Silences
from woosh.commands.options import explain, number, seeds_of
from woosh.commands.revisions import (
    add_revision_options,
    plan_revisions,
    request_for,
    told_prompt,
)
from woosh.studio.originals import read_original, record_of

EXAMPLES = """\
examples:
  woosh extend rain.wav --seconds 30 -o long-rain.wav
  woosh extend thunder.wav --seconds 8 --before                  what comes first
  woosh extend street.flac --seconds 20 --prompt "city traffic" -n 4 -o takes/
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Make a sound longer: what is new goes on in its character. What is there stays as it is, up to a "
        "fade of 30 ms; the file keeps its sample rate and its channels.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add("source", type=Path, metavar="FILE", help="the sound")
    add(
        "--seconds",
        type=number(0, open_low=True),
        required=True,
        metavar="S",
        help="length of the result, up to 600",
    )
    add("--before", action="store_true", help="put what is new in front of the sound")
    add(
        "--prompt",
        metavar="TEXT",
        help="what to hear (default: the prompt that the file itself names, if any)",
    )
    add_revision_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """`woosh extend`: check, load, then make and write take by take."""
    info = catalogue.describe_model(catalogue.find_model(arguments.model))
    original = read_original(arguments.source)
    if arguments.seconds <= original.seconds:
        raise ValueError(
            f"{original.path} has {original.seconds:g} s already, and --seconds is the length of the result: ask for more"
        )
    prompt = told_prompt(original.path, arguments.prompt)
    seeds = seeds_of(arguments, arguments.count)
    requests = [request_for(prompt, arguments.seconds, seed, arguments, info) for seed in seeds]
    facts = {"extended": original.path.name}
    records = [record_of(original.path, "extend", request, info, **facts) for request in requests]
    delivery = plan_revisions(arguments, len(seeds), f"{original.path.stem}-extended")

    from woosh.generation.loading import load_model
    from woosh.generation.records import full_record
    from woosh.studio.extend import draw_extension

    sampler = load_model(info, arguments.device, arguments.dtype)
    silences, sound, rate = Silences(), original.audio, original.sample_rate
    for index, (request, asked) in enumerate(zip(requests, records, strict=True)):
        record = full_record(request, info, sampler) | asked
        with silences.kept():
            take = draw_extension(sampler, sound, rate, request, arguments.before)
            delivery.deliver(take, rate, record, index)
    silences.raise_any()
