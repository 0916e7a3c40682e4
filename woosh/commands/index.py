"""`woosh index`: embed a folder of sounds, to be searched."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from woosh import catalogue
from woosh.commands.options import Commands, add_command, add_device_option, count_up_to
from woosh.commands.outputs import check_writable
from woosh.outside_files import check_name, expanded, printable
from woosh.progress import progress_on_terminals

MAX_READERS = 256
PROBLEMS_SHOWN = 10
EXAMPLES = """\
examples:
  woosh index ~/sounds
  woosh index ~/sounds -o sounds.index
  woosh search "glass breaking" --index ~/sounds

Run it again after a change or an interruption: only what is new is heard.
"""


def add_to(commands: Commands) -> None:
    """Add the command to `woosh`."""
    parser = add_command(
        commands,
        "index",
        run,
        brief="embed a folder of sounds, to be searched",
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
    from woosh.search.update import update_index

    report = update_index(
        folder,
        place,
        load_embedder(model, device),
        model,
        arguments.readers,
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
