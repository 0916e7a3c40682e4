"""`woosh convert`: a released checkpoint -> a model folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from woosh.commands.options import explain


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Convert a released checkpoint folder (config.yaml and weights.safetensors) "
        "into a model folder.",
    )
    add = parser.add_argument
    add("source", type=Path, metavar="RELEASED_DIR", help="folder of the released checkpoint")
    add("target", type=Path, metavar="OUT_DIR", help="model folder to write; must not exist yet")
    add(
        "--tokenizer",
        metavar="DIR",
        help="folder of the RoBERTa tokenizer (default: fetched from the hub by name)",
    )


def run(arguments: argparse.Namespace) -> None:
    """`woosh convert`: released folder -> model folder."""
    if not arguments.source.is_dir():
        raise FileNotFoundError(f"no released checkpoint folder at {arguments.source}")
    from woosh.conversion.convert import convert

    convert(arguments.source, arguments.target, tokenizer=arguments.tokenizer)
    print(arguments.target)
