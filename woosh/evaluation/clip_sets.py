"""Folders of clips as sets: listed by content, read by several processes, never all in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from woosh.audio import SUFFIXES, find_files, read_audio
from woosh.checksums import hash_files
from woosh.data.manifests import read_objects
from woosh.embeddings.cache import EmbeddingCache, Measured
from woosh.embeddings.embedders import Embedder
from woosh.progress import Progress, no_progress


@dataclass(frozen=True)
class Reading:
    """How the clips of a set are read.

    Attributes:
        crop: seconds of each clip that are heard, from its beginning; None hears it all.
        workers: processes that read beside this one; 0 reads in this one.
        cache: of embeddings; None keeps none.
        progress: shows how far it is.
    """

    crop: float | None = None
    workers: int = 0
    cache: EmbeddingCache | None = None
    progress: Progress = no_progress


@dataclass(frozen=True)
class ClipFile:
    """A file of a set.

    Attributes:
        path: where it is.
        name: path inside the set's folder, with forward slashes.
        content: sha256 of the file.
    """

    path: Path
    name: str
    content: str

    @property
    def stem(self) -> str:
        """The name without extension, by which clips of two sets form pairs."""
        return self.name.removesuffix(self.path.suffix)


@dataclass(frozen=True)
class ClipSet:
    """The clips below a folder, in the order of their contents: how they are named does not matter."""

    folder: Path
    files: tuple[ClipFile, ...]

    @property
    def content(self) -> str:
        """sha256 of the contents of all files, whatever their names."""
        return hashlib.sha256("".join(file.content for file in self.files).encode()).hexdigest()


def list_clips(folder: Path, progress: Progress = no_progress) -> ClipSet:
    """Find the audio files below a folder, by their extension, and hash them.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: it holds no audio file.
        OSError: it, or a folder in it, cannot be listed.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    found = find_files(folder, SUFFIXES)
    if found.unreadable:
        path, reason = next(iter(found.unreadable.items()))
        raise OSError(f"{folder / path} {reason}: a part of a set is not the set")
    paths = sorted(found.files)
    if not paths:
        kinds = ", ".join(sorted(SUFFIXES))
        raise ValueError(f"{folder} holds no audio file ({kinds})")
    with ThreadPoolExecutor(max_workers=4) as pool:
        hashes = pool.map(lambda path: hash_files([path]), paths)
        contents = list(progress(hashes, len(paths), f"hashing {folder.name}"))
    files = [
        ClipFile(path, path.relative_to(folder).as_posix(), content)
        for path, content in zip(paths, contents, strict=True)
    ]
    return ClipSet(folder, tuple(sorted(files, key=lambda file: (file.content, file.name))))


def read_clip(path: Path, sample_rate: int, crop: float | None) -> Tensor:
    """The first `crop` seconds of a file, or all of it, as mono audio (S,) at a sample rate.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read, holds no samples, or values that are not finite.
    """
    # A second more than is heard: resampling looks ahead.
    longest = None if crop is None else crop + 1.0
    audio = read_audio(path, sample_rate, mono=True, longest_seconds=longest)[0]
    if crop is not None:
        audio = audio[: max(1, round(crop * sample_rate))]
    if len(audio) == 0:
        raise ValueError(f"{path} is too short: no sample is left at {sample_rate} Hz")
    return torch.from_numpy(np.ascontiguousarray(audio))


class _Reader(Dataset):
    """Item i is the audio (S,) of file i, its embedding if that is cached, or why it is neither."""

    def __init__(
        self,
        files: tuple[ClipFile, ...],
        sample_rate: int,
        reading: Reading,
        embedder: Embedder | None,
    ) -> None:
        self.files, self.sample_rate, self.crop = files, sample_rate, reading.crop
        self.cache = None if embedder is None else reading.cache
        self.keys: list[str] = []
        if self.cache is not None and embedder is not None:
            self.keys = [self.cache.key(file.content, embedder, self.crop) for file in files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor | Measured | str:
        measured = None if self.cache is None else self.cache.load(self.keys[index])
        if measured is not None:
            return measured
        try:
            return read_clip(self.files[index].path, self.sample_rate, self.crop)
        except (ValueError, OSError) as error:
            return str(error)


def _as_it_is(item: Any) -> Any:
    return item


def read_clips(
    clips: ClipSet, sample_rate: int, reading: Reading, embedder: Embedder | None = None
) -> Iterator[Tensor | Measured | str]:
    """Read the clips of a set in its order, a few ahead of their use.

    Args:
        clips: the set.
        sample_rate: of the audio, in Hz.
        reading: how.
        embedder: whose cached embeddings will do in the place of audio.

    Yields:
        Of each file the audio (S,), its cached embedding, or in words why it cannot be read.
    """
    reader = _Reader(clips.files, sample_rate, reading, embedder)
    loader = DataLoader(
        reader,
        batch_size=None,
        num_workers=min(reading.workers, len(reader)),
        collate_fn=_as_it_is,
        generator=torch.Generator(),  # the loader draws a number, which must not be the global one
    )
    yield from loader


def read_captions(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a JSONL of captions: in every row `file`, and `caption` or a list `captions`.

    Returns:
        Captions by the file's path, relative as it stands there, without extension.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a row that is no JSON object, lacks a field or names a file again.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no captions at {path}")
    captions: dict[str, tuple[str, ...]] = {}
    for place, row in read_objects(path):
        stem, texts = _caption_row(row, place)
        if stem in captions:
            raise ValueError(f"{place}: {stem!r} has captions already")
        captions[stem] = texts
    if not captions:
        raise ValueError(f"{path} holds no captions")
    return captions


def _caption_row(row: Mapping[str, Any], place: str) -> tuple[str, tuple[str, ...]]:
    file = row.get("file")
    if not isinstance(file, str) or not file:
        raise ValueError(f"{place}: `file` must be a path, not {file!r}")
    texts = row.get("captions", [row.get("caption")])
    if (
        not isinstance(texts, list)
        or not texts
        or not all(isinstance(text, str) and text.strip() for text in texts)
    ):
        raise ValueError(f"{place}: `caption` must be a text, or `captions` a list of texts")
    suffix = Path(file).suffix
    stem = file.removesuffix(suffix) if suffix.lower() in SUFFIXES else file
    return Path(stem).as_posix(), tuple(texts)
