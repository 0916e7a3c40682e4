"""Streams of shards: every sample counted over processes and workers, resumed within a pass, faults named."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from woosh.data.shards import shard_urls, write_items
from woosh.data.streaming import Item, ShardStream, StreamedBatches, shuffled

PROCESSES, WORKERS, SIZE = 2, 2, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight shards of three samples; a fourth in each is of another split."""
    folder = tmp_path_factory.mktemp("shards")
    for shard in range(8):
        items = [{"__key__": f"{shard}-{i}", "json": b"{}"} for i in range(3)]
        items.append({"__key__": f"{shard}-held-out", "json": b'{"split": "validation"}'})
        write_items(folder / f"data-{shard}.tar", items)
    return folder


def keys(samples: Sequence[tuple[str, Item]], _number: int) -> tuple[str, ...]:
    return tuple(item["__key__"] for _, item in samples)


def size(_number: int) -> int:
    return SIZE


def batches_of(
    folder: Path, rank: int, done: int, count: int, seed: int = 0, workers: int = WORKERS
) -> list[tuple[int, tuple[str, ...]]]:
    """The first `count` batches of a process that has had `done` ones."""
    stream = ShardStream(shard_urls(str(folder)), "train", seed, buffer_size=4)
    batches = StreamedBatches(stream, size, keys)
    batches.start(rank, PROCESSES, done)
    loader = DataLoader(batches, batch_size=None, num_workers=workers)
    return [batch for batch, _ in zip(loader, range(count), strict=False)]


def test_two_processes_of_two_workers_see_every_sample_once_in_a_pass(folder: Path) -> None:
    passes = 2
    count = passes * 8 * 3 // SIZE // PROCESSES  # batches of a process
    found = [batches_of(folder, rank, 0, count) for rank in range(PROCESSES)]
    numbers = [number for part in found for number, _ in part]
    assert sorted(numbers) == list(range(PROCESSES * count))
    seen = Counter(key for part in found for _, batch in part for key in batch)
    assert len(seen) == 24 and set(seen.values()) == {passes}
    half = [key for part in found for _, batch in part[: count // 2] for key in batch]
    assert len(set(half)) == 24  # the first pass has them all


@pytest.mark.parametrize("done", [1, 3, 4, 7])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_stream_goes_on_within_a_pass(folder: Path, done: int, workers: int) -> None:
    whole = batches_of(folder, 1, 0, 9, workers=workers)
    assert batches_of(folder, 1, done, 9 - done, workers=workers) == whole[done:]


def test_the_order_follows_from_the_seed(folder: Path) -> None:
    first = batches_of(folder, 0, 0, 4)
    assert first == batches_of(folder, 0, 0, 4) != batches_of(folder, 0, 0, 4, seed=1)


@given(st.integers(0, 60), st.integers(1, 20), st.integers(0, 5))
def test_shuffling_keeps_every_value(count: int, buffer: int, seed: int) -> None:
    values = list(shuffled(iter(range(count)), buffer, np.random.default_rng(seed)))
    assert sorted(values) == list(range(count))
    assert all(place >= value - buffer + 1 for place, value in enumerate(values))


def test_too_few_shards_missing_ones_and_empty_splits_are_named(folder: Path) -> None:
    urls = shard_urls(str(folder))
    with pytest.raises(ValueError, match="8 shards cannot be split over 9 readers"):
        next(ShardStream(urls, "train", 0).read(0, 9))
    with pytest.raises(ValueError, match="no sample of the split 'test'"):
        next(ShardStream(urls, "test", 0).read(0, 1))
    with pytest.raises(FileNotFoundError, match=r"no shard .*gone.tar"):
        for _ in ShardStream([*urls, f"{folder}/gone.tar"], "train", 0).read(0, 1):
            pass
    with pytest.raises(ValueError, match="buffer_size is 0"):
        ShardStream(urls, "train", 0, 0)
