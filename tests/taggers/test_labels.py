"""Lists of class names: the forms that data sets ship, and what is wrong with others."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from woosh.taggers.labels import find_labels, match_labels, read_labels

CSV = 'index,mid,display_name\n0,/m/1,Speech\n2,/m/3,"Gunshot, gunfire"\n1,/m/2,Dog\n'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", CSV),
        ("labels.json", json.dumps({"Gunshot, gunfire": 2, "Speech": 0, "Dog": 1})),
        ("labels.txt", "Speech\nDog\nGunshot, gunfire\n"),
    ],
)
def test_every_form_gives_the_names_in_order(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_labels(tmp_path / name) == ("Speech", "Dog", "Gunshot, gunfire")
    assert find_labels(tmp_path) == tmp_path / name
    assert find_labels(tmp_path / "weights.pt") == tmp_path / name


def test_audioset_has_527_classes(shared: Path) -> None:
    names = read_labels(shared / "data" / "text" / "audioset_labels.csv")
    assert len(names) == 527
    assert (names[0], names[1], names[526]) == (
        "Speech",
        "Male speech, man speaking",
        "Field recording",
    )


def test_fsd50k_has_200_classes(shared: Path) -> None:
    assert len(read_labels(shared / "data" / "text" / "labels" / "fsd50k.json")) == 200


@given(
    names=st.lists(
        st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=1, unique=True
    )
)
def test_what_is_written_as_json_is_read_back(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("labels") / "labels.json"
    path.write_text(json.dumps({name: index for index, name in enumerate(names)}))
    assert read_labels(path) == tuple(names)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", "name,number\nSpeech,0\n"),
        ("labels.csv", "index,mid,display_name\n0,/m/1\n"),
        ("labels.csv", "index,mid,display_name\nzero,/m/1,Speech\n"),
        ("labels.csv", "index,mid,display_name\n0,/m/1,Speech\n2,/m/2,Dog\n"),
        ("labels.csv", "index,mid,display_name\n0,/m/1,Speech\n0,/m/2,Dog\n"),
        ("labels.json", '["Speech", "Dog"]'),
        ("labels.json", '{"Speech": 0, "Dog": 0}'),
        ("labels.json", '{"Speech": "first"}'),
        ("labels.json", "Speech"),
        ("labels.txt", "Speech\n\nDog\n"),
        ("labels.txt", ""),
    ],
)
def test_lists_with_gaps_or_of_another_form_are_refused(
    name: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=name):
        read_labels(tmp_path / name)


def test_missing_lists_are_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no class names in .*class_labels_indices\.csv"):
        find_labels(tmp_path / "weights.pt")
    with pytest.raises(FileNotFoundError, match="no file of class names"):
        read_labels(tmp_path / "labels.txt")


LABELS = (
    "Dog",
    "Whimper (dog)",
    "Canidae, dogs, wolves",
    "Chirp, tweet",
    "Train horn",
    "French horn",
)


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("dog", ("Dog",)),
        ("DOGS", ("Canidae, dogs, wolves",)),
        ("chirp", ("Chirp, tweet",)),
        ("chirp, tweet", ("Chirp, tweet",)),
        ("horn", ("Train horn", "French horn")),
        (" train  horn ", ("Train horn",)),
        ("whimper", ("Whimper (dog)",)),
    ],
)
def test_words_name_labels(word: str, named: tuple[str, ...]) -> None:
    assert match_labels(word, LABELS) == named


def test_a_word_that_names_no_label_is_refused_with_near_ones() -> None:
    with pytest.raises(ValueError, match=r"'chrip'.*near are: Chirp, tweet"):
        match_labels("chrip", LABELS)
    for word in ("hor", "qqqq", ""):
        with pytest.raises(ValueError, match="no label is named"):
            match_labels(word, LABELS)
