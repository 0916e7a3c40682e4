"""Names after UCS, and the categories that words ask for."""

from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from woosh.studio import names
from woosh.taggers.ucs import read_mapping


def test_the_list_is_that_of_ucs() -> None:
    """752 categories in 82 groups; every category that the tagger can propose is one of them, by the same words."""
    known = names.categories()
    assert len(known) == 752
    assert len({category.category for category in known.values()}) == 82
    for category in filter(None, read_mapping().values()):
        assert tuple(known[category.catid]) == tuple(category)


@pytest.mark.parametrize("given", ["DOORWood", "doorwood", "DOORWOOD"])
def test_categories_are_found_whatever_their_case(given: str) -> None:
    assert names.find_category(given) == ("DOORWood", "DOORS", "WOOD")


@pytest.mark.parametrize(
    ("given", "near"), [("DOORWod", "DOORWood"), ("dog", "ANMLDog"), ("", ""), ("x" * 500, "")]
)
def test_unknown_categories_are_refused_with_those_that_are_near(given: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"UCS 8.2.1 has no category .*{near}"):
        names.find_category(given)


@pytest.mark.parametrize(
    ("prompt", "catid"),
    [
        ("a wooden door creaks", "DOORCreak"),
        ("glass breaking", "GLASBrk"),
        ("rain on a tin roof", "RAINMetl"),
        ("a dog barking", "ANMLDog"),
        ("wind in the trees", "WINDVege"),
        ("a clock ticking", "CLOCKTick"),
    ],
)
def test_words_speak_for_a_category(prompt: str, catid: str) -> None:
    assert names.from_words(prompt)[0].catid == catid


@pytest.mark.parametrize(
    ("prompt", "heard", "catid"),
    [
        ("a dog barking", "ANMLWdog", "ANMLWdog"),  # nearly as good by the words
        ("a dog barking", "RAINMetl", "ANMLDog"),  # the words know better
        ("xyzzy", "RAINMetl", "RAINMetl"),
        ("犬が吠える", None, "DSGNMisc"),
    ],
)
def test_what_is_heard_decides_where_words_do_not(
    prompt: str, heard: str | None, catid: str
) -> None:
    assert names.propose(prompt, heard).catid == catid


@given(st.text(), st.integers(1, 24))
def test_fx_names_keep_to_ucs(prompt: str, longest: int) -> None:
    """Under 25 characters, and without what parts names: underscore, hyphen and separators of paths."""
    name = names.fx_name(prompt, longest)
    assert 0 < len(name) <= longest
    assert all(sign.isalnum() or not sign.isascii() for sign in name)


def test_fx_name_examples() -> None:
    found = {
        "a wooden door creaks": "WoodenDoorCreaks",
        "the": "The",
        "...": "Sound",
        "../../etc/passwd": "EtcPasswd",
        "a very long creaking of a castle door": "LongCreakingCastleDoor",
        "x" * 30: "X" + "x" * 23,
    }
    assert {prompt: names.fx_name(prompt) for prompt in found} == found


def test_takes_are_numbered_within_the_fx_name() -> None:
    """The name has four parts however many takes there are, and the second part stays short."""
    naming = names.Naming("JDOE", "MYLIB")
    alone = naming.paths(Path("a"), "wav", "a wooden door creaks open", "DOORCreak", None)
    assert [path.name for path in islice(alone, 2)] == [
        "DOORCreak_WoodenDoorCreaksOpen_JDOE_MYLIB.wav",
        "DOORCreak_WoodenDoorCreaksOpen02_JDOE_MYLIB.wav",
    ]
    later = naming.paths(Path("a"), "wav", "a wooden door creaks open wide", "DOORCreak", 100)
    (path,) = islice(later, 1)
    catid, fx_name, creator, source = path.stem.split("_")
    assert (catid, creator, source) == ("DOORCreak", "JDOE", "MYLIB")
    assert len(fx_name) < 25
    assert fx_name.endswith("100")


@pytest.mark.parametrize("value", ["", "J_DOE", "J DOE", "J-DOE", "../x", "Ä", "x" * 21])
def test_identifiers_with_other_signs_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="must be 1 to 20 letters and digits"):
        names.Naming(value)
    with pytest.raises(ValueError, match="the source must be 1 to 20"):
        names.Naming("JDOE", value)
