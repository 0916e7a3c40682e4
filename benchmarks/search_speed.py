"""Time and recall of searching a large index, against comparing every vector.

    python benchmarks/search_speed.py [--vectors N] [--width D] [--queries N] [--threads N]

Vectors lie in clusters of uneven size, as the sounds of a library do: takes of one recording are
near each other, kinds of sounds apart. A query is a point near one vector (an example), or between
clusters (a text). Printed are the time to build the file, its size, memory while building and while
searching, the time of a query and recall@10 against the exact answer; goals for 1,000,000 vectors
are 50 ms and 0.95.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from woosh.search import vectors
from woosh.search.vectors import nearest, new_index, read_vectors, write_vectors

BLOCK = 10_000
CLUSTER_SIZE = 100  # vectors, on average
SPREAD = 0.6  # of a cluster, relative to the distance of its centre from the origin
NEIGHBOURS = 10


def resident(field: str) -> float:
    """Megabytes of resident memory of this process: now (VmRSS) or at its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows (N, D) of length 1, float32."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clustered(count: int, width: int, generator: np.random.Generator) -> np.ndarray:
    """Unit vectors (N, D) in clusters whose sizes follow an exponential law."""
    clusters = max(1, count // CLUSTER_SIZE)
    centres = unit(generator.normal(size=(clusters, width)))
    chances = generator.exponential(size=clusters)
    members = generator.choice(clusters, count, p=chances / chances.sum())
    rows = np.empty((count, width), np.float32)
    for start in range(0, count, BLOCK):
        part = centres[members[start : start + BLOCK]]
        noise = generator.normal(size=part.shape) * SPREAD / width**0.5
        rows[start : start + BLOCK] = unit(part + noise)
    return rows


def questions(rows: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Unit vectors (N, D): half of them near one of the rows, half between two of them."""
    chosen = rows[generator.integers(len(rows), size=(2, count))]
    noise = generator.normal(size=chosen[0].shape) * SPREAD / rows.shape[1] ** 0.5
    between = np.where(np.arange(count)[:, None] % 2 == 0, noise, chosen[1])
    return unit(chosen[0] + between)


def exact(rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Places (Q, 10) of the rows with the greatest cosines."""
    best = []
    for query in queries:
        scores = rows @ query
        best.append(np.argpartition(-scores, NEIGHBOURS)[:NEIGHBOURS])
    return np.stack(best)


def main(arguments: argparse.Namespace) -> None:
    """Build, write, map, ask."""
    generator = np.random.default_rng(0)
    rows = clustered(arguments.vectors, arguments.width, generator)
    queries = questions(rows, arguments.queries, generator)
    print(f"{len(rows)} vectors of {rows.shape[1]} in clusters of {CLUSTER_SIZE} on average")
    Path("/proc/self/clear_refs").write_text(
        "5"
    )  # the peak is from here, not of the vectors' making
    before, started = resident("VmRSS"), time.perf_counter()
    index = new_index(arguments.width)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        keys = np.arange(start, start + len(block), dtype=np.uint64)
        index.add(keys, block, threads=arguments.threads)
    print(
        f"built in {time.perf_counter() - started:.0f} s with {arguments.threads} threads, "
        f"{resident('VmHWM') - before:.0f} MB more memory"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.usearch"
        write_vectors(path, index)
        del index
        before = resident("VmRSS")
        mapped = read_vectors(path, arguments.width)
        print(f"file of {path.stat().st_size / 1e6:.0f} MB")
        truth = exact(rows, queries)
        for name, limit in (("graph", 0), ("one by one", len(rows))):
            vectors.EXACT_UP_TO = limit
            nearest(mapped, queries[0], NEIGHBOURS)
            times, hits = [], []
            for query, best in zip(queries, truth, strict=True):
                began = time.perf_counter()
                found = nearest(mapped, query, NEIGHBOURS)
                times.append(1000 * (time.perf_counter() - began))
                hits.append(len({key for key, _ in found} & set(best.tolist())) / NEIGHBOURS)
            print(
                f"{name}: {np.median(times):.1f} ms a query (95 %: {np.quantile(times, 0.95):.1f}), "
                f"recall@{NEIGHBOURS} {np.mean(hits[::2]):.3f} near a vector, "
                f"{np.mean(hits[1::2]):.3f} between two, {np.mean(hits):.3f} in all, "
                f"{resident('VmRSS') - before:.0f} MB of the file in memory"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    main(parser.parse_args())
