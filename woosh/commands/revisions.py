"""What the commands share that make something of a sound that is there: reading it, their options, writing the result."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from woosh import audio, catalogue
from woosh.audio.files import open_audio
from woosh.commands.assets import add_asset_options, plan_assets
from woosh.commands.delivery import Delivery
from woosh.commands.finishing import add_level_option, check_record, levelling_of
from woosh.commands.options import add_model_options, add_request_options
from woosh.commands.outputs import plan_output
from woosh.commands.sources import prompt_for
from woosh.generation.request import Request, clean_text

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class Original:
    """A sound from a file.

    Attributes:
        path: of the file.
        audio: (C, S) float32, all channels.
        sample_rate: the file's own, in Hz.
    """

    path: Path
    audio: np.ndarray
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.audio.shape[1] / self.sample_rate


def read_original(path: Path) -> Original:
    """A sound with its own rate and channels.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not audio, or longer than is made at a time.
    """
    with open_audio(path) as file:
        rate, seconds = file.samplerate, file.frames / file.samplerate
    if seconds > catalogue.LONGEST_SECONDS:
        raise ValueError(
            f"{path} has {seconds:.0f} s, and up to {catalogue.LONGEST_SECONDS:g} are taken: cut it first"
        )
    return Original(path, audio.read_audio(path, rate, mono=False), rate)


def add_revision_options(
    parser: argparse.ArgumentParser, usual_loudness: str = "left as it is"
) -> None:
    """Add -o, --model, what requests ask, --loudness, and how files are kept."""
    add = parser.add_argument
    add(
        "-o",
        "--output",
        metavar="FILE|DIR",
        help="a file, whose extension tells the format, or a folder; default: this folder. A file that you name is "
        "overwritten; names made here never overwrite anything",
    )
    add_request_options(parser)
    add_level_option(parser, usual_loudness)
    add_model_options(parser)
    add_asset_options(parser)


def request_for(
    prompt: str, seconds: float, seed: int, arguments: argparse.Namespace, info: catalogue.ModelInfo
) -> Request:
    """The request for one take, checked against the model before it is loaded."""
    negative = arguments.negative
    request = Request(
        prompt=prompt,
        negative_prompt=None if negative is None else clean_text(negative, "negative prompt"),
        seconds=seconds,
        steps=arguments.steps,
        guidance_scale=arguments.guidance,
        seed=seed,
    )
    request.check(info)
    return request


def told_prompt(path: Path, given: str | None) -> str:
    """The words for a sound (see `prompt_for`); where there are none, a note says so."""
    prompt = prompt_for(path, given)
    if not prompt:
        print(
            f"woosh: note: {path.name} does not say what it is: what is new follows the sound alone; --prompt says more",
            file=sys.stderr,
        )
    return prompt


def record_of(
    path: Path, operation: str, request: Request, info: catalogue.ModelInfo, **facts: Any
) -> dict[str, str | int | float]:
    """What the result's file keeps: the record of the sound before, and what was done to it.

    Args:
        path: of the sound before.
        operation: what was done, in a word.
        request: that the new one follows.
        info: of the model that made it.
        facts: what else is new.

    Raises:
        ValueError: it is too long.
    """
    new = request.record(info.name) | {"weights_licence": info.licence} | facts
    record = audio.derived_record(audio.kept_record(path), operation, **new)
    check_record(record)
    return record


def plan_revisions(
    arguments: argparse.Namespace,
    count: int,
    stem: str | None,
    loop: bool = False,
    loudness: float | None = None,
) -> Delivery:
    """Where results go, whose sound is left as it is but for its level.

    Args:
        arguments: with the options of `add_revision_options`.
        count: of the results.
        stem: of their names; None names them after their prompts.
        loop: whether they play around.
        loudness: in LUFS, where none is asked for; None leaves the level.

    Raises:
        ValueError: as `plan_output` and `plan_assets`.
        OSError: likewise.
    """
    target = plan_output(arguments.output, arguments.format, count, stem)
    asked = loudness if arguments.loudness is None else arguments.loudness
    stereo = getattr(arguments, "stereo", False)
    finishing = levelling_of(asked, audio.CEILINGS[target.file_format], loop, stereo)
    return Delivery(target, finishing, plan_assets(arguments, target), count)
