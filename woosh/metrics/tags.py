"""What a tagger makes of two sets: divergence of the tag distributions, inception score.

A tagger's logits become "probabilities" in one of two forms. The softmax form makes one
distribution over all labels, which sums to 1; KL figures of the field are in this form unless they
say otherwise. The sigmoid form takes each label by itself, as taggers with several labels per clip
are trained.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

EPSILON = 1e-6  # added to the second distribution, as in AudioCraft


class Divergence(NamedTuple):
    """Kullback-Leibler divergence of paired clips, in nats, averaged over the pairs."""

    generated_reference: float  # KL(generated || reference)
    reference_generated: float  # KL(reference || generated), AudioCraft's "kld"
    mean: float  # of the two directions


class InceptionScore(NamedTuple):
    """Mean over the splits, and the deviation between them."""

    mean: float
    deviation: float  # 0 with one split
    splits: int


def softmax_tags(logits: Tensor) -> Tensor:
    """Logits of a clip's pieces (..., P, C) -> one distribution over the labels (..., C), float64."""
    return logits.double().softmax(dim=-1).mean(dim=-2)


def sigmoid_tags(logits: Tensor) -> Tensor:
    """Logits of a clip's pieces (..., P, C) -> probability of each label by itself (..., C), float64."""
    return logits.double().sigmoid().mean(dim=-2)


def softmax_divergence(generated: Tensor, reference: Tensor) -> Divergence:
    """KL of tag distributions: row i of one set belongs to row i of the other.

    ``sum_c p_c (ln p_c - ln(q_c + 1e-6))``, averaged over the clips.

    Args:
        generated: From `softmax_tags`, (N, C), N >= 1.
        reference: Likewise.

    Raises:
        ValueError: If the shapes differ, there is no clip, or a row does not sum to 1.
    """
    for tags in (generated, reference):
        worst = (tags.double().sum(dim=-1) - 1.0).abs()
        if tags.numel() and worst.max() > 1e-4:
            raise ValueError(
                f"row {int(worst.argmax())} does not sum to 1: the softmax form takes the result "
                "of softmax_tags"
            )
    return _divergence(generated, reference)


def sigmoid_divergence(generated: Tensor, reference: Tensor) -> Divergence:
    """The same sum over labels that are taken by themselves, as audioldm_eval's "sigmoid" form.

    The rows do not sum to 1, so this is no divergence in the strict sense and may be below 0; it
    tells apart clips of several tags, of which the softmax form sees only the loudest.

    Args:
        generated: From `sigmoid_tags`, (N, C), N >= 1, within [0, 1].
        reference: Likewise.

    Raises:
        ValueError: If the shapes differ, there is no clip, or a value is no probability.
    """
    return _divergence(generated, reference)


def _divergence(generated: Tensor, reference: Tensor) -> Divergence:
    if generated.shape != reference.shape or generated.ndim != 2 or len(generated) == 0:
        raise ValueError(
            f"tags of shapes {tuple(generated.shape)} and {tuple(reference.shape)} form no pairs: "
            "both must be (clips, labels) with one row per pair"
        )
    p, q = generated.double(), reference.double()
    if not ((p >= 0) & (p <= 1) & (q >= 0) & (q <= 1)).all():  # NaN fails every comparison
        raise ValueError("tags must be probabilities in [0, 1]: some are not, or are NaN")
    forward, backward = _relative_entropy(p, q), _relative_entropy(q, p)
    return Divergence(forward, backward, (forward + backward) / 2)


def _relative_entropy(p: Tensor, q: Tensor) -> float:
    terms = torch.special.xlogy(p, p) - p * torch.log(q + EPSILON)
    return terms.sum(dim=-1).mean().item()


def inception_score(tags: Tensor, splits: int = 10) -> InceptionScore:
    """exp of the mean KL from a clip's tags to the set's mean tags (Salimans et al., 1606.03498).

    Rows are split in the order given, which should have nothing to do with their content.

    Args:
        tags: From `softmax_tags`, (N, C), N >= splits.
        splits: Equal parts, each scored by itself; the field takes 10.

    Raises:
        ValueError: If there are fewer clips than splits.
    """
    if tags.ndim != 2 or len(tags) < splits:
        raise ValueError(
            f"tags of shape {tuple(tags.shape)} cannot be split into {splits}: (clips, labels) "
            "with at least as many clips are needed"
        )
    scores = []
    for part in tags.double().tensor_split(splits):
        mean = part.mean(dim=0)  # xlogy(p, mean) is 0 where the mean is, for p is 0 there too
        terms = torch.special.xlogy(part, part) - torch.special.xlogy(part, mean)
        scores.append(terms.sum(dim=-1).mean().exp())
    values = torch.stack(scores)
    return InceptionScore(values.mean().item(), values.std(correction=0).item(), splits)
