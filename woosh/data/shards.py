"""Shards in WebDataset's form: tar files of samples, each a FLAC file and a JSON file of one name."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
import soundfile

from woosh.audio import decode_audio
from woosh.outside_files import parse_object
from woosh.whole_files import replacing

ENDING = ".tar"
# Of tar's headers that stand before a member, and of how much they may hold: a name has up to some hundred bytes.
HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
MOST_HEADER_BYTES = 2**20
MOST_SAMPLE_BYTES = 200 * 2**20  # of all files of a sample: 2^26 numbers of 24 bits, and more


@dataclass(frozen=True)
class Sample:
    """A sound of a shard, and what is known of it.

    Attributes:
        key: name, unique in its data set, without a dot.
        audio: (C, S) float32.
        sample_rate: in Hz.
        facts: JSON values; `captions` is a list of texts.
    """

    key: str
    audio: np.ndarray
    sample_rate: int
    facts: Mapping[str, Any]


def write_shard(path: Path, samples: Iterable[Sample]) -> None:
    """Write a shard of sounds, see `write_items`.

    Raises:
        OSError: it cannot be written.
    """

    def items() -> Iterable[dict[str, str | bytes]]:
        for sample in samples:
            facts = json.dumps(dict(sample.facts), ensure_ascii=False, sort_keys=True)
            yield {
                "__key__": sample.key,
                "flac": _flac(sample.audio, sample.sample_rate),
                "json": facts.encode(),
            }

    write_items(path, items())


def write_items(path: Path, items: Iterable[Mapping[str, str | bytes]]) -> None:
    """Write a shard; it appears under its name only once it is complete. Equal items make equal files.

    Args:
        path: of the shard.
        items: bytes by ending, and `__key__`.

    Raises:
        OSError: it cannot be written.
    """
    from webdataset import TarWriter

    with (
        replacing(path) as part,
        part.open("wb") as file,
        TarWriter(file, encoder=False, mtime=0) as writer,
    ):
        for item in items:
            writer.write(dict(item))


def _flac(audio: np.ndarray, sample_rate: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, audio.T, sample_rate, format="FLAC", subtype="PCM_24")
    return buffer.getvalue()


def read_items(url: str) -> Iterator[Mapping[str, Any]]:
    """Yield a shard's samples undecoded: bytes by ending, and `__key__`.

    Raises:
        FileNotFoundError: there is no such shard.
        ValueError: it is damaged, compressed as a whole, or holds a sample of more than `MOST_SAMPLE_BYTES` or a header of more
            than `MOST_HEADER_BYTES`.
    """
    from webdataset.gopen import gopen
    from webdataset.tariterators import group_by_keys

    try:
        opened: Any = gopen(url)  # its type allows for ways that are not asked for
        # Not compressed: a few megabytes of an archive that is could stand for gigabytes in one header.
        with opened as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as archive:
            yield from group_by_keys(_members(archive, url))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no shard {url}") from error
    except (OSError, EOFError, tarfile.TarError) as error:
        raise ValueError(f"{url} is damaged: {error}") from error


class _Header(tarfile.TarInfo):
    """A header of an archive. Those before a member, of long names and other facts, are read whole, whatever size they tell."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """See `tarfile.TarInfo.frombuf`.

        Raises:
            tarfile.ReadError: it is of more facts than `MOST_HEADER_BYTES`, or of a file with holes, of which no shard has any.
        """
        header = super().frombuf(buf, encoding, errors)
        if header.type in HEADERS and header.size > MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header has more than {MOST_HEADER_BYTES / 2**20:g} MiB")
        if header.type == tarfile.GNUTYPE_SPARSE:
            header.refuse_holes()
        return header

    def refuse_holes(self, *_facts: object) -> NoReturn:
        """Where the standard library would read a list of holes, of any length, as facts or a member's beginning tell it.

        Raises:
            tarfile.ReadError: always.
        """
        raise tarfile.ReadError("it holds a file with holes")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = refuse_holes


def _members(archive: tarfile.TarFile, url: str) -> Iterator[dict[str, str | bytes]]:
    """The files of an archive as webdataset groups them, those of a sample within `MOST_SAMPLE_BYTES` together."""
    key, size = "", 0
    for member in archive:
        archive.members = []  # type: ignore[attr-defined]  # of a stream all would be kept
        if not member.isreg():
            continue
        own = member.name.split(".")[0]
        key, size = own, member.size + (size if own == key else 0)
        if size > MOST_SAMPLE_BYTES:
            raise ValueError(
                f"{url}: sample {key!r} has more than {MOST_SAMPLE_BYTES / 2**20:g} MiB"
            )
        file = archive.extractfile(member)
        data = b"" if file is None else file.read()
        yield {"fname": member.name, "data": data, "__url__": url}


def read_shards(urls: Sequence[str], sample_rate: int, mono: bool = True) -> Iterator[Sample]:
    """Read the samples of shards in their order.

    Args:
        urls: paths, or addresses that webdataset opens; see `shard_urls`.
        sample_rate: of the result, in Hz.
        mono: average the channels into one.

    Raises:
        FileNotFoundError: a shard is missing.
        ValueError: a shard is damaged, or holds a sample without sound or captions.
    """
    for url in urls:
        for item in read_items(url):
            yield decode_sample(item, url, sample_rate, mono)


def decode_sample(item: Mapping[str, Any], url: str, sample_rate: int, mono: bool = True) -> Sample:
    """A sample of `read_items` at a rate in Hz, `mono` averaging its channels.

    Raises:
        ValueError: it has no sound or no captions.
    """
    key = item["__key__"]
    try:
        facts = parse_object(item["json"], "its JSON")
        audio = decode_audio(item["flac"], "its sound", sample_rate, mono)
        captions = facts["captions"]
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise ValueError(
            f"{url}: sample {key!r} is not a FLAC file beside JSON with captions ({error})"
        ) from error
    if (
        not isinstance(captions, list)
        or not captions
        or not all(isinstance(text, str) and text.strip() for text in captions)
    ):
        raise ValueError(f"{url}: the captions of {key!r} must be a list of texts")
    return Sample(key, audio, sample_rate, facts)


def shard_urls(source: str) -> list[str]:
    """The shards of a folder, of a pattern such as `data-{000..009}.tar`, or of an address that webdataset opens.

    Raises:
        FileNotFoundError: nothing there, or a folder without shards.
        ValueError: another kind of source, or an address that would run a command.
    """
    folder = Path(source)
    remedy = "make some with `woosh data prepare`, and name their folder"
    if folder.is_dir():
        urls = [str(path) for path in sorted(folder.glob(f"*{ENDING}"))]
        if not urls:
            raise FileNotFoundError(f"no shards (*{ENDING}) in {folder}: {remedy}")
        return urls
    if "://" not in source and not source.startswith("pipe:") and not source.endswith(ENDING):
        if folder.exists() or source.startswith("hf:"):
            raise ValueError(
                f"{source} is no shard (*{ENDING}): {remedy}, or set streamed to false"
            )
        raise FileNotFoundError(
            f"nothing at {source}: name a folder of sounds, a manifest (*.jsonl), shards (their folder, or a "
            f"pattern such as data-{{000..099}}{ENDING}), or a data set as hf:NAME"
        )
    from webdataset.shardlists import expand_urls

    urls = expand_urls(source)
    for url in urls:
        if url.startswith("pipe:"):
            raise ValueError(f"{url!r} would run a command: name a file or an address")
    return urls
