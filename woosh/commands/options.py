"""What the commands share: how one is added, options and the numbers in them, levels."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from woosh import audio, catalogue

if TYPE_CHECKING:
    import numpy as np


MAX_CLIPS = 10_000
MAX_SEED = 2**63 - 1 - MAX_CLIPS  # torch takes 63 bits, and clip i uses seed + i
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
    value = int(text) if text.strip().lstrip("+-").isdecimal() else low - 1
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


def add_solver_options(parser: argparse.ArgumentParser) -> None:
    """Add --steps and --guidance."""
    parser.add_argument(
        "--steps",
        type=count_up_to(1000),
        metavar="N",
        help="steps of the solver (default: the model's)",
    )
    parser.add_argument(
        "--guidance",
        type=number(0),
        metavar="G",
        help="how closely to follow what is asked for, 1 = no guidance (default: the model's)",
    )


def add_precision_option(parser: argparse.ArgumentParser) -> None:
    """Add --dtype."""
    parser.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="precision of the text encoder and the transformer; the autoencoder always runs in "
        "float32 (default auto: bfloat16 on cuda, else float32)",
    )


def add_loudness_option(parser: argparse.ArgumentParser) -> None:
    """Add --loudness."""
    parser.add_argument(
        "--loudness",
        type=number(-70, 0),
        metavar="LUFS",
        help="integrated loudness to reach, from -70 to 0; peaks are never clipped",
    )


def clean_text(text: str, name: str) -> str:
    """Return a prompt in one line.

    Raises:
        ValueError: it is empty or not valid text.
    """
    words = " ".join(text.split())
    if not words:
        raise ValueError(f'the {name} is empty: say what to hear, such as "a dog barking"')
    if any(0xD800 <= ord(character) <= 0xDFFF for character in words):
        raise ValueError(f"the {name} is not valid UTF-8 text")
    return words


def refuse_few_step_wishes(info: catalogue.ModelInfo, negative: str | None) -> None:
    """Raise ValueError for a negative prompt that a few-step model does not take."""
    if info.few_step and negative is not None:
        raise ValueError(
            f"{info.name} is a few-step model and takes no negative prompt: leave out --negative, or take "
            f"--model {info.parts_of or catalogue.GUIDED_MODEL}"
        )


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
