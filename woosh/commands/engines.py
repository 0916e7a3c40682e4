"""`woosh engines`: a folder of assets for a game engine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from woosh.commands.options import explain

ENGINES = ("godot", "unity", "unreal", "wwise", "fmod")
EXAMPLES = """\
examples:
  woosh batch sounds.csv -o game/sounds/
  woosh engines godot game/sounds/         import settings, and a randomizer for each name with several takes
  woosh engines unity game/Assets/Sounds/  scripts that make an asset for each name
  woosh engines wwise assets/              a list for the audio file importer

Files are written beside the sounds. What somebody wrote or changed there is never replaced. docs/engines.md tells what to do with them.
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Write what a game engine or its sound tool needs to take in a folder that `woosh batch` filled: "
        "loops, and containers that play one of several takes at random.",
        examples=EXAMPLES,
    )
    parser.add_argument("engine", choices=ENGINES, help="for which one")
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="folder of the assets, with its manifest.json"
    )


def run(arguments: argparse.Namespace) -> None:
    """`woosh engines`: read the manifest, write the files, tell which were left alone."""
    from woosh.engines import fmod, godot, unity, unreal, wwise
    from woosh.engines.cues import read_cues
    from woosh.engines.writing import write_files
    from woosh.outside_files import expanded, printable

    known = {"godot": godot, "unity": unity, "unreal": unreal, "wwise": wwise, "fmod": fmod}
    engine = known[arguments.engine]
    folder = expanded(str(arguments.folder))
    cues = read_cues(folder, engine.FORMATS, engine.NAME)
    outcome = write_files(folder, engine.files(cues))
    for path in outcome.kept:
        print(
            f"woosh: note: {printable(str(path))} was written by something else and stays: remove it to have it anew",
            file=sys.stderr,
        )
    print(
        f"{folder}  {len(cues)} names: {len(outcome.written)} files written, {len(outcome.unchanged)} unchanged, "
        f"{len(outcome.kept)} left alone"
    )
