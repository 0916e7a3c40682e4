"""What stands beside weights in a model folder: whose recordings they heard, and how they were made."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from woosh.datasets import Row


def attribution(rows: Sequence[Row]) -> str:
    """Markdown with author, licence and address of every clip, grouped by where it was collected."""
    sources: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        sources[row.source].append(row)
    lines = [
        "# Attribution",
        "",
        f"The weights in this folder were trained on {len(rows)} recordings by the authors below, and on "
        "sounds rendered by `woosh.procedural`. Where no version of a licence is given, the address "
        "names it. No recording is contained in this folder.",
    ]
    for source, members in sorted(sources.items()):
        lines += [
            "",
            f"## {source} ({len(members)} clips, https://github.com/{source})",
            "",
            "| file | author | licence | address |",
            "|---|---|---|---|",
        ]
        for row in sorted(members, key=lambda row: row.file):
            cells = (row.file, row.author, row.licence, row.url or f"https://github.com/{source}")
            lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def copy_records(run: Path, name: str, target: Path) -> None:
    """Copy a run's configuration, loss curve and evaluation where it has them."""
    target.mkdir(parents=True, exist_ok=True)
    for file in ("config.yaml", "log.jsonl", "evaluation.json"):
        if (run / file).is_file():
            shutil.copyfile(run / file, target / f"{name}_{file}")


def size_of(folder: Path, limit: int) -> int:
    """Bytes of all files of a folder.

    Raises:
        ValueError: they are more than the limit.
    """
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > limit:
        raise ValueError(f"{folder} holds {size:,} bytes, more than {limit:,}")
    return size
