"""`woosh index`: embed a folder of sounds, to be searched."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from woosh import catalogue
from woosh.commands.options import (
    add_device_option,
    add_engine_options,
    count_up_to,
    explain,
    on_ray,
)
from woosh.commands.outputs import check_writable
from woosh.outside_files import check_name, expanded, printable
from woosh.progress import progress_on_terminals

if TYPE_CHECKING:
    from woosh.search.hearing import HeardFile, Hearing, Listening

MAX_READERS = 256
PROBLEMS_SHOWN = 10
EXAMPLES = """\
examples:
  woosh index ~/sounds
  woosh index ~/sounds -o sounds.index
  woosh index /shared/sounds --engine ray              heard by all machines of a Ray cluster, which reach the folder
  woosh search "glass breaking" --index ~/sounds

Run it again after a change or an interruption: only what is new is heard.
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Hear every sound below a folder once (its first minute) and remember how it "
        "sounds, for `woosh search`.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="folder of sounds, with all folders below it")
    add(
        "-o",
        "--output",
        type=Path,
        metavar="INDEX",
        help="folder of the index (default: .woosh-index in DIR)",
    )
    add(
        "--readers",
        type=count_up_to(MAX_READERS),
        default=4,
        metavar="N",
        help="files that are read at the same time (default 4)",
    )
    add(
        "--model",
        default=catalogue.DEFAULT_ALIGNER,
        metavar="NAME|DIR",
        help=f"a built-in aligner, an aligner's folder, or laion-clap[:NAME|DIR] (default {catalogue.DEFAULT_ALIGNER})",
    )
    add_engine_options(parser)
    add_device_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """Check, load, listen, say what was done."""
    folder = expanded(arguments.folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    from woosh.search.index import FOLDER_NAME

    place = expanded(arguments.output) if arguments.output else folder / FOLDER_NAME
    if place.exists() and not place.is_dir():
        raise NotADirectoryError(f"{place} exists and is not a folder: name another with -o")
    check_name(place)
    check_writable(place if place.exists() else place.parent)
    model = arguments.model
    if expanded(model).is_dir() and not catalogue.is_built_in(model):
        model = str(expanded(model).resolve())

    from woosh.generation.loading import choose_device, quiet_libraries

    device = choose_device(arguments.device)
    quiet_libraries()
    from woosh.embeddings.embedders import load_embedder
    from woosh.search.hearing import by_threads
    from woosh.search.update import update_index

    hearing = by_threads(arguments.readers)
    if on_ray(arguments):
        hearing = _on_ray(model, device.type, arguments.workers)

    report = update_index(
        folder,
        place,
        load_embedder(model, device),
        model,
        hearing,
        progress_on_terminals,
    )
    print(
        f"{printable(str(place))}  {report.sounds} sounds: {report.embedded} heard, {report.reused} known under "
        f"another name, {report.unchanged} unchanged, {report.removed} removed"
    )
    problems = list(report.problems.items())
    for path, reason in problems[:PROBLEMS_SHOWN]:
        print(f"woosh: warning: not heard: {printable(f'{path}: {reason}')}", file=sys.stderr)
    if len(problems) > PROBLEMS_SHOWN:
        print(f"woosh: warning: and {len(problems) - PROBLEMS_SHOWN} other files", file=sys.stderr)


def _on_ray(model: str, device: str, workers: int | None) -> Hearing:
    """What hears files on all machines of a cluster; each of them reaches the folder at the same path."""
    from woosh.cluster import spread
    from woosh.search.hearing import HeardFile, load_hearing

    def hear(listening: Listening) -> Iterator[HeardFile]:
        folder = listening.folder.resolve()
        load = partial(load_hearing, folder, model, device, listening.contents)
        found = spread(load, listening.files, workers)
        for file, heard in zip(listening.files, found, strict=True):
            if isinstance(heard, Exception):
                yield HeardFile(file, "", problem=str(heard))
            else:
                yield heard

    return hear
