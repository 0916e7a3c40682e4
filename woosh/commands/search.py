"""`woosh search`: sounds of an index by words or by example."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from woosh.commands.options import add_device_option, count_up_to, explain
from woosh.commands.outputs import check_writable
from woosh.outside_files import expanded, printable
from woosh.whole_files import claimed, numbered

if TYPE_CHECKING:
    from woosh.search.index import Match

MAX_MATCHES = 10_000
EXAMPLES = """\
examples:
  woosh search "glass breaking" --index ~/sounds
  woosh search --like clip.wav --index ~/sounds -k 20
  woosh search "rain on a roof" --index ~/sounds --export rain/

The score is the cosine between the embeddings: 1 is the same sound.
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="List the sounds of an index that fit a text, or that are like a sound.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add("text", nargs="?", metavar="TEXT", help="what is looked for, in words")
    add("--like", type=Path, metavar="FILE", help="a sound, in the place of words")
    add(
        "--index",
        type=Path,
        required=True,
        metavar="INDEX",
        help="folder of an index, or the folder of sounds that it lies in",
    )
    add(
        "-k",
        type=count_up_to(MAX_MATCHES),
        default=10,
        metavar="N",
        help="how many (default 10)",
    )
    add(
        "--model",
        metavar="NAME|DIR",
        help="the model that the index was made with, needed where it is not a built-in one",
    )
    add("--export", type=Path, metavar="DIR", help="copy the sounds there, numbered in their order")
    add_device_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """Check, load, search, list and copy."""
    text, like = arguments.text, arguments.like
    if (text is None) == (like is None):
        raise ValueError("name what to look for: either a text or --like FILE")
    if text is not None and not text.strip():
        raise ValueError("the text is empty")
    if like is not None and not like.is_file():
        raise FileNotFoundError(f"no audio file at {like}")
    if arguments.export is not None:
        _check_export(arguments.export)
    from woosh.search.index import open_index, trusted_model

    index = open_index(expanded(arguments.index))
    model = arguments.model or trusted_model(index, "name the model with --model")

    from woosh.generation.loading import choose_device, quiet_libraries

    device = choose_device(arguments.device)
    quiet_libraries()
    from woosh.search.library import load_library

    library = load_library(index, model, device)
    if (waiting := index.waiting()) > 0:
        print(
            f"woosh: warning: {waiting} sounds cannot be found yet: run `woosh index` again",
            file=sys.stderr,
        )
    if like is not None:
        matches = library.by_ear(like, arguments.k)
    else:
        matches = library.by_words(str(text), arguments.k)
    for match in matches:
        print(f"{match.score:.3f}  {match.seconds:7.2f} s  {printable(str(match.path))}")
    if arguments.export is not None:
        export(matches, index.folder, arguments.export)


def _check_export(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} exists and is not a folder")
    check_writable(folder if folder.exists() else folder.parent)


def export(matches: list[Match], sounds: Path, folder: Path) -> None:
    """Copy sounds below their folder into another as NUMBER-NAME, the best first; what is there already stays.

    A sound that is no longer where it was indexed, or is no regular file below `sounds`, is told and left out.
    """
    from woosh.search.index import check_readable

    folder.mkdir(exist_ok=True)
    digits = len(str(len(matches)))
    for number, match in enumerate(matches, start=1):
        name = f"{number:0{digits}d}-{match.path.name}"
        try:
            check_readable(match.path, sounds)
        except (FileNotFoundError, ValueError) as error:
            print(f"woosh: warning: {printable(str(error))}", file=sys.stderr)
            continue
        with claimed(numbered(folder / name)) as target:
            shutil.copyfile(match.path, target)
