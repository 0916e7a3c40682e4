"""Checksums of files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

READ_BYTES = 1 << 20


def hash_files(files: Sequence[Path]) -> str:
    """sha256 of a file, or of several ones' names and hashes, in the order of their names."""
    if len(files) == 1:
        return _hash_file(files[0])
    lines = sorted(f"{file.parent.name}/{file.name} {_hash_file(file)}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
