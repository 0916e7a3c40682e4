"""What the commands share: how one is added, options and the numbers in them, levels."""

from __future__ import annotations

import argparse
import math
import re
import secrets
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from woosh import audio, catalogue
from woosh.generation.request import LARGEST_GUIDANCE

if TYPE_CHECKING:
    import numpy as np


MAX_CLIPS = 10_000
MAX_SEED = 2**63 - 1 - MAX_CLIPS  # torch takes 63 bits, and clip i uses seed + i
WHOLE_NUMBER = re.compile(r"[+-]?\d{1,100}")  # Python refuses to read thousands of digits
Commands = Any  # argparse names the type of its subparsers privately


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


def count_up_to(high: int) -> Callable[[str], int]:
    """Return the argument type of whole numbers from 1 to `high`."""
    return lambda text: _whole(text, 1, high)


def seed_number(text: str) -> int:
    """The argument type of seeds."""
    return _whole(text, 0, MAX_SEED)


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], None],
    *,
    brief: str,
    description: str,
    examples: str | None = None,
) -> argparse.ArgumentParser:
    """Add a command that calls `run` with its arguments; `brief` stands in the list of commands."""
    parser = commands.add_parser(
        name,
        help=brief,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


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
    """Add what `generate` and `dub` ask alike: --negative, --steps, --guidance, --seed, --count, --loudness, --dtype."""
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
    add(
        "--seed",
        type=seed_number,
        metavar="N",
        help="number that decides the noise (default: random)",
    )
    add(
        "-n",
        "--count",
        type=count_up_to(MAX_CLIPS),
        default=1,
        metavar="COUNT",
        help="how many to make of each, with seeds N, N + 1, ... (default 1)",
    )
    add(
        "--loudness",
        type=number(-70, 0),
        metavar="LUFS",
        help="integrated loudness to reach, from -70 to 0; peaks are never clipped",
    )
    add(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="precision of the text encoder and the transformer; the autoencoder always runs in "
        "float32 (default auto: bfloat16 on cuda, else float32)",
    )


def seeds_of(arguments: argparse.Namespace, clips: int) -> range:
    """The seeds of so many sounds, from --seed or from a random number on."""
    first = secrets.randbelow(2**32) if arguments.seed is None else arguments.seed
    return range(first, first + clips)


def levelled(
    sound: np.ndarray, loudness: float | None, ceiling: float, info: catalogue.ModelInfo
) -> np.ndarray:
    """Bring (1, S) audio to the loudness asked for in LUFS, its peaks below the ceiling."""
    if loudness is None:
        return audio.peak_guard(sound, ceiling)
    result = audio.normalise_loudness(sound, loudness, info.sample_rate, ceiling)
    if not result.reached:
        print(
            f"woosh: note: {loudness:g} LUFS would clip this sound; it has {result.loudness:.1f} LUFS",
            file=sys.stderr,
        )
    return result.audio


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add --device."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="where to compute (default auto: an accelerator if there is one)",
    )
