"""`woosh optimise`: a generator -> graphs that a processor computes more quickly."""

from __future__ import annotations

import argparse

from woosh.commands.export import add_places, write_graphs
from woosh.commands.options import explain

EXAMPLES = """\
examples:
  woosh optimise woosh-small quick/ --int8
  woosh generate "rain" --model quick/

Needs pip install "woosh-sfx[onnx]". docs/performance.md tells what it gains and what it costs.
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Write a generator as ONNX graphs that a processor computes more quickly. Sounds differ a little "
        "from those of the model itself.",
        examples=EXAMPLES,
    )
    add_places(parser)
    parser.add_argument(
        "--int8",
        action="store_true",
        required=True,
        help="multiply in whole numbers of eight bits",
    )


def run(arguments: argparse.Namespace) -> None:
    """`woosh optimise`."""
    write_graphs(arguments.model, arguments.target, int8=arguments.int8)
