"""Recognition: what counts as heard is said well, and is counted exactly."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.paths import SHARED
from woosh.embeddings.embedders import Embedder, Heard
from woosh.embeddings.tagging import Tagger
from woosh.evaluation.recognition import (
    Recognition,
    by_category,
    check_labels,
    hear,
    recognise,
    recordings_of,
    short_name,
    total,
)
from woosh.evaluation.recognition_prompts import PROMPTS, RecognitionPrompt
from woosh.taggers.labels import read_labels

AUDIOSET = SHARED / "official" / "mn04" / "class_labels_indices.csv"
UCS = SHARED / "data" / "text" / "ucs.json"
GENERAL = {
    *(
        "Animal",
        "Domestic animals, pets",
        "Wild animals",
        "Livestock, farm animals, working animals",
    ),
    *("Vehicle", "Motor vehicle (road)", "Tools", "Mechanisms", "Domestic sounds, home sounds"),
    *("Speech", "Music", "Musical instrument", "Sound effect", "Silence", "Noise", "Percussion"),
    *("Inside, small room", "Inside, large room or hall", "Inside, public space"),
    *("Outside, urban or manmade", "Outside, rural or natural", "Environmental noise"),
}


def listener(labels: tuple[str, ...]) -> Tagger:
    """It hears the label whose number is the sample's value, then those behind it."""

    def scores(audio: Tensor) -> Tensor:
        first = int(audio[0])
        return torch.tensor([-float((place - first) % len(labels)) for place in range(len(labels))])

    embedder = Embedder("toy", 100, 1, "none", "none", lambda audio: Heard(audio[:1], None))
    return Tagger(embedder, labels, scores)


def test_there_are_a_hundred_prompts_of_forty_kinds_and_no_general_label() -> None:
    assert len({prompt.prompt for prompt in PROMPTS}) == len(PROMPTS) >= 100
    assert len({prompt.category for prompt in PROMPTS}) >= 40
    for prompt in PROMPTS:
        assert prompt.labels and not GENERAL & set(prompt.labels), prompt
        assert len(set(prompt.labels)) == len(prompt.labels), prompt


@pytest.mark.skipif(not AUDIOSET.is_file(), reason="no shared list of AudioSet's labels")
def test_every_label_is_audioset_s_and_every_category_the_universal_system_s() -> None:
    check_labels(read_labels(AUDIOSET))
    categories = {row["CatID"] for row in json.loads(UCS.read_text(encoding="utf-8"))}
    assert {prompt.category for prompt in PROMPTS} <= categories


def test_a_listener_without_these_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="does not know .*: take one of AudioSet"):
        check_labels(("Dog", "Cat"))


def test_sounds_are_counted_first_and_among_five() -> None:
    labels = tuple("abcdefgh")
    prompts = [RecognitionPrompt(name, "X", name, tuple(name)) for name in ("c", "ah")]

    def sound(value: int) -> Tensor:
        return torch.full((1, 10), float(value))

    assert hear(listener(labels), sound(6), 100) == ["g", "h", "a", "b", "c"]
    values = {
        0: (2, 6, 7, 3),
        1: (7, 1, 3, 4),
    }  # of each prompt's sounds, the label that is heard first
    sounds = [
        (prompts[place], lambda value=value: sound(value))
        for place in (0, 1)
        for value in values[place]
    ]
    counts = recognise(listener(labels), sounds, 100)
    # "c" from label 2: first; from 6: fifth; from 7: fourth; from 3: not. "a" or "h" from 7: first; 1: not; 3: h; 4: h.
    assert counts == {"c": Recognition(4, 3, 1), "ah": Recognition(4, 3, 1)}
    assert total(counts) == Recognition(8, 6, 2)


def test_recordings_are_of_the_same_kind_and_word_and_held_out(tmp_path: Path) -> None:
    rows = [
        {
            "file": "a.wav",
            "captions": ["a dog", "a Dog barking"],
            "catid": "ANMLDog",
            "split": "validation",
        },
        {"file": "b.wav", "captions": ["a dog barking"], "catid": "ANMLDog", "split": "train"},
        {"file": "c.wav", "captions": ["a dog barking"], "catid": "RAIN", "split": "validation"},
        {"file": "d.wav", "captions": ["a coyote"], "catid": "ANMLDog", "split": "validation"},
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    found = recordings_of(manifest, "validation")
    assert [(sound.prompt.prompt, sound.path.name) for sound in found] == [
        ("a dog barking", "a.wav")
    ]


def test_counts_of_a_category_are_those_of_its_prompts() -> None:
    counts = {
        "a dog barking": Recognition(3, 2, 1),
        "a cat meowing": Recognition(2, 1, 0),
        "a gunshot": Recognition(1, 0, 0),
    }
    assert by_category(counts) == {"ANML": Recognition(5, 3, 1), "GUN": Recognition(1, 0, 0)}


@pytest.mark.parametrize(
    ("catid", "name"),
    [("GUNPis", "GUN"), ("AIRBrst", "AIR"), ("WATRDrip", "WATR"), ("RAIN", "RAIN")],
)
def test_short_names_of_categories(catid: str, name: str) -> None:
    assert short_name(catid) == name
