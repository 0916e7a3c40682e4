"""The command `woosh`, and how its commands answer and fail.

Everything that can be checked without the model is checked before it is loaded, and torch is
imported only by then: `woosh --help` and every refusal answer at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from woosh import __version__
from woosh.commands import (
    convert,
    data,
    dub,
    evaluate,
    generate,
    index,
    models,
    reconstruct,
    search,
    tag,
)

COMMANDS = (generate, dub, models, reconstruct, index, search, tag, evaluate, data, convert)
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

`woosh COMMAND --help` tells the options of a command.
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, printed by `main` like every other refusal."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 on success, 2 after bad input, 1 after another failure, 130 after Ctrl-C.
    """
    try:
        arguments = build_parser().parse_args(argv)
        arguments.run(arguments)
    except (ValueError, OSError) as error:
        return _fail(error, 2)
    except (RuntimeError, MemoryError, ImportError) as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        print("woosh: interrupted", file=sys.stderr)
        return 130
    return 0


def _fail(error: BaseException, code: int) -> int:
    """Print an error as one line, whatever the number of lines in its message."""
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"woosh: error: {text}", file=sys.stderr)
    return code


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
