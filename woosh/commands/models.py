"""`woosh models`: what is built in."""

from __future__ import annotations

import argparse

from woosh import catalogue
from woosh.commands.options import explain


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="List the built-in models: parameters, size, licence of the weights, folder.",
    )


def run(_arguments: argparse.Namespace) -> None:
    """One line for each built-in model, the generators first."""
    models, aligners = catalogue.built_in_models(), catalogue.built_in_aligners()
    if not models:
        raise FileNotFoundError(f"no built-in model in {catalogue.BUILT_IN}")
    for info in models:
        print(
            f"{info.name}  {info.parameters / 1e6:.1f} M parameters  {info.size / 1e6:.1f} MB  "
            f"{info.longest:g} s in one piece at {info.sample_rate} Hz  {info.licence}  {info.folder}"
        )
    for aligner in aligners:
        shared = f"  text encoder of {aligner.text_encoder_of}" if aligner.text_encoder_of else ""
        print(
            f"{aligner.name}  {aligner.parameters / 1e6:.1f} M parameters  {aligner.size / 1e6:.1f} MB"
            f"{shared}  {aligner.licence}  {aligner.folder}"
        )
    for tagger in catalogue.built_in_taggers():
        print(
            f"{tagger.name}  {tagger.parameters / 1e6:.1f} M parameters  {tagger.size / 1e6:.1f} MB  "
            f"{tagger.labels} labels  {tagger.licence}  {tagger.folder}"
        )
