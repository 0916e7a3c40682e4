"""Simulated SNP arrays follow their model; tables are read as array software writes them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from woosh.taggers.snp_arrays import (
    COMPRESSION,
    SnpTable,
    cut_windows,
    measured,
    normalised,
    read_snp_table,
    simulated_windows,
)

TABLE = "Name\tChr\tPosition\tS1.B Allele Freq\tS1.Log R Ratio\n"


def test_windows_break_where_they_are_said_to() -> None:
    windows = simulated_windows(40, 100, 0.0, np.random.default_rng(0))
    assert windows.tracks.shape == (40, 2, 400) and windows.tracks.dtype == np.float32
    assert windows.broken.sum() == 20
    for track, broken, point in zip(*windows, strict=True):
        changes = np.flatnonzero(np.diff(track[1]))
        assert changes.tolist() == ([point - 1] if broken else [])
        assert 100 <= point < 300 if broken else point == -1


def test_alleles_and_ratio_follow_the_copies() -> None:
    """Of n copies k have allele B, and two parents give no more than four ways; without noise both tracks are exact."""
    generator = np.random.default_rng(0)
    for copies, shares in (
        (1, {0, 1}),
        (2, {0, 0.5, 1}),
        (3, {0, 1 / 3, 2 / 3, 1}),
        (4, {0, 0.5, 1}),
    ):
        share, ratio = measured(np.full(500, copies), 0.0, generator)
        assert set(share.round(4)) == {np.float32(value).round(4) for value in shares}
        np.testing.assert_allclose(ratio, COMPRESSION * np.log2(copies / 2), rtol=1e-6)
    _, noisy = measured(np.full(5000, 2), 0.2, generator)
    assert np.std(noisy) == pytest.approx(0.2, rel=0.1)


def test_a_table_is_read_by_chromosome_in_the_order_of_positions(tmp_path: Path) -> None:
    path = tmp_path / "array.txt"
    path.write_text(
        TABLE
        + "a\tchr10\t5\t0.5\t-0.1\nb\t2\t900\t1\t0.2\nc\t2\t100\t0\t0.3\nd\tX\t7\tNaN\t0\n"
        + "e\tX\t8\t0.5\t0.4\n\n"
    )
    tables = read_snp_table(path)
    assert list(tables) == ["2", "10", "X"]
    assert tables["2"].positions.tolist() == [100, 900]
    np.testing.assert_allclose(tables["2"].tracks, [[0, 1], [0.3, 0.2]], rtol=1e-6)
    assert tables["X"].positions.tolist() == [8]  # a row without one of the numbers is left out


@pytest.mark.parametrize("mark", [",", ";", " "])
def test_columns_may_be_separated_by_other_marks(mark: str, tmp_path: Path) -> None:
    path = tmp_path / "array.csv"
    rows = (("chromosome", "pos", "LRR", "BAF"), ("1", "30", "-0.5", "0.25"))
    path.write_text("\n".join(mark.join(row) for row in rows))
    np.testing.assert_allclose(read_snp_table(path)["1"].tracks, [[0.25], [-0.5]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("Chr,Position,BAF\n", "0 columns for log-R ratio"),
        ("Chr,Position,BAF,BAF,LRR\n", "2 columns for B-allele"),
        ("Chr,Position,BAF,LRR\n1,2,x,0\n", "line 2: B-allele frequency is 'x'"),
        ("Chr,Position,BAF,LRR\n1,2\n", "line 2: 2 cells"),
        ("Chr,Position,BAF,LRR\n", "no row"),
    ],
)
def test_faulty_tables_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "array.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_snp_table(path)


def test_windows_of_a_chromosome_overlap_by_half() -> None:
    table = SnpTable(np.arange(10), np.stack([np.arange(10), -np.arange(10)]).astype(np.float32))
    windows = cut_windows(table, margin=1)
    assert windows[:, 0, 0].tolist() == [0, 2, 4, 6] and windows.shape == (4, 2, 4)
    with pytest.raises(ValueError, match="10 positions are fewer than a window of 12"):
        cut_windows(table, margin=3)


NUMBERS = st.floats(-5, 5).map(lambda value: round(value, 4))
ROWS = st.lists(
    st.tuples(st.sampled_from(["1", "2", "X"]), st.integers(0, 10**9), NUMBERS, NUMBERS),
    min_size=1,
    max_size=20,
)


@given(ROWS, st.sampled_from("\t,;"), st.permutations(["Chr", "Position", "BAF", "LRR"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_whatever_is_written_comes_back_in_order(
    tmp_path: Path, rows: list[tuple[str, int, float, float]], mark: str, order: list[str]
) -> None:
    lines = [mark.join(order)]
    for row in rows:
        cells = dict(zip(("Chr", "Position", "BAF", "LRR"), map(str, row), strict=True))
        lines.append(mark.join(cells[name] for name in order))
    path = tmp_path / "array.txt"
    path.write_text("\n".join(lines))
    tables = read_snp_table(path)
    for name, table in tables.items():
        own = sorted(row[1:] for row in rows if row[0] == name)
        assert table.positions.tolist() == [row[0] for row in own]
        np.testing.assert_allclose(table.tracks.T, [row[1:] for row in own], rtol=1e-6)
    assert sum(len(table.positions) for table in tables.values()) == len(rows)


@given(st.text(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_text_is_a_table_or_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "array.txt"
    path.write_text("Chr,Position,BAF,LRR\n" + text, encoding="utf-8", errors="ignore")
    try:
        read_snp_table(path)
    except ValueError as error:
        assert str(path) in str(error) and len(str(error).splitlines()) == 1


def test_normalised_tracks_are_about_as_wide_as_one() -> None:
    windows = simulated_windows(20, 100, 0.1, np.random.default_rng(0))
    found = normalised(windows.tracks)
    assert found.dtype == np.float32 and found.shape == windows.tracks.shape
    assert np.abs(found.mean(axis=(0, 2))).max() < 0.5
    assert np.abs(found.std(axis=(0, 2)) - 1).max() < 0.5
