"""An index together with the model that embedded its sounds: asked by words or by ear."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from woosh.embeddings.embedders import Embedder, load_embedder, read_to_embed
from woosh.search.index import Match, SoundIndex


@dataclass(frozen=True)
class Library:
    """Sounds that can be asked for."""

    index: SoundIndex
    embedder: Embedder

    def by_words(self, text: str, count: int) -> list[Match]:
        """The sounds nearest to a text, the best first.

        Raises:
            ValueError: the embedder knows no text, or the index is damaged.
        """
        if self.embedder.text is None:
            raise ValueError(f"{self.embedder.name} knows no text: search --like a sound")
        return self._nearest(self.embedder.text([text])[0], count)

    def by_ear(self, path: Path, count: int) -> list[Match]:
        """The sounds nearest to the first minute of a file, the best first.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it cannot be read, or the index is damaged.
        """
        return self._nearest(self.embedder.embed(read_to_embed(path, self.embedder)), count)

    def _nearest(self, vector: Tensor, count: int) -> list[Match]:
        return self.index.search(functional.normalize(vector, dim=0).numpy(), count)


def load_library(index: SoundIndex, model: str, device: torch.device | str) -> Library:
    """An open index with its model.

    Raises:
        FileNotFoundError: no such model.
        ValueError: other weights than those that embedded the sounds.
    """
    embedder = load_embedder(model, device)
    if embedder.weights != index.weights:
        raise ValueError(
            f"{index.place} was made with other weights than those of {model}: name its model with --model, or delete "
            "it and run `woosh index` again"
        )
    return Library(index, embedder)
