"""A category of the Universal Category System (UCS) for what a tagger of AudioSet's labels hears.

`ucs.csv` has a row for each of AudioSet's 527 labels: the CatID of UCS 8.2.1 that it stands for, with category and
sub-category. No CatID means that the label is too general to propose one: it names no source (bang, rumble), a place
(inside, small room), or what is heard in nearly every sound (music, sound effect). The mapping was made by hand, label by
label, from the meaning of the words and UCS's explanations; where several categories fit, recordings with known
categories decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from woosh.outside_files import read_csv

LEVEL = 0.1  # a label is heard from this probability on
UNSPECIFIC = ("MISC", "GENERAL")  # sub-categories of what fits no other one


class Category(NamedTuple):
    """A category of UCS."""

    catid: str  # such as "ANMLDog"
    category: str  # such as "ANIMALS"
    subcategory: str  # such as "DOG"

    @property
    def specific(self) -> bool:
        """Whether it says more than its category."""
        return self.subcategory not in UNSPECIFIC


class Proposal(NamedTuple):
    """A category, and the label by which it is proposed."""

    category: Category
    label: str
    probability: float


@cache
def read_mapping() -> dict[str, Category | None]:
    """AudioSet's labels, in their order, with their categories; None is too general to have one."""
    path = Path(__file__).with_name("ucs.csv")
    rows = read_csv(path, ("label", "catid", "category", "subcategory"))
    return {
        row["label"]: Category(row["catid"], row["category"], row["subcategory"])
        if row["catid"]
        else None
        for row in rows
    }


def propose(probabilities: Mapping[str, float]) -> Proposal | None:
    """The category of the likeliest label that has one; an unspecific one gives way to what is more specific.

    Only labels of at least `LEVEL` count. If the likeliest one stands for what fits no other sub-category (BIRDMisc), and
    another label of the same category is heard as well (BIRDSong), the likeliest of these is proposed.

    Args:
        probabilities: of AudioSet's labels, each by itself, in [0, 1]; labels without a category are passed over.

    Returns:
        None if no label that has a category is heard.
    """
    mapping = read_mapping()
    heard = [
        Proposal(category, label, probability)
        for label, probability in probabilities.items()
        if probability >= LEVEL and (category := mapping.get(label)) is not None
    ]
    if not heard:
        return None
    first = max(heard, key=lambda proposal: proposal.probability)
    if first.category.specific:
        return first
    same = [one for one in heard if one.category.category == first.category.category]
    specific = [one for one in same if one.category.specific]
    return max(specific, key=lambda proposal: proposal.probability, default=first)
