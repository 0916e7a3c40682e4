"""The command line of a recipe: a YAML file, fields that override it, and errors in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from woosh.command_line import Parser, run_to_exit_code
from woosh.training.config import load_config, plain_values
from woosh.training.outputs import leaving_nothing

Config = TypeVar("Config")


def run_recipe(
    main: Callable[[Config], object],
    cls: type[Config],
    description: str | None,
    argv: Sequence[str] | None = None,
) -> int:
    """Read a recipe's configuration from the command line and run the recipe with it.

    Args:
        main: the recipe.
        cls: its configuration, see `load_config`; its `output` names the folder that the recipe fills.
        description: shown by --help.
        argv: the arguments; those of the process by default.

    Returns:
        An exit code of `run_to_exit_code`.
    """

    def run() -> None:
        parser = Parser(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("config", type=Path, help="YAML file, one of configs/")
        parser.add_argument(
            "overrides", nargs="*", metavar="name=value", help="fields that override the file's"
        )
        arguments = parser.parse_args(argv)
        config = load_config(cls, arguments.config, arguments.overrides)
        with leaving_nothing(Path(plain_values(config)["output"])):
            main(config)

    return run_to_exit_code(Path(sys.argv[0]).stem, run)
