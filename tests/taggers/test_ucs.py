"""The mapping from AudioSet's labels to UCS is total and valid; the rule, by probabilities made by hand."""

import csv
import json
from pathlib import Path

import pytest

from woosh.evaluation.recognition_prompts import PROMPTS
from woosh.taggers.ucs import LEVEL, propose, read_mapping


def test_every_label_has_a_category_of_the_list_or_is_too_general(shared: Path) -> None:
    folder = shared / "data" / "text"
    if not (folder / "ucs.json").is_file():
        pytest.skip("the lists of UCS and AudioSet are missing")
    with (folder / "audioset_labels.csv").open(encoding="utf-8", newline="") as file:
        labels = [row["display_name"] for row in csv.DictReader(file)]
    mapping = read_mapping()
    assert list(mapping) == labels and len(labels) == 527
    known = {
        row["CatID"]: (row["Category"], row["SubCategory"])
        for row in json.loads((folder / "ucs.json").read_text(encoding="utf-8"))
    }
    for category in filter(None, mapping.values()):
        assert known[category.catid] == (category.category, category.subcategory)


def test_general_labels_propose_nothing() -> None:
    general = ("Animal", "Vehicle", "Music", "Silence", "Inside, small room", "Sound effect")
    assert [read_mapping()[label] for label in general] == [None] * len(general)
    assert propose(dict.fromkeys(general, 0.99)) is None


def test_labels_that_count_as_heard_are_labels_of_the_mapping() -> None:
    assert {label for prompt in PROMPTS for label in prompt.labels} <= read_mapping().keys()


@pytest.mark.parametrize(
    ("probabilities", "catid", "label"),
    [
        ({"Animal": 0.9, "Dog": 0.6, "Bark": 0.7, "Rain": 0.2}, "ANMLDog", "Bark"),
        ({"Rain": LEVEL}, "RAIN", "Rain"),
        # The likeliest label decides, however many there are of another category.
        ({"Dog": 0.4, "Bark": 0.4, "Cat": 0.5}, "ANMLCat", "Cat"),
        # Unspecific ones give way within their category, and only there.
        ({"Bird": 0.8, "Chirp, tweet": 0.2, "Crow": 0.15}, "BIRDSong", "Chirp, tweet"),
        ({"Bird": 0.8, "Chirp, tweet": 0.09}, "BIRDMisc", "Bird"),
        ({"Bird": 0.8, "Dog": 0.7}, "BIRDMisc", "Bird"),
        ({"Speech": 0.9, "Laughter": 0.3}, "VOXLaff", "Laughter"),
        ({"a label of one's own": 0.9, "Rain": 0.3}, "RAIN", "Rain"),
    ],
)
def test_the_rule(probabilities: dict[str, float], catid: str, label: str) -> None:
    proposal = propose(probabilities)
    assert proposal is not None
    assert (proposal.category.catid, proposal.label) == (catid, label)
    assert proposal.probability == probabilities[label]


def test_nothing_is_proposed_below_the_level() -> None:
    assert propose({"Rain": 0.099, "Dog": 0.05}) is None
    assert propose({}) is None
