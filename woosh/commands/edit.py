"""`woosh edit`: parts of a sound made anew."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from woosh import catalogue
from woosh.commands.delivery import Silences
from woosh.commands.options import explain, number, seeds_of
from woosh.commands.revisions import (
    add_revision_options,
    plan_revisions,
    request_for,
)
from woosh.generation.request import clean_text
from woosh.studio.originals import read_original, record_of
from woosh.studio.places import Region, places_of

EXAMPLES = """\
examples:
  woosh edit rain.wav "thunder" --from 2 --to 4.5 -o storm.wav
  woosh edit walk.wav "footsteps on gravel" --from 1 --to 2 --from 6 --to 7.5
  woosh edit engine.wav "a tractor engine" --strength 0.6           the whole file, changed
  woosh edit door.wav "a door creaks" --from 0.5 --to 1.2 -n 4 -o takes/
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Make parts of a sound anew, or change all of it. What lies outside of the parts stays as it is, up "
        "to fades of 30 ms; the file keeps its sample rate and its channels.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add("source", type=Path, metavar="FILE", help="the sound")
    add("prompt", metavar="PROMPT", help="what to hear there")
    add(
        "--from",
        dest="starts",
        action="append",
        default=[],
        type=number(0),
        metavar="S",
        help="second at which a part begins; several --from and --to make several parts",
    )
    add(
        "--to",
        dest="stops",
        action="append",
        default=[],
        type=number(0, open_low=True),
        metavar="S",
        help="second at which it ends",
    )
    add(
        "--strength",
        type=number(0, 1),
        metavar="X",
        help="how much of what was there goes: 0 leaves the part as the autoencoder gives it, 1 makes all of it anew "
        "(default 1; needed to change a whole file)",
    )
    add_revision_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """`woosh edit`: check, load, then make and write take by take."""
    prompt = clean_text(arguments.prompt, "prompt")
    starts, stops = arguments.starts, arguments.stops
    if len(starts) != len(stops):
        raise ValueError(f"{len(starts)} --from and {len(stops)} --to: every part has one of each")
    if not starts and arguments.strength is None:
        raise ValueError(
            "say which part with --from and --to, or how much of the whole file with --strength"
        )
    info = catalogue.describe_model(catalogue.find_model(arguments.model))
    original = read_original(arguments.source)
    regions = [Region(*part) for part in zip(starts, stops, strict=True)]
    places_of(regions, original.audio.shape[1], original.sample_rate)
    strength = 1.0 if arguments.strength is None else arguments.strength
    facts: dict[str, str | float] = {"edited": original.path.name, "strength": strength}
    if regions:
        facts["parts"] = " ".join(f"{start:g}-{stop:g}" for start, stop in regions)
    seeds = seeds_of(arguments, arguments.count)
    requests = [request_for(prompt, original.seconds, seed, arguments, info) for seed in seeds]
    records = [record_of(original.path, "edit", request, info, **facts) for request in requests]
    delivery = plan_revisions(arguments, len(seeds), f"{original.path.stem}-edited")
    if info.few_step and regions and strength == 1:
        print(
            f"woosh: note: {info.name} makes a part in a few steps and hardly follows what is around it: "
            f"{catalogue.DEFAULT_MODEL} does, or a --strength below 1",
            file=sys.stderr,
        )

    from woosh.generation.loading import load_model
    from woosh.generation.records import full_record
    from woosh.studio.edit import draw_edit

    sampler = load_model(info, arguments.device, arguments.dtype)
    silences, sound, rate = Silences(), original.audio, original.sample_rate
    for index, (request, asked) in enumerate(zip(requests, records, strict=True)):
        record = full_record(request, info, sampler) | asked
        with silences.kept():
            take = draw_edit(sampler, sound, rate, request, regions, strength)
            delivery.deliver(take, rate, record, index)
    silences.raise_any()
