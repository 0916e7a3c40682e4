"""Divergence of tags and inception score, against scipy, torchmetrics and known cases."""

import math

import numpy as np
import pytest
import torch
from scipy.special import expit, rel_entr, softmax
from scipy.stats import entropy

from tests.metrics.signals import noise
from woosh.metrics.tags import (
    inception_score,
    sigmoid_divergence,
    sigmoid_tags,
    softmax_divergence,
    softmax_tags,
)


def logits(clips: int, seed: int = 0) -> torch.Tensor:
    return 10 * noise(clips, 3, 12, seed=seed)  # clips of three pieces, twelve labels


def test_tags_are_averaged_over_the_pieces_after_the_nonlinearity() -> None:
    values = logits(4)
    expected = softmax(values.double().numpy(), axis=-1).mean(axis=1)
    assert np.allclose(softmax_tags(values), expected)
    assert np.allclose(sigmoid_tags(values), expit(values.double().numpy()).mean(axis=1))
    assert torch.equal(softmax_tags(values)[2], softmax_tags(values[2]))


def test_softmax_divergence_equals_scipy() -> None:
    p, q = softmax_tags(logits(9)), softmax_tags(logits(9, seed=1))
    forward = rel_entr(p.numpy(), q.numpy() + 1e-6).sum(axis=1).mean()
    backward = rel_entr(q.numpy(), p.numpy() + 1e-6).sum(axis=1).mean()
    result = softmax_divergence(p, q)
    assert result == pytest.approx((forward, backward, (forward + backward) / 2), rel=1e-12)
    # Without the epsilon it is scipy's entropy, which is hardly another number.
    assert result.generated_reference == pytest.approx(entropy(p, q, axis=1).mean(), rel=1e-2)


def test_softmax_divergence_equals_torchmetrics() -> None:
    functional = pytest.importorskip("torchmetrics.functional", reason="torchmetrics is missing")
    p, q = softmax_tags(logits(9) / 5), softmax_tags(logits(9, seed=1) / 5)
    theirs = functional.kl_divergence(p, q).item()
    assert softmax_divergence(p, q).generated_reference == pytest.approx(theirs, rel=1e-3)


def test_sigmoid_divergence_equals_scipy() -> None:
    p, q = sigmoid_tags(logits(9)), sigmoid_tags(logits(9, seed=1))
    a, b = p.numpy(), q.numpy()
    forward = (a * np.log(a / (b + 1e-6))).sum(axis=1).mean()
    backward = (b * np.log(b / (a + 1e-6))).sum(axis=1).mean()
    expected = (forward, backward, (forward + backward) / 2)
    assert sigmoid_divergence(p, q) == pytest.approx(expected, rel=1e-12)


def test_equal_tags_do_not_diverge() -> None:
    tags = softmax_tags(logits(5))
    assert softmax_divergence(tags, tags) == pytest.approx((0, 0, 0), abs=2e-5)
    tags = sigmoid_tags(logits(5))
    assert sigmoid_divergence(tags, tags) == pytest.approx((0, 0, 0), abs=2e-5)


def test_opposite_certainties_diverge_by_the_logarithm_of_epsilon() -> None:
    tags = torch.eye(2)
    assert softmax_divergence(tags, tags.flip(0)).mean == pytest.approx(-math.log(1e-6), rel=1e-6)


def test_the_order_of_pairs_does_not_matter_but_the_pairing_does() -> None:
    p, q = softmax_tags(logits(6)), softmax_tags(logits(6, seed=1))
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    assert softmax_divergence(p[order], q[order]) == pytest.approx(softmax_divergence(p, q))
    assert softmax_divergence(p[order], q) != pytest.approx(softmax_divergence(p, q), rel=1e-3)


def test_what_is_not_a_distribution_is_refused() -> None:
    tags = softmax_tags(logits(5))
    with pytest.raises(ValueError, match="form no pairs"):
        softmax_divergence(tags, tags[:4])
    with pytest.raises(ValueError, match="form no pairs"):
        softmax_divergence(tags[:0], tags[:0])
    with pytest.raises(ValueError, match="row 1 does not sum to 1"):
        softmax_divergence(sigmoid_tags(logits(5)), tags)
    with pytest.raises(ValueError, match="probabilities"):
        sigmoid_divergence(logits(5)[:, 0], tags)
    tags[2, 3] = math.nan
    with pytest.raises(ValueError, match="NaN"):
        sigmoid_divergence(tags, tags)


def test_inception_score_of_known_sets() -> None:
    certain = torch.eye(6).repeat(5, 1)
    assert inception_score(certain, 5) == pytest.approx((6, 0, 5))
    assert inception_score(torch.full((20, 6), 1 / 6), 2) == pytest.approx((1, 0, 2))


def test_inception_score_equals_scipy() -> None:
    tags = softmax_tags(logits(23))
    parts = np.array_split(tags.numpy(), 4)
    scores = [
        math.exp(np.mean([entropy(row, part.mean(axis=0)) for row in part])) for part in parts
    ]
    assert inception_score(tags, 4) == pytest.approx((np.mean(scores), np.std(scores), 4))


def test_inception_score_needs_a_clip_per_split() -> None:
    with pytest.raises(ValueError, match="split into 10"):
        inception_score(softmax_tags(logits(9)))
