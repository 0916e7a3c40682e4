"""How well captions and clips find each other: CLAP score, recall, mAP@10, median rank.

A query's candidates are ranked by score. Several of them may be right: the clip's five captions
(AudioCaps, Clotho), or clips that share a caption. What is right is said by a boolean matrix.

Equal scores are ranked pessimistically: a wrong candidate stands before a right one of the same
score. A model that gives everything the same score therefore finds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

RECALL_DEPTHS = (1, 5, 10)
PRECISION_DEPTH = 10


class Retrieval(NamedTuple):
    """One direction of retrieval, averaged over its queries; shares are in [0, 1]."""

    recall_at_1: float  # share of queries with a right candidate at the first place
    recall_at_5: float
    recall_at_10: float
    map_at_10: float  # mean average precision over the first ten places
    median_rank: float  # of the first right candidate, 1 is best
    queries: int
    candidates: int


class Chance(NamedTuple):
    """Recalls that a random order reaches on average."""

    recall_at_1: float
    recall_at_5: float
    recall_at_10: float


class CaptionSet(NamedTuple):
    """The captions of a set of clips, and which clips each of them describes."""

    captions: tuple[str, ...]  # Q of them, clip by clip
    owners: tuple[int, ...]  # the clip that each was written for
    relevant: Tensor  # (Q, N) bool: the clips with that very caption among theirs


def cosine_scores(text: Tensor, audio: Tensor) -> Tensor:
    """Cosines (Q, N) between text embeddings (Q, D) and audio embeddings (N, D), float64.

    Raises:
        ValueError: If the widths differ, or an embedding is zero or not finite.
    """
    if text.ndim != 2 or audio.ndim != 2 or text.shape[1] != audio.shape[1]:
        raise ValueError(
            f"embeddings {tuple(text.shape)} and {tuple(audio.shape)} have no cosines: both must "
            "be (items, width) with the same width"
        )
    return _normalised(text, "text") @ _normalised(audio, "audio").T


def clap_score(text: Tensor, audio: Tensor) -> float:
    """Mean cosine between each caption's embedding and its clip's, in [-1, 1].

    Args:
        text: (N, D), row i of the caption of clip i.
        audio: (N, D), N >= 1.

    Raises:
        ValueError: If the shapes differ or there is no pair, or an embedding is zero or not finite.
    """
    if text.shape != audio.shape or len(text) == 0:
        raise ValueError(
            f"captions {tuple(text.shape)} and clips {tuple(audio.shape)} form no pairs: one "
            "caption per clip is needed"
        )
    return (_normalised(text, "text") * _normalised(audio, "audio")).sum(dim=-1).mean().item()


def _normalised(embeddings: Tensor, name: str) -> Tensor:
    rows = embeddings.detach().cpu().double()
    lengths = rows.norm(dim=-1)
    if not (lengths.isfinite() & (lengths > 0)).all():
        raise ValueError(f"{name} embeddings hold a row that is zero or not finite")
    return functional.normalize(rows, dim=-1)


def caption_set(captions: Sequence[Sequence[str]]) -> CaptionSet:
    """Every caption as one query, right for each clip that has it; case and spacing do not matter.

    Args:
        captions: Of each clip, one or more.

    Raises:
        ValueError: If a clip has no caption.
    """
    bare = [index for index, texts in enumerate(captions) if not texts]
    if bare:
        raise ValueError(f"{len(bare)} clips have no caption, the first is number {bare[0]}")
    pairs = [(text, owner) for owner, texts in enumerate(captions) for text in texts]
    plain = [{_plain(text) for text in texts} for texts in captions]
    relevant = torch.tensor([[_plain(text) in texts for texts in plain] for text, _ in pairs])
    return CaptionSet(
        tuple(text for text, _ in pairs), tuple(owner for _, owner in pairs), relevant
    )


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def text_to_audio(scores: Tensor, relevant: Tensor) -> Retrieval:
    """Each caption looks for its clip: the protocol of AudioCaps, Clotho and DCASE's task 6b.

    Args:
        scores: (Q, N) of captions and clips; each of a clip's captions is a query of its own.
        relevant: (Q, N) bool.

    Raises:
        ValueError: As `retrieval`.
    """
    return retrieval(scores, relevant)


def audio_to_text(scores: Tensor, relevant: Tensor) -> Retrieval:
    """Each clip looks for any of its captions: the best one's rank counts.

    Args:
        scores: (Q, N) of captions and clips, as in `text_to_audio`.
        relevant: (Q, N) bool.

    Raises:
        ValueError: As `retrieval`.
    """
    return retrieval(scores.T, relevant.T)


def retrieval(scores: Tensor, relevant: Tensor) -> Retrieval:
    """Ranks the candidates (columns) of every query (row).

    Average precision at 10 is ``sum over k <= 10 of precision(k) [k is right] / min(R, 10)`` for R
    right candidates, as in DCASE; with one right candidate at rank r it is 1 / r up to 10, else 0.

    Args:
        scores: (Q, N), larger is better.
        relevant: (Q, N) bool, at least one true in every row.

    Raises:
        ValueError: If the shapes differ, a score is NaN or a query has no right candidate.
    """
    _check_relevance(relevant)
    if scores.shape != relevant.shape:
        raise ValueError(
            f"scores {tuple(scores.shape)} and relevance {tuple(relevant.shape)} differ in shape"
        )
    if scores.isnan().any():
        raise ValueError("scores hold NaN, which has no rank")
    # Two stable sorts: right candidates last, then by score, so that they stay last among equals.
    order = relevant.long().argsort(dim=1, stable=True)
    order = order.gather(1, scores.gather(1, order).argsort(dim=1, descending=True, stable=True))
    ranked = relevant.gather(1, order)
    first = ranked.long().argmax(dim=1) + 1  # (Q,)
    recalls = [(first <= depth).double().mean().item() for depth in RECALL_DEPTHS]
    return Retrieval(
        *recalls,
        map_at_10=_average_precision(ranked).mean().item(),
        median_rank=first.double().quantile(0.5).item(),
        queries=len(scores),
        candidates=scores.shape[1],
    )


def _average_precision(ranked: Tensor) -> Tensor:
    """Average precision at 10 (Q,) of right answers (Q, N) in ranked order."""
    top = ranked[:, :PRECISION_DEPTH].double()
    places = torch.arange(1, top.shape[1] + 1)
    precision = top.cumsum(dim=1) / places
    wanted = ranked.sum(dim=1).clamp(max=PRECISION_DEPTH)
    return (precision * top).sum(dim=1) / wanted


def chance_recall(relevant: Tensor) -> Chance:
    """Expected recalls of a random order: ``1 - C(N - R, k) / C(N, k)``, averaged over the queries.

    Args:
        relevant: (Q, N) bool, R of them true in a row, at least one.

    Raises:
        ValueError: If a query has no right candidate.
    """
    _check_relevance(relevant)
    candidates = relevant.shape[1]
    counts = relevant.sum(dim=1).tolist()

    def expected(depth: int) -> float:
        ways = math.comb(candidates, min(depth, candidates))
        missed = sum(
            math.comb(candidates - right, min(depth, candidates)) / ways for right in counts
        )
        return 1.0 - missed / len(counts)

    return Chance(*(expected(depth) for depth in RECALL_DEPTHS))


def _check_relevance(relevant: Tensor) -> None:
    if relevant.ndim != 2 or relevant.dtype != torch.bool or relevant.numel() == 0:
        raise ValueError(
            f"relevance must be a boolean matrix (queries, candidates), got {relevant.dtype} "
            f"{tuple(relevant.shape)}"
        )
    bare = (~relevant.any(dim=1)).nonzero().flatten().tolist()
    if bare:
        raise ValueError(
            f"{len(bare)} queries have no right candidate, the first is number {bare[0]}: leave "
            "them out"
        )
