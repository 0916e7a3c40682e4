"""Ten classes by AudioSet's labels."""

import pytest
import torch

from woosh.evaluation.ten_classes import LABELS, PROMPTS, TEN_CLASSES, class_scores
from woosh.taggers.ucs import read_mapping


def test_every_tag_is_audioset_s_and_of_one_class() -> None:
    tags = [tag for kind in TEN_CLASSES for tag in kind.tags]
    assert len(TEN_CLASSES) == len(set(LABELS)) == len(set(PROMPTS)) == 10
    assert len(set(tags)) == len(tags) and set(tags) <= set(read_mapping())


def test_a_class_has_its_tags_together() -> None:
    labels = tuple(read_mapping())
    probabilities = torch.zeros(2, len(labels))
    for tag in ("Ocean", "Waves, surf"):
        probabilities[0, labels.index(tag)] = 0.3
    probabilities[0, labels.index("Rain")] = 0.5
    probabilities[1, labels.index("Sneeze")] = 0.1
    scores = class_scores(labels, probabilities)
    assert scores.shape == (2, 10)
    assert scores[0, LABELS.index("sea waves")] == pytest.approx(0.6)
    assert [LABELS[index] for index in scores.argmax(dim=1)] == ["sea waves", "person sneeze"]


def test_another_list_of_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="does not know Baby cry, infant cry, Bark"):
        class_scores(("Dog", "Cat"), torch.zeros(1, 2))
