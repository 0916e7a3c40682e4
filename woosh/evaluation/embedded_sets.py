"""Sets of clips in an embedding: read, embedded one by one, and described as they come."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from woosh.embeddings.cache import Measured
from woosh.embeddings.embedders import Embedder, ExternalEmbeddings, Heard
from woosh.evaluation.clip_sets import ClipFile, ClipSet, Reading, read_clips
from woosh.metrics.distributions import Statistics
from woosh.metrics.tags import sigmoid_tags, softmax_tags

EXTERNAL_RATE = 48_000  # Hz at which clips are checked whose embeddings come from elsewhere
STATISTICS_ROWS = 256


@dataclass(frozen=True)
class EmbeddedSet:
    """A set of clips in one embedding, without those that cannot be read; N clips."""

    files: tuple[ClipFile, ...]
    embeddings: Tensor  # (N, D) float32
    statistics: Statistics
    softmax: Tensor | None  # (N, C) float32 tags; None if the embedder is no tagger
    sigmoid: Tensor | None
    seconds: Tensor  # (N,) of the parts that were heard
    peaks: Tensor  # (N,)
    unreadable: dict[str, str]  # file -> why


def embed_set(
    clips: ClipSet, embedder: Embedder | ExternalEmbeddings, reading: Reading
) -> EmbeddedSet:
    """Embed the clips of a set one by one, so that none's embedding depends on another.

    Raises:
        ValueError: no clip can be read, or an embedding is not finite.
    """
    network = embedder if isinstance(embedder, Embedder) else None
    rate = EXTERNAL_RATE if network is None else network.sample_rate
    labels = 0 if network is None else network.tags
    # Filled row by row: thousands of small tensors would leave the memory full of holes.
    embeddings = torch.empty(len(clips.files), embedder.width)
    tags = torch.empty(len(clips.files), 2, labels)
    facts = torch.empty(len(clips.files), 2, dtype=torch.float64)
    files: list[ClipFile] = []
    unreadable: dict[str, str] = {}
    items = read_clips(clips, rate, reading, network)
    read = reading.progress(items, len(clips.files), f"{embedder.name}, {clips.folder.name}")
    for file, item in zip(clips.files, read, strict=True):
        if isinstance(item, str):
            unreadable[file.name] = item
            continue
        measured = item if isinstance(item, Measured) else _listen(clips, file, item, embedder)
        if not measured.heard.embedding.isfinite().all():
            raise ValueError(f"{embedder.name} gives {file.path} an embedding that is not finite")
        if network is not None and reading.cache is not None and item is not measured:
            key = reading.cache.key(file.content, network, reading.crop)
            reading.cache.save(key, measured)
        row, logits = len(files), measured.heard.logits
        embeddings[row] = measured.heard.embedding
        facts[row] = torch.tensor([measured.seconds, measured.peak], dtype=torch.float64)
        if logits is not None:
            tags[row] = torch.stack([softmax_tags(logits), sigmoid_tags(logits)])
        files.append(file)
    if not files:
        reason = next(iter(unreadable.values()))
        raise ValueError(
            f"none of the {len(clips.files)} clips in {clips.folder} can be used: {reason}"
        )
    count = len(files)
    return EmbeddedSet(
        files=tuple(files),
        embeddings=embeddings[:count],
        statistics=_statistics(embeddings[:count]),
        softmax=tags[:count, 0] if labels else None,
        sigmoid=tags[:count, 1] if labels else None,
        seconds=facts[:count, 0],
        peaks=facts[:count, 1],
        unreadable=unreadable,
    )


def _listen(
    clips: ClipSet, file: ClipFile, audio: Tensor, embedder: Embedder | ExternalEmbeddings
) -> Measured:
    if isinstance(embedder, Embedder):
        heard, rate = embedder.listen(audio), embedder.sample_rate
    else:
        heard, rate = Heard(embedder.find(clips.folder, file.name), None), EXTERNAL_RATE
    return Measured(heard, len(audio) / rate, float(audio.abs().amax()))


def _statistics(embeddings: Tensor) -> Statistics:
    statistics = Statistics.empty(embeddings.shape[1])
    for block in embeddings.split(STATISTICS_ROWS):
        statistics = statistics.merged(Statistics.of(block))
    return statistics
