"""A folder of assets as `woosh batch` leaves it, without its making."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from woosh.studio.manifest import WHOLE, Entry, write_manifest

PLAIN = Entry(
    path="ambience/rain on roof.wav",
    name="ambience/rain on roof",
    take=None,
    prompt="heavy rain",
    negative=None,
    seed=7,
    steps=None,
    guidance=None,
    model="woosh-small",
    weights="0" * 64,
    licence="cc-by-4.0",
    version="0.7.0",
    format="wav",
    sample_rate=48_000,
    channels=1,
    seconds=10.0,
    loudness=-30.0,
    loop_start=0,
    loop_end=479_999,
    category=None,
    sha256="1" * 64,
    key="2" * 64,
)


def takes(name: str, count: int, prompt: str, file_format: str = "wav") -> list[Entry]:
    """Takes of a sound that does not loop."""
    return [
        dataclasses.replace(
            PLAIN,
            path=f"{name}-{number:02d}.{file_format}",
            name=name,
            take=number,
            prompt=prompt,
            seed=number,
            format=file_format,
            loop_start=None,
            loop_end=None,
        )
        for number in range(1, count + 1)
    ]


SHEET = [PLAIN, *takes("doors/creak", 3, "a door creaks"), *takes("beep", 1, 'a "beep"\tnow')]


def write_assets(folder: Path, entries: Sequence[Entry]) -> Path:
    """The files, empty, and their manifest."""
    for entry in entries:
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    write_manifest(folder, WHOLE, entries, [])
    return folder
