"""What the commands share: what their help says, options and the numbers in them."""

from __future__ import annotations

import argparse
import math
import re
import secrets
from collections.abc import Callable

from woosh import catalogue
from woosh.generation.request import LARGEST_GUIDANCE
from woosh.studio.seeds import LARGEST_SEED, MOST_TAKES

MOST_WORKERS = 10_000  # of a cluster
MAX_DRAWN = 100  # for one sound, at once
WHOLE_NUMBER = re.compile(r"[+-]?\d{1,100}")  # Python refuses to read thousands of digits


def number(low: float, high: float = math.inf, open_low: bool = False) -> Callable[[str], float]:
    """Return the argument type of finite numbers in [low, high], or (low, high] if `open_low`."""

    def parse(text: str) -> float:
        bounds = f"above {low:g}" if open_low else f"at least {low:g}"
        if high < math.inf:
            bounds = f"between {low:g} and {high:g}"
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        inside = low < value <= high if open_low else low <= value <= high
        if not (math.isfinite(value) and inside):
            raise argparse.ArgumentTypeError(f"must be a number {bounds}, not {text!r}")
        return value

    return parse


def _whole(text: str, low: int, high: int) -> int:
    value = int(text) if WHOLE_NUMBER.fullmatch(text.strip()) else low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(
            f"must be a whole number from {low} to {high}, not {text!r}"
        )
    return value


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Return the argument type of whole numbers from `low` to `high`."""
    return lambda text: _whole(text, low, high)


def count_up_to(high: int) -> Callable[[str], int]:
    """Return the argument type of whole numbers from 1 to `high`."""
    return whole_number(1, high)


def seed_number(text: str) -> int:
    """The argument type of seeds."""
    return _whole(text, 0, LARGEST_SEED)


def explain(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], None] | None = None,
    *,
    description: str,
    examples: str | None = None,
) -> None:
    """Give a command's parser what its help says, and what it calls with its arguments: None where a word after it decides."""
    parser.description, parser.epilog = description, examples
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    if run is not None:
        parser.set_defaults(run=run)


def add_model_options(
    parser: argparse.ArgumentParser, default: str = catalogue.DEFAULT_MODEL
) -> None:
    """Add --model for a generator, and --device."""
    parser.add_argument(
        "--model",
        default=default,
        metavar="NAME|DIR",
        help=f"a built-in model or a model folder (default {default})",
    )
    add_device_option(parser)


def add_request_options(parser: argparse.ArgumentParser) -> None:
    """Add what commands that draw takes ask alike: --negative, --steps, --guidance, --seed, --count, --dtype."""
    add = parser.add_argument
    add("--negative", metavar="TEXT", help="what not to hear (not with few-step models)")
    add(
        "--steps",
        type=count_up_to(1000),
        metavar="N",
        help="steps of the solver (default: the model's)",
    )
    add(
        "--guidance",
        type=number(0, LARGEST_GUIDANCE),
        metavar="G",
        help="how closely to follow what is asked for, 1 = no guidance (default: the model's)",
    )
    add_seed_option(parser)
    add(
        "-n",
        "--count",
        type=count_up_to(MOST_TAKES),
        default=1,
        metavar="COUNT",
        help="how many to make of each, with seeds N, N + 1, ... (default 1)",
    )
    add_dtype_option(parser)


def add_best_of_option(parser: argparse.ArgumentParser) -> None:
    """Add --best-of."""
    parser.add_argument(
        "--best-of",
        type=count_up_to(MAX_DRAWN),
        default=1,
        metavar="N",
        help="draw N takes for each, with seeds of their own, and keep the one that the built-in aligner and tagger hear as "
        "best; its seed is printed and kept (default 1)",
    )


def add_seed_option(parser: argparse.ArgumentParser) -> None:
    """Add --seed."""
    parser.add_argument(
        "--seed",
        type=seed_number,
        metavar="N",
        help="number that decides the noise (default: random)",
    )


def add_dtype_option(parser: argparse.ArgumentParser) -> None:
    """Add --dtype."""
    parser.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="precision of the text encoder and the transformer; the autoencoder always runs in "
        "float32 (default auto: bfloat16 on cuda, and for models of the released size on processors that compute "
        "in it, else float32)",
    )


def check_drawn(sounds: int, best_of: int) -> None:
    """Check that so many sounds, each the best of so many, are not too many.

    Raises:
        ValueError: they are.
    """
    if sounds * best_of > MOST_TAKES:
        raise ValueError(
            f"{sounds * best_of} sounds are more than {MOST_TAKES}: ask for fewer at a time"
        )


def first_seed(arguments: argparse.Namespace) -> int:
    """The seed of --seed, or a random one."""
    return secrets.randbelow(2**32) if arguments.seed is None else arguments.seed


def seeds_of(arguments: argparse.Namespace, clips: int, step: int = 1) -> range:
    """The first seeds of so many sounds, from --seed or from a random number on, each `step` after the one before."""
    first = first_seed(arguments)
    return range(first, first + clips * step, step)


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add --engine and --workers."""
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where to work: this machine, or the Ray cluster that RAY_ADDRESS names (default local)",
    )
    parser.add_argument(
        "--workers",
        type=whole_number(1, MOST_WORKERS),
        metavar="N",
        help="of --engine ray (default: one for each accelerator of the cluster, or for each core where there are none)",
    )


def on_ray(arguments: argparse.Namespace) -> bool:
    """Whether a command with --engine works on a Ray cluster.

    Raises:
        ValueError: a number of workers for this machine alone.
    """
    if arguments.engine != "ray" and arguments.workers is not None:
        raise ValueError("--workers are those of a cluster: add --engine ray, or leave it out")
    return arguments.engine == "ray"


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add --device."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="where to compute (default auto: an accelerator if there is one)",
    )
