"""The command `woosh`, and how its commands answer and fail.

Everything that can be checked without the model is checked before it is loaded, and torch is
imported only by then: `woosh --help` and every refusal answer at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from woosh import __version__
from woosh.command_line import Parser, own_process, run_to_exit_code
from woosh.commands import (
    batch,
    convert,
    data,
    dub,
    edit,
    engines,
    evaluate,
    export,
    export_tagger,
    extend,
    generate,
    index,
    layer,
    loop,
    mcp,
    models,
    morph,
    optimise,
    reconstruct,
    search,
    serve,
    tag,
    vary,
    verify,
    worldise,
)

COMMANDS = (
    generate,
    vary,
    morph,
    batch,
    engines,
    layer,
    dub,
    edit,
    extend,
    loop,
    models,
    reconstruct,
    worldise,
    index,
    search,
    serve,
    tag,
    verify,
    evaluate,
    data,
    convert,
    export,
    optimise,
    export_tagger,
    mcp,
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

    def run() -> None:
        arguments = build_parser().parse_args(argv)
        own_process()
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
