"""`woosh batch`: a folder of assets from a sheet."""

from __future__ import annotations

import argparse
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from woosh import catalogue
from woosh.commands.options import (
    add_dtype_option,
    add_engine_options,
    add_model_options,
    explain,
    on_ray,
)
from woosh.commands.outputs import check_writable
from woosh.outside_files import expanded, printable

if TYPE_CHECKING:
    from woosh.studio.batch import MakeSound, Plan
    from woosh.studio.manifest import Shard

EXAMPLES = """\
examples:
  woosh batch sounds.csv -o assets/ --dry-run          what would be made
  woosh batch sounds.csv -o assets/                    make what is new or changed
  woosh batch sounds.yaml -o assets/ --shard 2/4       the second quarter, for one of four machines
  woosh batch sounds.csv -o assets/ --engine ray       on all machines of a Ray cluster

columns (the first row of a CSV file names them; only name and prompt must be filled):
  name           file without extension, such as doors/creak; each row has its own
  prompt         what to hear
  negative       what not to hear
  seconds        length (5 where left out)
  sound_seconds  how long the sound itself is, for models that are told
  count          takes, numbered -01, -02, ...; left out, one without a number
  seed           of the first take; left out, from name, prompt and number of the take
  steps, guidance, loudness, format (wav, flac, ogg, opus, mp3)   as in `woosh generate`
  category       CatID of the Universal Category System, such as DOORWood
  loop, stereo   yes or no
In YAML the rows are a list under `assets:`.
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Make a folder of assets from a sheet, with a manifest. What is there and unchanged is not made "
        "again; a run that was ended goes on.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add("sheet", metavar="SHEET", help="a .csv or .yaml file with a row for each asset")
    add("-o", "--output", required=True, metavar="DIR", help="folder of the assets")
    add(
        "--shard",
        type=shard_choice,
        metavar="I/N",
        help="make the I-th of N parts only, on each machine another one. A run without --shard on the folder with all "
        "parts then joins their manifests, and makes what is missing",
    )
    add_engine_options(parser)
    add("--dry-run", action="store_true", help="print what would be made, and make nothing")
    add_dtype_option(parser)
    add_model_options(parser)


def shard_choice(text: str) -> Shard:
    """The argument type of parts, such as 1/4."""
    from woosh.studio.manifest import Shard

    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"must be such as 1/4, not {text!r}")
    try:
        return Shard(int(match[1]), int(match[2]))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(arguments: argparse.Namespace) -> None:
    """`woosh batch`: check the whole sheet, tell or make what is new, and write the manifest.

    Raises:
        RuntimeError: some sounds could not be made; the others are there.
    """
    from woosh.studio.batch import (
        Origin,
        check_takes,
        make_assets,
        one_by_one,
        plan_batch,
        takes_of,
    )
    from woosh.studio.manifest import WHOLE
    from woosh.studio.sheets import naming, read_assets

    sheet, folder = expanded(arguments.sheet), expanded(arguments.output)
    if sheet.parent.resolve() == folder.resolve() and sheet.stem.startswith("manifest"):
        raise ValueError(f"{sheet} has the name of the manifest that is written there: rename it")
    info = catalogue.describe_model(catalogue.find_model(arguments.model))
    rows = read_assets(sheet)
    with naming(sheet):
        takes = takes_of(rows)
        check_takes(takes, info)
    _check_folder(folder)
    plan = plan_batch(folder, takes, Origin.of(info, arguments.dtype), arguments.shard or WHOLE)
    if arguments.dry_run:
        _tell(plan)
        return

    load = partial(_load, info, arguments.device, arguments.dtype)
    make_sounds = one_by_one
    if on_ray(arguments):
        from woosh.cluster import spread

        make_sounds = partial(spread, workers=arguments.workers)
    made = failed = 0
    for outcome in make_assets(plan, load, make_sounds):
        path = folder / outcome.take.path
        if outcome.entry is None:
            failed += 1
            print(f"woosh: {path}: {printable(str(outcome.error))}", file=sys.stderr)
        else:
            made += 1
            seconds = f"{outcome.entry.seconds:.2f} s"
            print(f"{path}  {seconds}  seed {outcome.entry.seed}", flush=True)
    for orphan in plan.orphaned:
        print(f"woosh: note: {folder / orphan} is in no row of the sheet", file=sys.stderr)
    listing = (folder / plan.shard.stem).with_suffix(".json")
    print(f"{made} made, {len(plan.unchanged)} unchanged: {listing}")
    if failed:
        raise RuntimeError(
            f"{failed} of {made + failed} sounds could not be made; the others are in {folder}"
        )


def _load(info: catalogue.ModelInfo, device: str, dtype: str) -> MakeSound:
    """What makes the sound of a take."""
    from woosh.generation.loading import load_model
    from woosh.studio.batch import make_sound

    return partial(make_sound, sampler=load_model(info, device, dtype), info=info)


def _check_folder(folder: Path) -> None:
    """Raise OSError unless assets can be written into a folder, which need not be there yet."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} exists and is not a folder")
    check_writable(folder if folder.exists() else folder.parent)


def _tell(plan: Plan) -> None:
    """Print what a run would do."""
    for word, takes in (("new", plan.missing), ("changed", plan.changed)):
        for take in takes:
            print(f"{word:10}{plan.folder / take.path}  seed {take.seed}")
    for entry in plan.unchanged:
        print(f"{'unchanged':10}{plan.folder / entry.path}  seed {entry.seed}")
    for path in plan.orphaned:
        print(f"{'orphaned':10}{plan.folder / path}")
    print(
        f"{len(plan.missing)} new, {len(plan.changed)} changed, {len(plan.unchanged)} unchanged, "
        f"{len(plan.orphaned)} orphaned"
    )
