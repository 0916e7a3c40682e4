"""Embeddings on disk, by the content of the clip and all that decides its embedding.

Several processes may use one cache at the same time: a file appears under its name only once it is
complete, and whoever comes second writes the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from woosh import __version__
from woosh.embeddings.embedders import Embedder, Heard
from woosh.weight_files import read_tensors
from woosh.whole_files import replacing


class Measured(NamedTuple):
    """A clip's embedding and what was noticed when it was read."""

    heard: Heard
    seconds: float  # of the part that was heard
    peak: float  # max |x| of it


def default_cache_folder() -> Path:
    """`woosh/embeddings` in the user's folder for caches: XDG_CACHE_HOME, or else ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "woosh" / "embeddings"


class EmbeddingCache:
    """A folder of embeddings.

    Args:
        folder: made when the first embedding is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def key(self, content: str, embedder: Embedder, crop: float | None) -> str:
        """What an embedding is saved under: everything that it follows from.

        Args:
            content: sha256 of the clip's file.
            embedder: of which name, weights and protocol count.
            crop: seconds of the clip that are heard; None hears it all.
        """
        origin = [
            content,
            embedder.name,
            embedder.weights,
            embedder.protocol,
            embedder.sample_rate,
            crop,
            __version__,
        ]
        return hashlib.sha256(json.dumps(origin).encode()).hexdigest()

    def load(self, key: str) -> Measured | None:
        """The embedding saved under a key; None if there is none, or only a damaged file."""
        try:
            tensors = read_tensors(self._path(key))
            seconds, peak = tensors["facts"].tolist()
            return Measured(Heard(tensors["embedding"], tensors.get("logits")), seconds, peak)
        except (OSError, KeyError, TypeError, ValueError):
            return None

    def save(self, key: str, measured: Measured) -> None:
        """Save an embedding.

        Raises:
            OSError: it cannot be written.
        """
        from safetensors.torch import save

        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_bytes(save(self._tensors(measured)))

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"

    def _tensors(self, measured: Measured) -> dict[str, Tensor]:
        tensors = {
            "embedding": measured.heard.embedding.contiguous(),
            "facts": torch.tensor([measured.seconds, measured.peak], dtype=torch.float64),
        }
        if measured.heard.logits is not None:
            tensors["logits"] = measured.heard.logits.contiguous()
        return tensors
