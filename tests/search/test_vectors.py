"""Nearest neighbours against a matrix product, and what becomes of changed and damaged files."""

from pathlib import Path

import numpy as np
import pytest
from usearch.index import Index

from woosh.search import vectors
from woosh.search.vectors import keys_of, nearest, new_index, read_vectors, write_vectors

WIDTH = 24


def clustered(count: int, seed: int = 0) -> np.ndarray:
    """Unit vectors (N, D) around 40 centres, as they are once they were rounded to half precision."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(40, WIDTH))[rng.integers(40, size=count)]
    rows = rows + 0.5 * rng.normal(size=rows.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16).astype(np.float32)


def filled(rows: np.ndarray, first_key: int = 0) -> Index:
    index = new_index(WIDTH)
    index.add(np.arange(first_key, first_key + len(rows), dtype=np.uint64), rows)
    return index


def by_product(rows: np.ndarray, query: np.ndarray, count: int) -> list[int]:
    return np.argsort(-(rows @ query), kind="stable")[:count].tolist()


def test_small_collections_are_searched_exactly() -> None:
    rows = clustered(3000)
    index = filled(rows)
    for query in clustered(20, seed=1):
        found = nearest(index, query, 10)
        scores = [score for _, score in found]
        assert sorted(scores, reverse=True) == scores
        exact = rows @ query
        assert np.allclose([exact[key] for key, _ in found], np.sort(exact)[::-1][:10], atol=1e-3)
        assert np.allclose(scores, [exact[key] for key, _ in found], atol=1e-3)


def test_large_collections_are_searched_by_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, queries = clustered(20_000), clustered(100, seed=1)
    index = filled(rows)
    monkeypatch.setattr(vectors, "EXACT_UP_TO", 1000)
    hits = [
        len({key for key, _ in nearest(index, query, 10)} & set(by_product(rows, query, 10)))
        for query in queries
    ]
    assert np.mean(hits) / 10 >= 0.95


def test_a_written_file_answers_as_before_from_mapped_memory(tmp_path: Path) -> None:
    rows = clustered(500)
    index = filled(rows, first_key=7)
    write_vectors(tmp_path / "v.usearch", index)
    mapped = read_vectors(tmp_path / "v.usearch", WIDTH)
    assert nearest(mapped, rows[3], 5) == nearest(index, rows[3], 5)
    assert nearest(mapped, rows[3], 1)[0].key == 10
    assert keys_of(mapped) == set(range(7, 507))
    assert [path.name for path in tmp_path.iterdir()] == ["v.usearch"]


def test_a_changed_file(tmp_path: Path) -> None:
    path, rows = tmp_path / "v.usearch", clustered(300)
    write_vectors(path, filled(rows))
    index = read_vectors(path, WIDTH, changeable=True)
    index.remove(5)
    index.add(np.array([1000], dtype=np.uint64), rows[5:6])
    write_vectors(path, index)
    mapped = read_vectors(path, WIDTH)
    assert keys_of(mapped) == set(range(300)) - {5} | {1000}
    assert nearest(mapped, rows[5], 1)[0].key == 1000


@pytest.mark.parametrize("count", [1, 3, 50])
def test_more_neighbours_than_vectors(count: int) -> None:
    rows = clustered(3)
    assert len(nearest(filled(rows), rows[0], count)) == min(count, 3)
    assert nearest(new_index(WIDTH), rows[0], count) == []


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vectors"):
        nearest(filled(clustered(3)), np.ones(WIDTH + 1, dtype=np.float32), 1)
    with pytest.raises(FileNotFoundError, match="no vectors"):
        read_vectors(tmp_path / "v.usearch", WIDTH)
    path = tmp_path / "v.usearch"
    write_vectors(path, filled(clustered(300)))
    with pytest.raises(ValueError, match="25 numbers"):
        read_vectors(path, WIDTH + 1)
    whole = path.read_bytes()
    for damaged in (b"", b"something else", whole[:50], whole[: len(whole) // 2], whole[:-7]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="v.usearch"):
            read_vectors(path, WIDTH)
    with pytest.raises(OSError, match="cannot write"):
        write_vectors(tmp_path / "missing" / "v.usearch", new_index(WIDTH))
