"""The command `woosh`, and how its commands answer and fail.

Everything that can be checked without the model is checked before it is loaded, and torch is
imported only by then: `woosh --help` and every refusal answer at once. Only the command that is
asked for is imported.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from woosh import __version__
from woosh.command_line import Parser, own_process, run_to_exit_code

COMMANDS = (  # each in a file of its name below `woosh.commands`
    "generate",
    "vary",
    "morph",
    "batch",
    "engines",
    "layer",
    "dub",
    "edit",
    "extend",
    "loop",
    "models",
    "reconstruct",
    "worldise",
    "index",
    "search",
    "serve",
    "tag",
    "verify",
    "evaluate",
    "data",
    "convert",
    "export",
    "optimise",
    "export-tagger",
    "mcp",
)
EXAMPLES = """\
examples:
  woosh generate "a dog barking" -o dog.wav
  woosh vary door.wav -n 8 -o doors/
  woosh morph wind.wav sea.wav --steps 5 -o between/
  woosh batch sounds.csv -o assets/
  woosh engines godot assets/
  woosh layer "0.5 s a door creaks; 2 s steps on wood" -o scene.wav
  woosh dub clip.mp4 -o with-sound.mp4
  woosh edit rain.wav "thunder" --from 2 --to 4.5
  woosh extend rain.wav --seconds 30
  woosh loop "wind in trees" --seconds 20 -o wind.wav
  woosh models
  woosh reconstruct recording.wav through-the-autoencoder.wav
  woosh worldise voice.wav --through telephone
  woosh index sounds/
  woosh search "glass breaking" --index sounds/
  woosh tag recording.wav
  woosh serve
  woosh verify dog.wav
  woosh evaluate autoencoder --audio recordings/
  woosh convert checkpoints/Woosh-Flow models/woosh-flow
  woosh export woosh-tiny-fast graphs/
  woosh optimise woosh-small quick/ --int8
  woosh export-tagger mn04_as_mAP_432.pt mn04.onnx
  woosh mcp --output sounds/

`woosh COMMAND --help` tells the options of a command.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit codes are those of `run_to_exit_code`."""
    words = sys.argv[1:] if argv is None else argv
    named = [word for word in words[:1] if word in COMMANDS]

    def run() -> None:
        arguments = build_parser(named or COMMANDS).parse_args(words)
        own_process()
        arguments.run(arguments)

    return run_to_exit_code("woosh", run)


def build_parser(named: Sequence[str] = COMMANDS) -> Parser:
    """Build the parser of `woosh` and of some of its commands."""
    parser = Parser(
        prog="woosh",
        description="Sound effects from text and video, offline.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"woosh {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in named:
        import_module(f"woosh.commands.{command.replace('-', '_')}").add_to(commands)
    return parser
