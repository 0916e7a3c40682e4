"""The command `woosh`, and how its commands answer and fail.

Everything that can be checked without the model is checked before it is loaded, and torch is
imported only by then: `woosh --help` and every refusal answer at once. Only the command that is
called is imported: what the list says of all of them stands here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

from woosh import __version__
from woosh.command_line import Parser, own_process, run_to_exit_code

COMMANDS = {  # each in a file of its name below `woosh.commands`; what the list says of it stands here alone
    "generate": "generate sounds from prompts",
    "vary": "make variations of a sound",
    "morph": "make sounds between two sounds",
    "batch": "make a folder of assets from a sheet",
    "engines": "write what a game engine needs to take in a folder of assets",
    "layer": "mix generated and own sounds on a timeline",
    "dub": "make the sound of a video",
    "edit": "make parts of a sound anew",
    "extend": "make a sound longer",
    "loop": "make sounds that play around without a seam",
    "models": "list the built-in models",
    "reconstruct": "pass audio through the autoencoder",
    "worldise": "put a sound into a device, a wall or a room",
    "index": "embed a folder of sounds, to be searched",
    "search": "find sounds by words or by example",
    "serve": "answer over HTTP what the commands do",
    "tag": "name what is heard in files",
    "verify": "tell what a file says of itself, and whether it was changed",
    "evaluate": "measure generated sounds or an autoencoder",
    "data": "prepare recordings for training",
    "convert": "convert a released checkpoint",
    "export": "write a model as ONNX graphs",
    "optimise": "make a model quicker on processors",
    "export-tagger": "write a tagger as an ONNX file",
    "mcp": "serve agents over the Model Context Protocol",
}
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


class Command(Parser):
    """The parser of a command, whose module is imported once the command is called.

    Args:
        module: that fills it.
        settings: of `argparse.ArgumentParser`.
    """

    def __init__(self, module: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._module: str | None = module

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """What argparse calls with the words after the command's name."""
        if self._module is not None:
            module, self._module = self._module, None
            import_module(module).fill(self)
        return super().parse_known_args(args, namespace)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit codes are those of `run_to_exit_code`."""
    words = sys.argv[1:] if argv is None else argv
    named = [word for word in words[:1] if word in COMMANDS]  # the others cost milliseconds

    def run() -> None:
        arguments = build_parser(named or COMMANDS).parse_args(words)
        own_process()
        arguments.run(arguments)

    return run_to_exit_code("woosh", run)


def build_parser(named: Iterable[str] = COMMANDS) -> Parser:
    """Build the parser of `woosh` and of some of its commands, of which it knows no more than the list says."""
    parser = Parser(
        prog="woosh",
        description="Sound effects from text and video, offline.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"woosh {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Command)
    for name in named:
        module = f"woosh.commands.{name.replace('-', '_')}"
        commands.add_parser(name, help=COMMANDS[name], module=module)
    return parser
