"""`woosh mcp`: a server for agents, over the Model Context Protocol."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from woosh import catalogue
from woosh.command_line import Ended
from woosh.commands.options import (
    add_model_options,
    count_up_to,
    explain,
    number,
)
from woosh.commands.outputs import check_writable
from woosh.outside_files import expanded

MOST_SOUNDS = 100  # of a call, whatever --most says
EXAMPLES = """\
examples:
  woosh mcp --output sounds/
  woosh mcp --output sounds/ --allow ~/recordings --index ~/library
  woosh mcp --output sounds/ --model woosh-tiny-fast --longest 20 --most 4

A client starts this command and talks with it over its standard input and output. docs/mcp.md has the lines for common clients.
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Serve agents over the Model Context Protocol, on the standard input and output: generate, vary, "
        "loop, edit, dub, search, tag, models. Offline; needs the extra `mcp`.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add(
        "-o",
        "--output",
        required=True,
        metavar="DIR",
        help="folder of what is made; nothing is written anywhere else",
    )
    add(
        "--allow",
        action="append",
        default=[],
        metavar="DIR",
        help="folder whose files may be read, with all below it; several may be named (default: the current one). "
        "The folder of what is made may always be read",
    )
    add(
        "--index",
        metavar="INDEX",
        help="library to search, as of `woosh index`; its folder may be read",
    )
    add(
        "--longest",
        type=number(0, catalogue.LONGEST_SECONDS, open_low=True),
        default=60.0,
        metavar="S",
        help="seconds of a sound or a video, at most (default 60)",
    )
    add(
        "--most",
        type=count_up_to(MOST_SOUNDS),
        default=8,
        metavar="N",
        help="sounds of one call, at most (default 8)",
    )
    add(
        "--video-model",
        default=catalogue.DEFAULT_VIDEO_MODEL,
        metavar="NAME|DIR",
        help=f"a model that sees (default {catalogue.DEFAULT_VIDEO_MODEL})",
    )
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """`woosh mcp`: check the folders and models, then serve; models are loaded when they are first needed."""
    output = expanded(arguments.output)
    if output.exists() and not output.is_dir():
        raise NotADirectoryError(f"{output} exists and is not a folder")
    check_writable(output if output.exists() else output.parent)
    index = None if arguments.index is None else expanded(arguments.index)
    named = [expanded(name) for name in arguments.allow] or [Path.cwd()]
    if index is not None:
        from woosh.search.index import open_index

        open_index(index)
        named.append(index)
    for folder in named:
        if not folder.is_dir():
            raise FileNotFoundError(
                f"no folder {folder}: files are read below folders that are there"
            )
    words = catalogue.describe_model(catalogue.find_model(arguments.model))
    pictures = catalogue.describe_model(catalogue.find_model(arguments.video_model))
    output.mkdir(exist_ok=True)

    from woosh.agents.equipment import Choice, Equipment
    from woosh.agents.places import Places
    from woosh.agents.server import serve
    from woosh.agents.tools import Tools

    places = Places(output.resolve(), tuple(folder.resolve() for folder in (output, *named)))
    choice = Choice(
        places, words, pictures, index, arguments.longest, arguments.most, arguments.device
    )
    print(f"woosh: serving agents; files go to {places.output}", file=sys.stderr)
    try:
        serve(Tools(Equipment(choice)))
    except (Ended, KeyboardInterrupt) as ended:
        # All is tidied up, but a thread still waits for the client's next line, and the interpreter would wait for it.
        number = ended.number if isinstance(ended, Ended) else signal.SIGINT
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
