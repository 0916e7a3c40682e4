"""Recordings named by a manifest, or found in a folder with captions beside them."""

from __future__ import annotations

from pathlib import Path

from woosh.audio import SUFFIXES, file_stem
from woosh.data.manifests import Row, read_manifest


def list_recordings(source: Path) -> tuple[Path, list[Row]]:
    """The rows of a manifest, or the audio files below a folder with captions that lie beside them.

    The captions of `dog.wav` are the lines of `dog.txt`, or the words of its name if there is no such file.

    Returns:
        The folder that the rows' files are relative to, and the rows.

    Raises:
        FileNotFoundError: no such manifest or folder.
        ValueError: a faulty manifest, or no audio file in the folder.
    """
    if source.is_file():
        return source.parent, read_manifest(source)
    if not source.is_dir():
        raise FileNotFoundError(f"neither a manifest nor a folder: {source}")
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    rows = [
        Row(path.relative_to(source).as_posix(), _captions_beside(path), 0.0, group=path.stem)
        for path in paths
        if path.is_file()
    ]
    if not rows:
        raise ValueError(f"{source} holds no audio file ({', '.join(sorted(SUFFIXES))})")
    return source, rows


def _captions_beside(path: Path) -> tuple[str, ...]:
    beside = path.with_suffix(".txt")
    lines = beside.read_text(encoding="utf-8").splitlines() if beside.is_file() else []
    captions = tuple(line.strip() for line in lines if line.strip())
    return captions or (file_stem(path.stem).replace("-", " "),)
