"""Sounds and words as vectors."""

from woosh.embeddings.embedders import Embedder, load_embedder

__all__ = ["Embedder", "load_embedder"]
