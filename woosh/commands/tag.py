"""`woosh tag`: what is heard in files."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from woosh import catalogue
from woosh.commands.options import add_device_option, count_up_to, explain
from woosh.outside_files import printable

if TYPE_CHECKING:
    from woosh.taggers.splices import BreakFinder

MAX_LABELS = 10_000
EXAMPLES = """\
examples:
  woosh tag dog.wav rain.flac
  woosh tag takes/*.wav -k 1 --labels my-labels.txt
  woosh tag atmosphere.wav --timeline -k 2
  woosh tag interview.wav --breaks
  woosh tag sounds/*.wav --json > tags.jsonl
  woosh tag dog.wav --model passt:s10:passt.pt --labels class_labels_indices.csv

The number is a probability with a tagger, a cosine with an aligner. woosh-tiny-tagger knows the 527
labels of AudioSet, an aligner any that you write into a file, one per line.

A tagger of AudioSet's labels also proposes a category of the Universal Category System (UCS): that of the
likeliest label that has one and reaches 0.1. A category MISC or GENERAL gives way to the likeliest other
one of its kind that reaches 0.1 too.

--timeline hears the whole file. Each row is one second, heard with the second before and the one after it.

--breaks also hears the whole file, and tells where another recording seems to begin or to set in, at most once
in a second, with a probability.

--json writes one line for each file: {"file": ..., "seconds": its length, "labels": [{"label": ...,
"score": ...}], "ucs": null or {"catid": ..., "category": ..., "subcategory": ..., "label": ..., "score":
...}}, with --timeline also "timeline": [{"second": 0, "labels": ...}], with
--breaks also "breaks": [{"second": 3.62, "probability": ...}]. All other characters than those of
ASCII are escaped.
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
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
        help="labels for each file, and for each second (default 5)",
    )
    add("--timeline", action="store_true", help="also list the labels of every second")
    add("--breaks", action="store_true", help="also list where the recording breaks")
    add("--json", action="store_true", help="write a JSON object for each file, one line each")
    add(
        "--model",
        metavar="NAME|DIR",
        help="a tagger: NAME|DIR, tagger:FILE, passt:VARIANT:FILE; an aligner, or laion-clap[:NAME|DIR] (default "
        f"{catalogue.DEFAULT_TAGGER}, with --labels {catalogue.DEFAULT_ALIGNER})",
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

    # Only an aligner knows any label.
    usual = catalogue.DEFAULT_ALIGNER if arguments.labels else catalogue.DEFAULT_TAGGER
    tagger = load_tagger(arguments.model or usual, arguments.labels, device)
    finder = None
    if arguments.breaks:
        from woosh.taggers.splices import load_break_finder

        finder = load_break_finder().to(device)  # type: ignore[arg-type]  # diffusers hides the signature
    problems = []
    for path in arguments.files:
        try:
            found = tagger.describe(path, arguments.k, arguments.timeline)
            if finder is not None:
                found["breaks"] = breaks_of(finder, path)
        except (ValueError, OSError) as error:
            problems.append(str(error))
            continue
        print(json.dumps(found, allow_nan=False) if arguments.json else as_text(found))
        sys.stdout.flush()
    if problems:
        raise ValueError("; ".join(problems))


def breaks_of(finder: BreakFinder, path: Path) -> list[dict[str, Any]]:
    """Where a file breaks, as --json writes it.

    Raises:
        ValueError: the file cannot be read.
    """
    from woosh.taggers.splices import find_breaks

    return [one._asdict() for one in find_breaks(finder, path)]


def as_text(found: dict[str, Any]) -> str:
    """What was heard, as lines of printable characters."""
    lines = [found["file"]]
    lines += [f"  {tag['score']:6.3f}  {tag['label']}" for tag in found["labels"]]
    if found["ucs"] is not None:
        lines.append("  UCS {catid}  {category}, {subcategory}".format(**found["ucs"]))
    for row in found.get("timeline", ()):
        minutes, seconds = divmod(row["second"], 60)
        tags = " | ".join(f"{tag['score']:.3f} {tag['label']}" for tag in row["labels"])
        lines.append(f"  {minutes}:{seconds:02d}  {tags}")
    for row in found.get("breaks", ()):
        minutes, seconds = divmod(row["second"], 60)
        lines.append(f"  {minutes:.0f}:{seconds:05.2f}  {row['probability']:.3f} break")
    if found.get("breaks") == []:
        lines.append("  no break")
    return "\n".join(map(printable, lines))
