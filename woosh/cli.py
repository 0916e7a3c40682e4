"""The command `woosh`, and how its commands answer and fail.

Everything that can be checked without the model is checked before it is loaded, and torch is
imported only by then: `woosh --help` and every refusal answer at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from woosh import __version__
from woosh.command_line import Parser, run_to_exit_code
from woosh.commands import (
    convert,
    data,
    dub,
    evaluate,
    export_tagger,
    generate,
    index,
    models,
    reconstruct,
    search,
    tag,
)

COMMANDS = (
    generate,
    dub,
    models,
    reconstruct,
    index,
    search,
    tag,
    evaluate,
    data,
    convert,
    export_tagger,
)
EXAMPLES = """\
examples:
  woosh generate "a dog barking" -o dog.wav
  woosh dub clip.mp4 -o with-sound.mp4
  woosh models
  woosh reconstruct recording.wav through-the-autoencoder.wav
  woosh index sounds/
  woosh search "glass breaking" --index sounds/
  woosh tag recording.wav
  woosh evaluate autoencoder --audio recordings/
  woosh convert checkpoints/Woosh-Flow models/woosh-flow
  woosh export-tagger mn04_as_mAP_432.pt mn04.onnx

`woosh COMMAND --help` tells the options of a command.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit codes are those of `run_to_exit_code`."""

    def run() -> None:
        arguments = build_parser().parse_args(argv)
        arguments.run(arguments)

    return run_to_exit_code("woosh", run)


def build_parser() -> Parser:
    """Build the parser of `woosh` and its commands."""
    parser = Parser(
        prog="woosh",
        description="Sound effects from text and video, offline.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"woosh {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_to(commands)
    return parser
