"""Average precision and agreement of taggers: by hand, and equal to the reference library's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from woosh.metrics.precision import (
    agreement,
    average_precision,
    mean_average_precision,
    mean_roc_area,
    report,
    right_among,
    roc_area,
)


def test_average_precision_by_hand() -> None:
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    positive = torch.tensor([True, False, True, False])
    assert average_precision(scores, positive) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(scores, ~positive) == pytest.approx((1 / 2 + 2 / 4) / 2)
    with pytest.raises(ValueError, match="not defined"):
        average_precision(scores, torch.zeros(4, dtype=torch.bool))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_average_precision_is_torchmetrics_also_for_equal_scores(
    pairs: list[tuple[int, bool]],
) -> None:
    scores = torch.tensor([float(score) for score, _ in pairs])
    positive = torch.tensor([right for _, right in pairs])
    if positive.any():
        expected = float(binary_average_precision(scores / 10, positive.long()))
        assert average_precision(scores, positive) == pytest.approx(expected, abs=1e-6)


def test_labels_that_no_sound_has_do_not_count() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.3], [0.2, 0.8, 0.4]])
    positive = torch.tensor([[True, False, False], [False, False, True]])
    assert mean_average_precision(scores, positive) == (1.0, 2)
    assert mean_average_precision(scores, torch.zeros_like(positive)) == (0.0, 0)


def test_agreement_and_rank() -> None:
    other = torch.tensor([[0.9, 0.35, 0.1], [0.1, 0.2, 0.25]])
    own = torch.tensor([[0.4, 0.5, 0.1], [0.0, 0.1, 0.9]])
    found = agreement(own, other)
    assert found.labels == 2 and found.same_first == 0.5
    assert found.mean_average_precision == 1.0
    first = torch.tensor([[True, False, False], [False, True, False]])
    assert right_among(own, first, 1) == 0
    assert right_among(own, first, 2) == 1.0
    assert right_among(own, first, 9) == 1.0  # more than there are labels


def test_a_report_holds_what_can_be_known() -> None:
    scores = torch.tensor([[0.9, 0.1], [0.3, 0.7]])
    assert report(scores, None, None, ("a", "b")) == {"sounds": 2.0}
    both = report(scores, torch.eye(2), scores, ("a", "b"))
    assert both["right_first"] == both["same_first"] == both["mean_average_precision"] == 1.0
    assert "right_among_five" not in both


def test_roc_area_by_hand() -> None:
    scores = torch.tensor([0.9, 0.8, 0.8, 0.6])
    positive = torch.tensor([True, False, True, False])
    assert roc_area(scores, positive) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    with pytest.raises(ValueError, match="not defined"):
        roc_area(scores, torch.ones(4, dtype=torch.bool))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_roc_area_is_torchmetrics_also_for_equal_scores(pairs: list[tuple[int, bool]]) -> None:
    scores = torch.tensor([score / 10 for score, _ in pairs])
    positive = torch.tensor([right for _, right in pairs])
    if positive.any() and not positive.all():
        expected = float(binary_auroc(scores, positive.long()))
        assert roc_area(scores, positive) == pytest.approx(expected, abs=1e-6)


def test_macro_means_are_scikit_learn_s() -> None:
    """Its macro average over 56 labels; computed by the library itself where it is installed."""
    library = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(80, 56, generator=generator)
    positive = torch.rand(80, 56, generator=generator) < 0.2
    for ours, theirs in (
        (mean_average_precision, library.average_precision_score),
        (mean_roc_area, library.roc_auc_score),
    ):
        expected = theirs(positive.numpy(), scores.numpy(), average="macro")
        assert ours(scores, positive)[0] == pytest.approx(expected, abs=1e-6)


def test_labels_that_are_not_known_do_not_count() -> None:
    """Each label is judged over the sounds that it is known of."""
    scores = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.5, 0.9]])
    positive = torch.tensor([[True, False], [False, True], [False, False]])
    known = torch.tensor([[True, True], [True, True], [True, False]])
    assert mean_average_precision(scores, positive) == (0.75, 2)
    assert mean_average_precision(scores, positive, known) == (1.0, 2)
    assert mean_roc_area(scores, positive, known) == (1.0, 2)
