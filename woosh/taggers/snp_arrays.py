"""SNP arrays for `DeepSnp`: simulated windows with known breaks, and plain tables of measured ones.

Two tracks in the order of `TRACKS`: B-allele frequency (share of the allele that is called B, 0 to 1) and log-R ratio
(logarithm to base 2 of the intensity against the expected one).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from woosh.outside_files import lines_of, read_text

TRACKS = ("B-allele frequency", "log-R ratio")
COPY_NUMBERS = (1, 2, 3, 4)
COMPRESSION = 0.55  # log-R ratios of real arrays change by about half of what copies would give
FREQUENCIES = (0.1, 0.9)  # of allele B among people, uniform
MARGINS = 4  # in a window
CENTRES, SPREADS = (0.5, 0.0), (0.35, 0.3)  # of both tracks, by which they are normalised
MOST_BYTES = 256 * 2**20
# How a table's columns are called, without case, spaces, dots and the like; a sample's name may stand before.
COLUMNS = {
    "chromosome": ("chr", "chrom", "chromosome"),
    "position": ("position", "pos"),
    "B-allele frequency": ("ballelefreq", "ballelefrequency", "baf"),
    "log-R ratio": ("logrratio", "lrr"),
}
MISSING = ("", "na", "nan", "nc", "null", "-")
AUTOSOMES = 22


class Windows(NamedTuple):
    """Windows of two tracks, with what is known of them."""

    tracks: np.ndarray  # (B, 2, P) float32
    broken: np.ndarray  # (B,) bool: the copy number changes inside
    points: np.ndarray  # (B,) position of the change, within the middle half; -1 without one


def simulated_windows(
    count: int, margin: int, noise: float, generator: np.random.Generator
) -> Windows:
    """Windows of 4 margins, half of them with one change of the copy number from 1 to 4.

    An SNP has n copies, each B with the frequency of its allele; copies beyond two double one of the parents'.

    Args:
        count: B.
        margin: positions; a change is at least so far from both ends.
        noise: standard deviation of the log-R ratio; a fifth of it of the B-allele frequency.
        generator: of all draws.
    """
    tracks = np.zeros((count, len(TRACKS), MARGINS * margin), dtype=np.float32)
    broken = np.arange(count) % 2 == 0
    points = np.full(count, -1)
    for number in range(count):
        before, after = generator.choice(COPY_NUMBERS, 2, replace=False)
        if broken[number]:
            points[number] = generator.integers(margin, 3 * margin)
        place = points[number] if broken[number] else 0
        copies = np.where(np.arange(MARGINS * margin) < place, before, after)
        tracks[number] = measured(copies, noise, generator)
    order = generator.permutation(count)
    return Windows(tracks[order], broken[order], points[order])


def measured(copies: np.ndarray, noise: float, generator: np.random.Generator) -> np.ndarray:
    """What an array measures of SNPs with these copy numbers (P,), 1 or more: both tracks (2, P)."""
    frequency = generator.uniform(*FREQUENCIES, len(copies))
    parents = generator.random((2, len(copies))) < frequency  # whether each parent's allele is B
    of_first = np.where(copies == 1, 1, copies - copies // 2)
    alleles = of_first * parents[0] + (copies - of_first) * parents[1]
    share = alleles / copies + noise / 5 * generator.standard_normal(len(copies))
    ratio = COMPRESSION * np.log2(copies / 2) + noise * generator.standard_normal(len(copies))
    return np.stack([share.clip(0, 1), ratio]).astype(np.float32)


def normalised(tracks: np.ndarray) -> np.ndarray:
    """Both tracks (..., 2, P) about 0 and about as wide as 1, as `DeepSnp` learns them, float32."""
    centres, spreads = (
        np.array(values, dtype=np.float32)[:, None] for values in (CENTRES, SPREADS)
    )
    return ((tracks - centres) / spreads).astype(np.float32)


class SnpTable(NamedTuple):
    """What an array measured on one chromosome, in the order of the positions."""

    positions: np.ndarray  # (P,) base pairs, ascending
    tracks: np.ndarray  # (2, P) float32


def read_snp_table(path: str | Path) -> dict[str, SnpTable]:
    """The chromosomes of a table with columns for chromosome, position, B-allele frequency and log-R ratio.

    Columns are separated by tabs, commas, semicolons or blanks, and told by their names: "Chr", "Position",
    "B Allele Freq" and "Log R Ratio" as array software writes them, also behind a sample's name, or "BAF" and "LRR".
    Rows without one of the numbers are left out.

    Returns:
        By chromosome as the table names it, without "chr" before it, numbers first and in order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a column is missing or there twice, a number cannot be read, or there is no row.
    """
    path = Path(path)
    lines = lines_of(read_text(path, MOST_BYTES))
    if not lines:
        raise ValueError(f"{path} is empty: it must hold a table with a line of column names")
    separator = next((mark for mark in "\t,;" if mark in lines[0]), " ")
    rows = csv.reader(lines, delimiter=separator, skipinitialspace=separator == " ")
    places = column_places(next(rows), str(path))
    found: dict[str, list[tuple[float, float, float]]] = {}
    for number, row in enumerate(rows, start=2):
        if not any(cell.strip() for cell in row):
            continue
        values = numbers_of(row, places, f"{path}, line {number}")
        if values is not None:
            name = row[places["chromosome"]].strip().removeprefix("chr")
            found.setdefault(name, []).append(values)
    if not found:
        raise ValueError(f"{path} has no row with all of {', '.join(COLUMNS)}")
    tables = {}
    for name in sorted(found, key=chromosome_order):
        measured_rows = np.array(sorted(found[name]))  # by position
        tables[name] = SnpTable(
            measured_rows[:, 0].astype(np.int64), measured_rows[:, 1:].T.astype(np.float32)
        )
    return tables


def column_places(names: Sequence[str], title: str) -> dict[str, int]:
    """Where each of `COLUMNS` stands in a line of names.

    Raises:
        ValueError: a column is missing or there twice.
    """
    plain = ["".join(c for c in name.lower() if c.isalnum()) for name in names]
    places = {}
    for column, spellings in COLUMNS.items():
        exact = [place for place, name in enumerate(plain) if name in spellings]
        behind = [
            place
            for place, name in enumerate(names)
            if "".join(c for c in name.rsplit(".", 1)[-1].lower() if c.isalnum()) in spellings
        ]
        fitting = exact or behind
        if len(fitting) != 1:
            raise ValueError(
                f"{title} has {len(fitting)} columns for {column}, it must have one: one of {', '.join(spellings)} "
                f"among {', '.join(names)}"
            )
        places[column] = fitting[0]
    return places


def numbers_of(
    row: Sequence[str], places: dict[str, int], title: str
) -> tuple[float, float, float] | None:
    """Position and both tracks of a row; None where one is missing.

    Raises:
        ValueError: too few cells, or one that is no number.
    """
    if len(row) <= max(places.values()):
        raise ValueError(f"{title}: {len(row)} cells, the columns' names need more")
    values = []
    for column in ("position", *TRACKS):
        cell = row[places[column]].strip()
        if cell.lower() in MISSING:
            return None
        try:
            value = float(cell)
        except ValueError as error:
            raise ValueError(f"{title}: {column} is {cell!r}, which is no number") from error
        if not math.isfinite(value):
            return None
        values.append(value)
    position, share, ratio = values
    return position, share, ratio


def chromosome_order(name: str) -> tuple[int, str]:
    """Numbers first, in order, then letters."""
    counted = name.isdecimal() and len(name) <= len(str(AUTOSOMES))
    return (int(name), "") if counted else (AUTOSOMES + 1, name)


def cut_windows(table: SnpTable, margin: int) -> np.ndarray:
    """Windows (B, 2, 4 margins) of a chromosome, each half a window after the one before; the rest at the end is left out.

    Raises:
        ValueError: fewer positions than a window has.
    """
    size = MARGINS * margin
    count = table.tracks.shape[1]
    if count < size:
        raise ValueError(
            f"{count} positions are fewer than a window of {size}: take a smaller margin"
        )
    starts = range(0, count - size + 1, size // 2)
    return np.stack([table.tracks[:, start : start + size] for start in starts])
