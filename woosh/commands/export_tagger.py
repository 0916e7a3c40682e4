"""`woosh export-tagger`: a tagger -> an ONNX file."""

from __future__ import annotations

import argparse
from pathlib import Path

from woosh import catalogue
from woosh.commands.options import explain

EXAMPLES = """\
examples:
  woosh export-tagger woosh-tiny-tagger ear.onnx
  woosh export-tagger mn04_as_mAP_432.pt mn04.onnx --labels class_labels_indices.csv
  woosh export-tagger dymn04_as.pt dymn04.onnx --log-mel

Needs pip install "woosh-sfx[onnx]". The graph takes mono audio of 32 kHz (batch, samples), 514 samples or
more, and gives logits and features.
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Write a tagger, built in, trained here or of published weights, as an ONNX file.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add(
        "source", metavar="NAME|DIR|FILE", help="a tagger, or published weights (.pt, .safetensors)"
    )
    add("target", type=Path, metavar="OUT.onnx", help="file to write; must not exist yet")
    add("--log-mel", action="store_true", help="take log-mel spectrograms, not audio")
    add("--labels", type=Path, metavar="FILE", help="names of the classes; a folder has its own")


def run(arguments: argparse.Namespace) -> None:
    """Check, load, export."""
    catalogue.find_tagger(arguments.source)
    if arguments.labels is not None and not arguments.labels.is_file():
        raise FileNotFoundError(f"no file {arguments.labels}")
    if arguments.target.exists():
        raise FileExistsError(f"{arguments.target} exists: name a new file")
    if not arguments.target.parent.is_dir():
        raise FileNotFoundError(f"no folder {arguments.target.parent}: make it first")
    from woosh.conversion.onnx_export import export_tagger

    export_tagger(
        arguments.source,
        arguments.target,
        takes_log_mel=arguments.log_mel,
        labels=arguments.labels,
    )
    print(arguments.target)
