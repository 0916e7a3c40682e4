"""`woosh worldise`: a sound as if it came out of a device or through a wall."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from woosh import __version__, audio
from woosh.commands.options import explain
from woosh.commands.outputs import plan_output

if TYPE_CHECKING:
    import numpy as np

LONGEST_RESPONSE = 20.0  # seconds of a file
EXAMPLES = """\
examples:
  woosh worldise voice.wav --through telephone
  woosh worldise music.flac --through wall -o next-door.wav
  woosh worldise steps.wav --through kitchen-impulse-response.wav

A name is a curve of level over frequency that is made by rule. A file is an impulse response: what a room or a device
makes of a click, and the sound rings on as long as it does. The level stays as it was, unless the loudest sample would pass
full scale.
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Make a sound as it would come out of a telephone, a radio or through a wall, or as a room of which "
        "you have an impulse response would make it.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add("source", type=Path, metavar="FILE", help="sound; its rate and channels stay")
    add(
        "--through",
        required=True,
        metavar="NAME|FILE",
        help="telephone, radio, megaphone, laptop, headphones, wall, underwater, or an impulse response as a file",
    )
    add(
        "-o",
        "--output",
        metavar="FILE|DIR",
        help="where to write (default: a new file here, named after sound and device)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Sound file -> convolution -> sound file.

    Raises:
        FileNotFoundError: no such sound.
        ValueError: neither a device nor a file, or a file that is silent or too long.
    """
    import numpy as np

    from woosh.audio.files import open_audio
    from woosh.data.augmentation import through_response
    from woosh.data.devices import CURVES

    through = Path(arguments.through)
    target = plan_output(arguments.output, None, 1, f"{arguments.source.stem}-{through.stem}")
    with open_audio(arguments.source) as file:
        rate = file.samplerate
    sound = audio.read_audio(arguments.source, rate, mono=False)
    response = read_response(through, rate)
    padded = np.pad(sound, [(0, 0), (0, len(response) - 1)])
    made = through_response(padded, response)
    if str(through) in CURVES:  # what is made by rule rings on for no time that is heard
        made = made[:, : sound.shape[1]]
    guarded = audio.peak_guard(made.astype(np.float32), audio.CEILINGS[target.file_format])
    record = {
        "source": arguments.source.name,
        "through": through.name,
        "version": __version__,
    }
    with target.claim(arguments.source.stem, 0, 1) as path:
        audio.write_audio(path, guarded, rate, record)
    print(f"{path}  {guarded.shape[1] / rate:.2f} s")


def read_response(through: Path, sample_rate: int) -> np.ndarray:
    """The impulse response (R,) of a device by its name, or of a file.

    Raises:
        ValueError: neither a device nor a file, or a file that is silent or too long.
    """
    from woosh.data.devices import CURVES, device_response

    if str(through) in CURVES:
        return device_response(str(through), sample_rate)
    if not through.is_file():
        raise ValueError(
            f"--through {through} is neither a device nor a file: name one of {', '.join(CURVES)}, or an impulse response"
        )
    response = audio.read_audio(through, sample_rate)[0]
    if len(response) > LONGEST_RESPONSE * sample_rate or not response.any():
        raise ValueError(
            f"--through {through} has {len(response) / sample_rate:.1f} s and must have up to {LONGEST_RESPONSE:g}, not "
            "all of them silent"
        )
    return response
