"""A toy copy of Clotho's layout."""

import csv
from collections.abc import Sequence
from pathlib import Path

from tests.sounds import RATE, sound
from woosh.audio import write_audio
from woosh.data.clotho import CAPTIONS


def write_table(path: Path, rows: Sequence[Sequence[str]], encoding: str = "utf-8") -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows(rows)


def write_clotho(folder: Path) -> None:
    """Two sounds of `development` and one of `evaluation`, five captions each, metadata in Latin-1."""
    for split, names in (
        ("development", ("Rain, on roof.wav", "b.wav")),
        ("evaluation", ("c.wav",)),
    ):
        (folder / split).mkdir(parents=True)
        captions: list[list[str]] = [["file_name", *CAPTIONS]]
        facts = [["file_name", "keywords", "sound_link", "manufacturer", "license"]]
        for number, name in enumerate(names):
            write_audio(folder / split / name, sound(number + len(split)), RATE)
            captions.append([name, *(f'{name}, "heard" {place}' for place in range(5))])
            facts.append([name, "rain;roof", f"https://example.org/{number}", "José", "CC0"])
        write_table(folder / f"clotho_captions_{split}.csv", captions)
        write_table(folder / f"clotho_metadata_{split}.csv", facts, "latin-1")
