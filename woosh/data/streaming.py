"""Shards read as they are needed: an endless, shuffled pass that processes and their workers share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from woosh.data.clips import Clip, with_channels
from woosh.data.manifests import split_of
from woosh.data.shards import Sample, decode_sample, read_items
from woosh.outside_files import parse_object

Batch = TypeVar("Batch", covariant=True)
Item = Mapping[str, Any]


class ShardStream:
    """The samples of shards in an order that follows from the seed, pass after pass.

    In every pass each reader has shards of its own, and the readers together have all of them: no sample comes
    twice in a pass of its reader, none is left out.

    Args:
        urls: of the shards, see `woosh.data.shards.shard_urls`.
        split: samples of another one are left out; those that name none belong to "train".
        seed: of the order.
        buffer_size: samples among which the next one is drawn; 1 keeps the order within shards.
    """

    def __init__(self, urls: Sequence[str], split: str, seed: int, buffer_size: int = 256) -> None:
        if buffer_size < 1:
            raise ValueError(f"buffer_size is {buffer_size}; it must be 1 or more")
        self.urls, self.split, self.seed, self.buffer_size = tuple(urls), split, seed, buffer_size

    def read(self, reader: int, readers: int) -> Iterator[tuple[str, Item]]:
        """Yield the shard and the undecoded sample, without end.

        Args:
            reader: number of this reader, from 0.
            readers: how many there are.

        Raises:
            ValueError: fewer shards than readers, or no sample of the split.
            FileNotFoundError: a shard is missing.
        """
        if len(self.urls) < readers:
            raise ValueError(
                f"{len(self.urls)} shards cannot be split over {readers} readers (processes times workers): "
                "prepare more, smaller shards, or take fewer workers"
            )
        for epoch in itertools.count():
            generator = np.random.default_rng((self.seed, epoch))
            own = [self.urls[i] for i in generator.permutation(len(self.urls))[reader::readers]]
            generator = np.random.default_rng((self.seed, epoch, reader))
            found = False
            for sample in shuffled(self._own(own), self.buffer_size, generator):
                found = True
                yield sample
            if not found:
                raise ValueError(f"no sample of the split {self.split!r} in the shards {own}")

    def _own(self, urls: Sequence[str]) -> Iterator[tuple[str, Item]]:
        for url in urls:
            for item in read_items(url):
                facts = parse_object(item.get("json", b"{}"), f"{url}: {item['__key__']}")
                if split_of(facts) == self.split:
                    yield url, item


Value = TypeVar("Value")


def shuffled(
    values: Iterator[Value], buffer_size: int, generator: np.random.Generator
) -> Iterator[Value]:
    """Every value once, each drawn from the next `buffer_size` ones."""
    buffer: list[Value] = []
    for value in values:
        buffer.append(value)
        if len(buffer) == buffer_size:
            yield buffer.pop(int(generator.integers(len(buffer))))
    while buffer:
        yield buffer.pop(int(generator.integers(len(buffer))))


class StreamedBatches(IterableDataset, Generic[Batch]):
    """Batches from a stream, the same whether the run was interrupted or not.

    Process r of P and its worker w of W are reader r W + w. A loader takes batches from its workers in turn, so that
    after n batches of a process it is known how many each worker gave: these are passed over undecoded.

    Args:
        stream: of the samples.
        size: gives a batch's number of samples by the batch's number.
        make: gives the batch of undecoded samples, each with its shard, and the batch's number.
    """

    def __init__(
        self,
        stream: ShardStream,
        size: Callable[[int], int],
        make: Callable[[Sequence[tuple[str, Item]], int], Batch],
    ) -> None:
        self.stream, self.size, self.make = stream, size, make
        self.place = (0, 1, 0)

    def start(self, rank: int, processes: int, done: int) -> None:
        """Before the loader: say which process this is, of how many, and how many batches it has had."""
        self.place = (rank, processes, done)

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        rank, processes, done = self.place
        info = get_worker_info()
        workers, identity = (1, 0) if info is None else (info.num_workers, info.id)
        worker = (identity + done) % workers  # whose turn it is after `done` batches
        given = done // workers + (worker < done % workers)
        samples = self.stream.read(rank * workers + worker, processes * workers)

        def number(count: int) -> int:
            return (count * workers + worker) * processes + rank

        for count in range(given):
            for _ in range(self.size(number(count))):
                next(samples)
        for count in itertools.count(given):
            taken = list(itertools.islice(samples, self.size(number(count))))
            yield number(count), self.make(taken, number(count))


def decode_clips(
    samples: Sequence[tuple[str, Item]], sample_rate: int, channels: int = 1
) -> list[Clip]:
    """Clips of undecoded samples, mono or stereo, at a rate in Hz."""
    decoded = [decode_sample(item, url, sample_rate, channels == 1) for url, item in samples]
    return [clip_of(sample, channels) for sample in decoded]


def clip_of(sample: Sample, channels: int = 1) -> Clip:
    """A shard's sample as a clip, mono or stereo."""
    return Clip(
        with_channels(sample.audio, channels),
        tuple(sample.facts["captions"]),
        sample.key,
        str(sample.facts.get("label", "")),
        str(sample.facts.get("group", "")),
    )


class Numbered(Protocol[Batch]):
    """Whatever gives a batch by its number."""

    def batch(self, number: int) -> Batch: ...


class NumberedBatches(Dataset, Generic[Batch]):
    """The batches from `start` on as a map-style data set, for the loader to split by process."""

    def __init__(self, source: Numbered[Batch], start: int, count: int) -> None:
        self.source, self.start, self.count = source, start, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[int, Batch]:
        """The batch's number, and the batch."""
        return self.start + index, self.source.batch(self.start + index)
