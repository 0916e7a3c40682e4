"""`woosh export`: a generator -> a folder of ONNX graphs."""

from __future__ import annotations

import argparse
from pathlib import Path

from woosh import catalogue
from woosh.commands.options import explain

EXAMPLES = """\
examples:
  woosh export woosh-tiny-fast graphs/
  woosh export models/woosh-flow graphs/

Needs pip install "woosh-sfx[onnx]". docs/onnx.md tells how another program makes sounds with the graphs, and
`woosh generate --model graphs/` does so too.
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Write a generator as a folder of ONNX graphs, with a description that other programs read.",
        examples=EXAMPLES,
    )
    add_places(parser)


def add_places(parser: argparse.ArgumentParser) -> None:
    """Add the model and the folder."""
    add = parser.add_argument
    add("model", metavar="NAME|DIR", help="a built-in model or a model folder")
    add("target", type=Path, metavar="OUT", help="folder to write; must not exist yet")


def run(arguments: argparse.Namespace) -> None:
    """`woosh export`."""
    write_graphs(arguments.model, arguments.target, int8=False)


def write_graphs(model: str, target: Path, *, int8: bool) -> None:
    """Check, export, and print the folder.

    Raises:
        FileExistsError: the folder is there.
        FileNotFoundError: no such model.
        ValueError: a model that cannot be exported.
    """
    info = catalogue.describe_model(catalogue.find_model(model))
    if info.graphs:
        raise ValueError(
            f"{info.folder} holds graphs already: name the model that they were made of"
        )
    if target.exists():
        raise FileExistsError(f"{target} exists: name a new folder")
    from woosh.conversion.model_graphs import export_model
    from woosh.generation.loading import quiet_libraries

    quiet_libraries()
    export_model(info, target, int8=int8)
    print(target)
