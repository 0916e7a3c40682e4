"""What the commands share that make something of a sound that is there: reading it, their options, writing the result."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from woosh import audio, catalogue
from woosh.commands.assets import add_asset_options, plan_assets
from woosh.commands.delivery import Delivery
from woosh.commands.finishing import add_level_option
from woosh.commands.options import add_model_options, add_request_options
from woosh.commands.outputs import plan_output
from woosh.generation.request import Request, clean_text
from woosh.studio.finishing import levelling_of
from woosh.studio.originals import prompt_for


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
