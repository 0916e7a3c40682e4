"""`woosh data prepare`: recordings become shards."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from woosh.catalogue import DEFAULT_TAGGER
from woosh.command_line import Parser
from woosh.commands.options import count_up_to, explain, number
from woosh.commands.outputs import check_writable
from woosh.outside_files import expanded, printable
from woosh.progress import progress_on_terminals

if TYPE_CHECKING:
    from woosh.data.prepare import Report
    from woosh.data.selection import Selection

MAX_WORKERS = 1024
REJECTED_SHOWN = 10
EXAMPLES = """\
examples:
  woosh data prepare recordings/ shards/
  woosh data prepare manifest.jsonl shards/ --workers 16
  woosh data prepare recordings/ shards/ --keep-channels --longest 30
  woosh data prepare recordings/ shards/ --keep dog,bark --drop speech,music

A folder's captions are the lines of dog.txt beside dog.wav, or else the words of the file's name. A
manifest's rows may have "segments": [{"start": 0, "stop": 2.5, "captions": ["..."]}]. Run it again after
an interruption: shards that are there are not made again.

--keep and --drop listen to every sample with a tagger, on the CPU. A label is heard if it reaches a
probability of 0.3 in any piece of 10 s. A word names the label that is called so, or one of whose parts
between commas is ("chirp": "Chirp, tweet"), or else all labels that contain it as a word; the report
lists the labels.
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser its own command."""
    explain(
        parser,
        description="Prepare recordings for training.",
        examples=EXAMPLES,
    )
    kinds = parser.add_subparsers(metavar="WHAT", required=True, parser_class=Parser)
    prepare = kinds.add_parser("prepare", help="resample, cut and pack recordings into shards")
    explain(
        prepare,
        run,
        description="Resample recordings, cut them where they are silent, leave out doubles and pack "
        "the rest into shards that WebDataset reads.",
        examples=EXAMPLES,
    )
    add = prepare.add_argument
    add(
        "source",
        type=Path,
        metavar="SRC",
        help="folder of recordings, JSONL manifest, or Clotho's table",
    )
    add("output", type=Path, metavar="OUT", help="folder of the shards")
    add(
        "--rate",
        type=count_up_to(384_000),
        default=48_000,
        metavar="HZ",
        help="sample rate (default 48000)",
    )
    add("--keep-channels", action="store_true", help="do not mix to mono")
    add(
        "--gap",
        type=number(0, open_low=True),
        default=2.0,
        metavar="SECONDS",
        help="silence from this length on parts two samples (default 2)",
    )
    add(
        "--longest",
        type=number(0.1),
        default=60.0,
        metavar="SECONDS",
        help="longer samples are cut into equal pieces (default 60)",
    )
    add(
        "--files-per-shard",
        type=count_up_to(1_000_000),
        default=256,
        metavar="N",
        help="recordings in a shard (default 256)",
    )
    add(
        "--keep",
        type=words,
        default=(),
        metavar="WORDS",
        help="leave out samples in which none of these is heard, such as dog,bark",
    )
    add(
        "--drop",
        type=words,
        default=(),
        metavar="WORDS",
        help="leave out samples in which one of these is heard, such as speech,music",
    )
    add(
        "--ear",
        metavar="NAME",
        help=f"tagger that hears them: tagger:NAME|DIR|FILE, passt:VARIANT:FILE (default {DEFAULT_TAGGER})",
    )
    add(
        "--workers",
        type=count_up_to(MAX_WORKERS),
        default=1,
        metavar="N",
        help="processes (default 1)",
    )


def words(text: str) -> tuple[str, ...]:
    """The argument type of words between commas."""
    parts = tuple(" ".join(part.split()) for part in text.split(","))
    if not all(parts):
        raise argparse.ArgumentTypeError(f"must be words between commas, not {text!r}")
    return parts


def selection_of(arguments: argparse.Namespace) -> Selection | None:
    """What --keep, --drop and --ear ask for; None if samples are not listened to.

    Raises:
        FileNotFoundError: the tagger is not there.
        ValueError: it is none, does not know a word, or has nothing to listen for.
    """
    if not arguments.keep and not arguments.drop:
        if arguments.ear is not None:
            raise ValueError("--ear listens for words: add --keep or --drop")
        return None
    from woosh.data.selection import Selection
    from woosh.embeddings.embedders import TAGGER
    from woosh.embeddings.tagging import hear_labels, load_ear

    name = arguments.ear or f"{TAGGER}{DEFAULT_TAGGER}"
    ear = load_ear(name)
    return Selection(
        keep=ear.named(arguments.keep),
        drop=ear.named(arguments.drop),
        ear=f"{ear.embedder.name} {ear.embedder.weights}",
        hears=partial(hear_labels, name),
    )


def run(arguments: argparse.Namespace) -> None:
    """Check, prepare, say what came of it."""
    source, output = expanded(arguments.source), expanded(arguments.output)
    if not source.exists():
        raise FileNotFoundError(
            f"neither a manifest nor a folder: {source}; name a folder of sounds, or a JSONL manifest"
        )
    if output.exists() and not output.is_dir():
        raise NotADirectoryError(f"{output} exists and is not a folder")
    check_writable(output if output.exists() else output.parent)
    from woosh.data.prepare import Settings, prepare

    settings = Settings(
        sample_rate=arguments.rate,
        mono=not arguments.keep_channels,
        gap_seconds=arguments.gap,
        longest_seconds=arguments.longest,
        files_per_shard=arguments.files_per_shard,
        selection=selection_of(arguments),
    )
    report = prepare(source, output, settings, arguments.workers, progress_on_terminals)
    if not report.samples:
        path, reason = next(iter(report.rejected.items()))
        files = f"{report.files} file{'s' if report.files > 1 else ''}"
        raise ValueError(f"no sample could be made of {files}: {path}: {reason}")
    print(*map(printable, report_text(output, report).split("\n")), sep="\n")
    if settings.selection is not None:
        for name in ("keep", "drop"):
            labels = getattr(settings.selection, name)
            print(printable(f"  {name}: {'; '.join(labels) or 'nothing named'}"))
    rejected = list(report.rejected.items())
    for path, reason in rejected[:REJECTED_SHOWN]:
        print(f"woosh: warning: left out: {printable(f'{path}: {reason}')}", file=sys.stderr)
    if len(rejected) > REJECTED_SHOWN:
        more = len(rejected) - REJECTED_SHOWN
        print(f"woosh: warning: and {more} other files: see report.json", file=sys.stderr)


def report_text(output: Path, report: Report) -> str:
    """A report as lines."""
    lines = [
        f"{output}  {report.samples} samples, {report.hours_written:.2f} h, of {report.files} files, "
        f"{report.hours_found:.2f} h; {len(report.rejected)} left out"
    ]
    lines += [f"  {hours:8.2f} h  {licence}" for licence, hours in report.licences.items()]
    lines += [f"  {count:8d} samples left out: {why}" for why, count in report.unselected.items()]
    return "\n".join(lines)
