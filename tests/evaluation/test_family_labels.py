"""The labels of families: one entry for each, AudioSet's names, none that says nothing."""

from woosh.evaluation.family_labels import FAMILY_LABELS
from woosh.procedural import FAMILIES
from woosh.taggers.ucs import read_mapping

GENERAL = {"Music", "Speech", "Sound effect", "Silence", "Noise", "Animal", "Vehicle", "Tools"}


def test_every_family_has_labels_that_a_tagger_can_give() -> None:
    assert set(FAMILY_LABELS) == set(FAMILIES)
    for family, labels in FAMILY_LABELS.items():
        assert labels and len(set(labels)) == len(labels), family
        assert set(labels) <= set(read_mapping()), family
        assert not set(labels) & GENERAL, family
