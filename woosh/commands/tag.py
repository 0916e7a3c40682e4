"""`woosh tag`: what is heard in files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from woosh import catalogue
from woosh.commands.options import Commands, add_command, add_device_option, count_up_to

MAX_LABELS = 10_000
EXAMPLES = """\
examples:
  woosh tag dog.wav rain.flac
  woosh tag takes/*.wav -k 1 --labels my-labels.txt
  woosh tag dog.wav --model passt:s10:passt.pt --labels class_labels_indices.csv

The number is a cosine with an aligner, a probability with PaSST. Labels are one per line, or
AudioSet's list; without --labels they are read from beside the model's weights.
"""


def add_to(commands: Commands) -> None:
    """Add the command to `woosh`."""
    parser = add_command(
        commands,
        "tag",
        run,
        brief="name what is heard in files",
        description="List the labels that fit best to the first minute of each file.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="sounds")
    add("--labels", type=Path, metavar="FILE", help="labels to choose from")
    add(
        "-k",
        type=count_up_to(MAX_LABELS),
        default=5,
        metavar="N",
        help="labels for each file (default 5)",
    )
    add(
        "--model",
        default=catalogue.DEFAULT_ALIGNER,
        metavar="NAME|DIR",
        help="an aligner, laion-clap[:NAME|DIR], or the tagger passt:VARIANT:FILE (default "
        f"{catalogue.DEFAULT_ALIGNER})",
    )
    add_device_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """Check, load, listen to one file after the other; what cannot be heard is told at the end."""
    for path in (*arguments.files, arguments.labels):
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"no file {path}")

    from woosh.generation.loading import choose_device, quiet_libraries

    device = choose_device(arguments.device)
    quiet_libraries()
    from woosh.embeddings.tagging import load_tagger

    tagger = load_tagger(arguments.model, arguments.labels, device)
    problems = []
    for path in arguments.files:
        try:
            tags = tagger.tag(path, arguments.k)
        except ValueError as error:
            problems.append(str(error))
            continue
        print(path)
        for tag in tags:
            print(f"  {tag.score:6.3f}  {tag.label}")
        sys.stdout.flush()
    if problems:
        raise ValueError("; ".join(problems))
