"""The phrase corpus: distinct, reproducible, with the empty phrase and without what is held out."""

import json
import random
import re
from pathlib import Path

import pytest

from woosh.data.phrase_words import PARAPHRASES
from woosh.data.phrases import build_phrases, caption_phrases, clean, varied, with_article

COUNT = 12_000


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A text folder and a manifest, each with one row of every kind."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "labels").mkdir()
    ucs = {
        "Category": "AIR",
        "SubCategory": "BURST",
        "Explanations": "Sharp air releases, a tennis can popping open. Valves or hoses",
        "Synonyms": ["airgun", "poof"],
    }
    ontology = [
        {"name": "Bark, woof", "description": "Sounds of a dog. See also (use /m/01h8n0)."},
    ]
    (folder / "ucs.json").write_text(json.dumps([ucs]))
    (folder / "audioset_ontology.json").write_text(json.dumps(ontology))
    (folder / "labels" / "esc50.json").write_text(json.dumps({"door_wood_knock": 0}))
    rows = [
        {"captions": ["A dog barking.", "the bark of a dog"]},
        {"captions": ["a dog  barking", "a downpour at sea"]},
    ]
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return folder, manifest


@pytest.fixture(scope="module")
def corpus(sources: tuple[Path, Path]) -> tuple[str, ...]:
    return build_phrases(*sources, COUNT, seed=3, words=["zither"], excluded=["a sea rolling in"])


def test_corpus_is_distinct_complete_and_starts_with_the_empty_phrase(
    corpus: tuple[str, ...],
) -> None:
    assert len(corpus) == len(set(corpus)) == COUNT
    assert corpus[0] == ""
    listed = {
        "a dog barking",
        "air burst",
        "poof air",
        "valves",
        "woof",
        "door wood knock",
        "zither",
    }
    assert listed <= set(corpus)


def test_corpus_is_clean(corpus: tuple[str, ...]) -> None:
    assert all(phrase == clean(phrase) for phrase in corpus)
    assert not any("/m/" in phrase for phrase in corpus)


def test_excluded_phrases_appear_nowhere(
    sources: tuple[Path, Path], corpus: tuple[str, ...]
) -> None:
    assert not any("sea rolling in" in phrase for phrase in corpus)
    assert any("sea rolling in" in phrase for phrase in build_phrases(*sources, COUNT, seed=3))


def test_same_seed_same_corpus_other_seed_other_corpus(
    sources: tuple[Path, Path], corpus: tuple[str, ...]
) -> None:
    settings = {"words": ["zither"], "excluded": ["a sea rolling in"]}
    assert build_phrases(*sources, COUNT, seed=3, **settings) == corpus
    assert build_phrases(*sources, COUNT, seed=4, **settings) != corpus


def test_too_small_a_count_names_the_remedy(sources: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match="count is 100, but .* raise count"):
        build_phrases(*sources, 100, seed=0)


def test_missing_folder_is_an_error(sources: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        build_phrases(tmp_path / "nowhere", sources[1], COUNT, seed=0)


def test_captions_are_distinct_in_order_of_appearance(sources: tuple[Path, Path]) -> None:
    captions = caption_phrases(sources[1])
    assert captions == ("a dog barking", "the bark of a dog", "a downpour at sea")


def test_articles_follow_the_first_letter_and_leave_plurals_alone() -> None:
    words = ["owl", "dog", "waves", "glass"]
    assert [with_article(word) for word in words] == ["an owl", "a dog", "waves", "a glass"]


def test_variations_keep_half_of_the_phrases_and_the_empty_one() -> None:
    random_source = random.Random(0)
    phrase = "a dog barking in the distance"
    results = [varied(phrase, random_source) for _ in range(1000)]
    assert 400 < results.count(phrase) < 600
    assert {"dog barking in distance", f"{phrase}."} <= set(results)
    assert all(varied("", random_source) == "" for _ in range(20))


def test_misspelt_words_keep_their_first_letter() -> None:
    random_source = random.Random(1)
    results = {varied("helicopter", random_source).split()[0] for _ in range(300)}
    assert len(results) > 10
    assert all(result.startswith("h") for result in results)


def test_every_judged_class_recognises_its_captions(shared: Path) -> None:
    rows = (shared / "data/sfx/manifest.jsonl").read_text().splitlines()
    captions: dict[str, set[str]] = {}
    for row in map(json.loads, rows):
        if row["file"].startswith("esc-10/"):
            captions.setdefault(row["label"], set()).update(map(clean, row["captions"]))
    labels = ("dog bark", "rain", "sea waves", "baby cry", "clock tick", "person sneeze")
    labels += ("helicopter", "chainsaw", "rooster", "fire crackling")
    for label, (pattern, paraphrases) in zip(labels, PARAPHRASES.values(), strict=True):
        missed = [caption for caption in captions[label] if not re.search(pattern, caption)]
        assert not missed, label
        assert len(paraphrases) == 6
