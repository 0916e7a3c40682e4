"""What `generate` and `dub` do to a sound before it is written: options, settings, notes."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from woosh import audio
from woosh.audio.finishing import LOUDNESS, TRUE_PEAK
from woosh.commands.options import number
from woosh.studio.finishing import Finishing, Ready, finished_take, full_finishing

if TYPE_CHECKING:
    from woosh.studio.takes import Take

LONGEST_REST = 10_000.0  # milliseconds of silence that may stay


def add_finishing_options(parser: argparse.ArgumentParser, trims: bool) -> None:
    """Add --loudness, --stereo and --raw, and where the length is free what is trimmed."""
    group = parser.add_argument_group(
        "finishing",
        "A sound is finished before it is written: no constant offset, "
        + ("no silence at its ends, " if trims else "")
        + f"short fades where it would click, {LOUDNESS:g} LUFS, true peak at most {TRUE_PEAK:g} dB.",
    )
    add = group.add_argument
    add(
        "--loudness",
        type=loudness_choice,
        metavar="LUFS",
        help=f"loudness to reach, from -70 to 0, or off to leave the level (default {LOUDNESS:g}): integrated for sounds "
        "of 3 s and more, the loudest 400 ms of shorter ones. The peak's limit goes first",
    )
    if trims:
        add(
            "--threshold",
            type=number(-120, -6),
            metavar="DB",
            help="what is so far below the loudest level is silence (default -60)",
        )
        add(
            "--lead-in",
            type=number(0, LONGEST_REST),
            metavar="MS",
            help="silence that stays before a sound (default 10)",
        )
        add(
            "--tail",
            type=number(0, LONGEST_REST),
            metavar="MS",
            help="silence that stays behind a sound (default 100)",
        )
        add(
            "--keep-length",
            action="store_true",
            help="fill up with silence behind the sound, to exactly the length asked for",
        )
    add_stereo_option(group)
    add("--raw", action="store_true", help="do not finish: the sound as the model makes it")


def add_stereo_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add --stereo, for sounds that are made in one channel."""
    parser.add_argument(
        "--stereo",
        action="store_true",
        help="two channels with width; their mean is the mono sound",
    )


def loudness_choice(text: str) -> float:
    """The argument type of loudness: LUFS, or infinity for "off"."""
    return math.inf if text == "off" else number(-70, 0)(text)


def finishing_of(arguments: argparse.Namespace, samples: int | None, ceiling: float) -> Finishing:
    """What the options of `add_finishing_options` ask for.

    Args:
        arguments: of the command.
        samples: that are asked for, where the length is free; None keeps the sound's own and trims nothing.
        ceiling: largest sample that the format takes.

    Raises:
        ValueError: options that contradict each other.
    """
    names = ("loudness", "threshold", "lead_in", "tail", "keep_length")
    values = {name: getattr(arguments, name, None) for name in names}
    # By identity: 0 is a value, and equal to False.
    given: dict[str, Any] = {
        name: value for name, value in values.items() if value is not None and value is not False
    }
    if arguments.raw:
        if given:
            asked = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise ValueError(f"--raw leaves a sound as the model makes it: leave out {asked}")
        return Finishing(None, arguments.stereo, False, ceiling)
    loudness = given.pop("loudness", LOUDNESS)
    length = samples if given.pop("keep_length", False) else None
    trim = None if samples is None else audio.Trim(**given)
    level = loudness if math.isfinite(loudness) else None
    return full_finishing(ceiling, level, trim, length, arguments.stereo)


def add_level_option(parser: argparse.ArgumentParser, usual: str = "left as it is") -> None:
    """Add --loudness, for sounds that are otherwise left as they are; `usual` says what happens without it."""
    parser.add_argument(
        "--loudness",
        type=number(-70, 0),
        metavar="LUFS",
        help=f"loudness to reach, from -70 to 0 (default: {usual})",
    )


def make_ready(take: Take, finishing: Finishing, sample_rate: int, name: str) -> Ready:
    """Widen and finish a take, and tell on stderr where another seed made it or its loudness is not reached.

    Args:
        take: as the model made it.
        finishing: what the options ask for.
        sample_rate: in Hz.
        name: of the sound, for the notes.
    """
    if take.silent_seeds:
        silent = ", ".join(map(str, take.silent_seeds))
        print(
            f"woosh: note: {name}: silence from seed {silent}, drawn again with seed {take.seed}",
            file=sys.stderr,
        )
    ready = finished_take(take, finishing, sample_rate)
    settings = finishing.settings
    if settings is not None and not ready.reached:
        print(
            f"woosh: note: {name}: {settings.loudness:g} LUFS would pass the peak's limit of "
            f"{settings.true_peak:.1f} dB; it has {ready.loudness:.1f} LUFS",
            file=sys.stderr,
        )
    return ready


def described(path: Path, ready: Ready, sample_rate: int, seed: int | None) -> str:
    """The line that tells of a sound: its file, length, loudness and, if one made it, seed."""
    seconds = ready.audio.shape[1] / sample_rate
    drawn = "" if seed is None else f"  seed {seed}"
    return f"{path}  {seconds:.2f} s  {ready.loudness:.1f} LUFS{drawn}"
