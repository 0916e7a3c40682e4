"""Recordings named by a manifest, or found in a folder with captions beside them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from woosh.audio import SUFFIXES, file_stem
from woosh.data.manifests import Row, read_manifest


def list_recordings(source: Path, suffixes: Collection[str] = SUFFIXES) -> tuple[Path, list[Row]]:
    """The rows of a manifest, or the audio files below a folder with captions that lie beside them.

    The captions of `dog.wav` are the lines of `dog.txt`, or the words of its name if there is no such file.

    Args:
        source: manifest (JSONL beside its files) or folder.
        suffixes: of the files that count in a folder, in lower case.

    Returns:
        The folder that the rows' files are relative to, and the rows.

    Raises:
        FileNotFoundError: no such manifest or folder.
        ValueError: a faulty manifest, or no audio file in the folder.
    """
    if source.is_file():
        rows = read_manifest(source)
        if not rows:
            raise ValueError(
                f"{source} has no rows: a manifest has a line of JSON for every recording"
            )
        return source.parent, rows
    if not source.is_dir():
        raise FileNotFoundError(
            f"neither a manifest nor a folder: {source}; name a folder of sounds, or a JSONL manifest"
        )
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in suffixes)
    rows = [
        Row(path.relative_to(source).as_posix(), _captions_beside(path), 0.0, group=path.stem)
        for path in paths
        if path.is_file()
    ]
    if not rows:
        kind = "audio" if suffixes == SUFFIXES else "such"
        raise ValueError(f"{source} holds no {kind} file ({', '.join(sorted(suffixes))})")
    return source, rows


def _captions_beside(path: Path) -> tuple[str, ...]:
    beside = path.with_suffix(".txt")
    lines = beside.read_text(encoding="utf-8").splitlines() if beside.is_file() else []
    captions = tuple(line.strip() for line in lines if line.strip())
    return captions or (file_stem(path.stem).replace("-", " "),)
