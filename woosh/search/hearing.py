"""Files as embeddings: read by threads ahead of the network, or heard elsewhere."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from woosh.audio import audio_seconds
from woosh.checksums import hash_files
from woosh.embeddings.embedders import Embedder, load_embedder, read_to_embed


class SoundFile(NamedTuple):
    """A file as it stands in an index."""

    path: str  # inside the folder, with forward slashes
    size: int
    modified: int  # ns


@dataclass(frozen=True)
class HeardFile:
    """What is known of a file: its embedding; nothing, if its content is known; or why neither.

    Attributes:
        file: that was read.
        content: checksum of it. Without one the file could not be read at present, which says nothing about it.
        seconds: its length.
        listened: whether a network heard it.
        embedding: unit vector (D,) in float16, as bytes.
        problem: why there is none.
    """

    file: SoundFile
    content: str
    seconds: float = 0.0
    listened: bool = False
    embedding: bytes | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Listening:
    """What is to be heard.

    Attributes:
        folder: of the files.
        files: in their order.
        embedder: that hears them.
        contents: checksums of what is known already.
    """

    folder: Path
    files: Sequence[SoundFile]
    embedder: Embedder
    contents: AbstractSet[str]


Hearing = Callable[[Listening], Iterator[HeardFile]]  # one for each file, in their order


def by_threads(readers: int = 4) -> Hearing:
    """Hear files in this process, while threads read those that follow."""

    def hear(listening: Listening) -> Iterator[HeardFile]:
        def read(file: SoundFile) -> tuple[HeardFile, Tensor | None]:
            return _read(listening.folder, file, listening.embedder, listening.contents)

        with ThreadPoolExecutor(readers) as pool:
            waiting = iter(listening.files)
            ahead = deque(pool.submit(read, file) for file in islice(waiting, 2 * readers))
            while ahead:
                found = ahead.popleft().result()
                for file in islice(waiting, 1):
                    ahead.append(pool.submit(read, file))
                yield _listened(*found, listening.embedder)

    return hear


def load_hearing(
    folder: Path, model: str, device: str, contents: AbstractSet[str]
) -> Callable[[SoundFile], HeardFile]:
    """What hears one file after the other in a process of its own, which loads the model for itself."""
    embedder = load_embedder(model, device)
    return lambda file: hear_file(folder, file, embedder, contents)


def hear_file(
    folder: Path, file: SoundFile, embedder: Embedder, contents: AbstractSet[str]
) -> HeardFile:
    """Read and hear a file, unless its content is known."""
    return _listened(*_read(folder, file, embedder, contents), embedder)


def _read(
    folder: Path, file: SoundFile, embedder: Embedder, contents: AbstractSet[str]
) -> tuple[HeardFile, Tensor | None]:
    """What is known of a file before it is heard, and its audio (S,) where it is to be."""
    path, content = folder / file.path, ""
    try:
        content = hash_files([path])
        if content in contents:
            return HeardFile(file, content), None
        audio = read_to_embed(path, embedder)
        return HeardFile(file, content, audio_seconds(path)), audio
    except OSError as error:
        return HeardFile(file, "", problem=error.strerror or str(error)), None
    except ValueError as error:
        return HeardFile(file, content, problem=str(error)), None


def _listened(heard: HeardFile, audio: Tensor | None, embedder: Embedder) -> HeardFile:
    """What is known of a file, with its embedding."""
    if audio is None:
        return heard
    vector = embedder.embed(audio).numpy()
    length = np.linalg.norm(vector)
    if not (np.isfinite(length) and length > 0):
        return dataclasses.replace(heard, listened=True, problem="the model hears nothing in it")
    embedding = (vector / length).astype(np.float16).tobytes()
    return dataclasses.replace(heard, listened=True, embedding=embedding)
