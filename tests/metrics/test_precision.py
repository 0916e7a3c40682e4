"""Average precision and agreement of taggers: by hand, and equal to the reference library's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_average_precision

from woosh.metrics.precision import (
    agreement,
    average_precision,
    mean_average_precision,
    report,
    right_among,
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
