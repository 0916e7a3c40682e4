"""`woosh verify`: what a file says of itself, and whether it was changed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from woosh.audio import broadcast, chunks, coded, metadata
from woosh.commands.options import explain
from woosh.outside_files import printable
from woosh.studio import provenance

EXAMPLES = """\
examples:
  woosh verify door.wav
  woosh verify takes/*.wav --json > takes.jsonl

The record is what Woosh wrote of how the sound was made. The samples are compared with the checksum beside the record: names
and tags may have changed, the sound may not. A checksum is no proof: whoever changes a sound can write a new one. Content
Credentials are signed; reading them needs the extra: pip install 'woosh-sfx[provenance]'.

The exit code is 1 if a file was changed.
"""
UNKNOWN, UNCHANGED, CHANGED = "unknown", "unchanged", "changed"


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Tell what sound files say of how they were made, and whether they were changed since.",
        examples=EXAMPLES,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="sounds")
    parser.add_argument(
        "--json", action="store_true", help="write a JSON object for each file, one line each"
    )


def run(arguments: argparse.Namespace) -> None:
    """Read one file after the other; what cannot be read and what was changed is told at the end."""
    problems, changed = [], []
    for path in arguments.files:
        try:
            found = describe(path)
        except (ValueError, OSError) as error:
            problems.append(str(error))
            continue
        print(json.dumps(found, allow_nan=False) if arguments.json else as_text(found))
        sys.stdout.flush()
        credentials = found["credentials"]
        if found["samples"] == CHANGED or (credentials and not credentials["intact"]):
            changed.append(str(path))
    if problems:
        raise ValueError("; ".join(problems))
    if changed:
        raise RuntimeError(f"changed since it was written: {', '.join(changed)}")


def describe(path: Path) -> dict[str, Any]:
    """What a file says of itself, as --json writes it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no audio file, or what it says of itself cannot be read.
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no audio file at {path}")
    with path.open("rb") as file:
        try:
            checksum = coded.coded_checksum(file)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    if checksum is None:
        raise ValueError(f"{path} is no WAV, FLAC, Ogg or MP3 file")
    told_by_chunks, record = _chunks_of(path), metadata.kept_record(path)
    told = metadata.read_checksum(path) if record else None
    samples = UNKNOWN if told is None else UNCHANGED if told == checksum else CHANGED
    found: dict[str, Any] = {"file": str(path), "record": record, "samples": samples}
    found |= told_by_chunks
    try:
        statement = provenance.read_statement(path)
        found["credentials"] = None if statement is None else vars(statement)
    except ImportError as error:
        found["credentials"], found["note"] = None, str(error)
    return found


def _chunks_of(path: Path) -> dict[str, Any]:
    """What the chunks of a WAV file say; nothing of others."""
    broadcast_text = chunks.read_chunk_of(path, b"bext")
    fields, loop = chunks.read_chunk_of(path, b"iXML"), chunks.read_chunk_of(path, b"smpl")
    cues = chunks.read_chunk_of(path, b"cue ")
    try:
        points = chunks.parse_points(cues, chunks.read_chunk_of(path, b"LISTadtl")) if cues else []
        return {
            "bext": broadcast.parse_bext(broadcast_text) if broadcast_text else {},
            "ixml": broadcast.parse_ixml(fields) if fields else {},
            "loop": chunks.parse_loop(loop) if loop else None,
            "points": [point._asdict() for point in points],
        }
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def as_text(found: dict[str, Any]) -> str:
    """What `describe` found, as lines of printable characters."""
    lines = [found["file"]]
    for group in ("record", "bext", "ixml"):
        lines += [f"  {group}  {name}: {value}" for name, value in found[group].items()]
    if found["loop"]:
        lines.append(f"  loop  from sample {found['loop'][0]} to {found['loop'][1]}")
    lines += [f"  moment  {point['sample']}: {point['label']}" for point in found["points"]]
    words = {
        UNKNOWN: "nothing says what they were",
        UNCHANGED: "unchanged since Woosh wrote them",
        CHANGED: "CHANGED since Woosh wrote them",
    }
    lines.append(f"  samples  {words[found['samples']]}")
    lines.append(f"  credentials  {_in_words(found)}")
    return "\n".join(map(printable, lines))


def _in_words(found: dict[str, Any]) -> str:
    credentials = found["credentials"]
    if credentials is None:
        return found.get("note", "none")
    state = (
        "intact" if credentials["intact"] else "BROKEN: the file was changed since it was signed"
    )
    vouched = "" if credentials["vouched"] else ", who is on no list of trusted signers"
    made = ", says that a trained model made the sound" if credentials["generated"] else ""
    codes = f" ({', '.join(credentials['problems'])})" if credentials["problems"] else ""
    return f"{state}{codes}, signed by '{credentials['signer']}'{vouched}{made}"
