"""The phrase corpus on which the small text encoder learns English about sounds.

Phrases come from five places: the Universal Category System (UCS), the AudioSet ontology, the label
lists of public sound data sets, the captions of the audio data set with those of the procedural
generator, and a small grammar of things, what they do, how, where and out of which material. Everything
is lower case without a final full stop: letter case carries no meaning for sound, and the tokenizer
lower-cases what users type.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from woosh import procedural
from woosh.data.manifests import check_captions, read_objects
from woosh.data.phrase_words import (
    ACTIONS,
    ADJECTIVES,
    MANNERS,
    MATERIALS,
    NOUNS,
    PLACES,
    SURFACES,
    TWO_SOUNDS,
    WRAPPERS,
)
from woosh.outside_files import fitted, parse_json, read_object, read_text, shaped

MAX_WORDS = 24


def clean(text: str) -> str:
    """Lower-case, turn runs of white space to one space, strip quotes and the final full stop."""
    text = re.sub(r"\s+", " ", text.replace("_", " ").replace("\u2019", "'")).strip().lower()
    return text.strip(" \"'.,;:")


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun phrase, by its first letter; plurals stay as they are."""
    if noun.endswith("s") and not noun.endswith(("ss", "us")):
        return noun
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def _lines(table: str) -> tuple[str, ...]:
    return tuple(clean(item) for item in re.split(r"[,\n]", table) if clean(item))


@dataclass(frozen=True)
class UcsKind:
    """A row of `ucs.json`, whose names there begin with capitals."""

    category: str
    subcategory: str
    explanations: str
    synonyms: tuple[str, ...]


@dataclass(frozen=True)
class AudiosetKind:
    """A row of `audioset_ontology.json`."""

    name: str
    description: str


def _objects(path: Path) -> tuple[dict[str, Any], ...]:
    """The objects of a JSON file that holds a list of them."""
    return fitted(parse_json(read_text(path), str(path)), tuple[dict[str, Any], ...], str(path))


def ucs_phrases(path: Path) -> Iterator[str]:
    """Yield categories, subcategories, synonyms, explanations and their parts from `ucs.json`."""
    for row in _objects(path):
        lowered = {name.lower(): value for name, value in row.items()}
        kind = shaped(UcsKind, lowered, str(path))
        category, subcategory = kind.category, kind.subcategory
        yield from (category, subcategory, f"{category} {subcategory}", f"{subcategory} {category}")
        for synonym in kind.synonyms:
            yield from (synonym, f"{synonym} {category}")
        for sentence in re.split(r"\.\s+", kind.explanations):
            yield sentence
            yield from re.split(r",\s*|\s+or\s+|\s+and\s+", sentence)


def audioset_phrases(path: Path) -> Iterator[str]:
    """Yield names, their comma-separated parts and descriptions from `audioset_ontology.json`."""
    for row in _objects(path):
        kind = shaped(AudiosetKind, row, str(path))
        parts = kind.name.split(", ")
        yield from (kind.name, *parts, *(f"{part} sound" for part in parts))
        for sentence in re.split(r"\.\s+", kind.description):
            if "/m/" not in sentence:  # some refer to another entry by its identifier
                yield from (sentence, *re.split(r",\s*", sentence))


def label_phrases(folder: Path) -> Iterator[str]:
    """Yield the keys of every `labels/*.json` file and their comma-separated parts."""
    for path in sorted(folder.glob("*.json")):
        for label in read_object(path):
            yield label
            yield from label.split(", ")


def caption_phrases(manifest: Path) -> tuple[str, ...]:
    """Return the distinct captions of a JSONL manifest in order of first appearance."""
    found = (check_captions(row.get("captions"), place) for place, row in read_objects(manifest))
    return tuple(dict.fromkeys(clean(caption) for captions in found for caption in captions))


def procedural_phrases(count: int, seed: int) -> Iterator[str]:
    """Yield the captions of `count` procedural events, starting at the event of number `seed`."""
    for number in range(seed, seed + count):
        yield from procedural.captions(number)


def _actions() -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Parse the table of things and what they do: pairs of (things, present participles)."""
    rows = (line.split(":") for line in ACTIONS.strip().splitlines())
    return tuple((_lines(things), _lines(verbs)) for things, verbs in rows)


def action_phrases() -> Iterator[str]:
    """Yield every thing of the grammar alone and with each of its actions."""
    for things, verbs in _actions():
        for thing, verb in itertools.product(things, verbs):
            yield from (thing, f"{thing} {verb}", f"{with_article(thing)} {verb}", verb)


def noun_phrase(random_source: random.Random) -> str:
    """Draw a noun of daily life with none, one or two words that describe it."""
    adjective, noun = random_source.choice(_ADJECTIVES), random_source.choice(_NOUNS)
    material, surface = random_source.choice(_MATERIALS), random_source.choice(_SURFACES)
    forms = (
        noun,
        with_article(noun),
        f"{with_article(adjective)} {noun}",
        f"{with_article(material)} {noun}",
        f"{adjective} {material} {noun}",
        f"{with_article(noun)} on {surface}",
        f"{with_article(material)} {noun} {random_source.choice(_HANDLED)}",
        f"{with_article(noun)} {random_source.choice(_HANDLED)} {surface}",
        f"{random_source.choice(_HANDLING)} {with_article(noun)}",
    )
    return random_source.choice(forms)


def action_phrase(random_source: random.Random) -> str:
    """Draw a thing and what it does, with optional number, adjective, manner and place."""
    things, verbs = random_source.choice(_ACTIONS)
    thing, verb = random_source.choice(things), random_source.choice(verbs)
    adjective = f"{random_source.choice(_ADJECTIVES)} {thing}"
    subject = random_source.choice((thing, with_article(thing), adjective, with_article(adjective)))
    if random_source.random() < 0.15:
        number = random_source.choice(("two", "three", "several", "many", "a few", "2", "3"))
        subject = f"{number} {thing if thing.endswith('s') else thing + 's'}"
    forms = (f"{subject} {verb}", f"{subject} {verb}", f"{verb} {thing}", f"{verb} of {subject}")
    phrase = random_source.choice(forms)
    for ending in (_MANNERS, _PLACES):
        if random_source.random() < 0.35:
            phrase = f"{phrase} {random_source.choice(ending)}"
    return phrase


def wrapped(phrase: str, random_source: random.Random) -> str:
    """Put a phrase into a carrier such as "the sound of ..." or "... in the distance"."""
    if random_source.random() < 0.3:
        return f"{phrase} {random_source.choice(_PLACES)}"
    return random_source.choice(WRAPPERS).format(phrase)


def combined(first: str, second: str, random_source: random.Random) -> str:
    """Join two sounds: together, one after the other, or one behind the other."""
    return random_source.choice(TWO_SOUNDS).format(first, second)


def varied(phrase: str, random_source: random.Random) -> str:
    """Return a phrase as a hurried user might type it: a spelling slip, no articles, punctuation.

    The meaning stays, so that the variation may be taught with the embedding of the original.
    Half of the phrases come back unchanged.
    """
    choice = random_source.random()
    if choice < 0.5 or not phrase:
        return phrase
    if choice < 0.65:
        return re.sub(r"\b(a|an|the) ", "", phrase)
    if choice < 0.75:
        return phrase + random_source.choice((".", "!", "...", " sound", " sfx", " sounds"))
    if choice < 0.85:
        return re.sub(r"[^\w\s]", " ", phrase).strip()
    words = phrase.split(" ")
    long_words = [index for index, word in enumerate(words) if len(word) >= 5]
    if not long_words:
        return phrase
    index = random_source.choice(long_words)
    words[index] = _misspelt(words[index], random_source)
    return " ".join(words)


def _misspelt(word: str, random_source: random.Random) -> str:
    """Swap two letters, drop one or double one; the first letter stays."""
    place = random_source.randrange(1, len(word) - 1)
    swapped = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    return random_source.choice(
        (swapped, word[:place] + word[place + 1 :], word[:place] + word[place] + word[place:])
    )


def build_phrases(
    text_folder: Path,
    manifest: Path,
    count: int,
    seed: int,
    words: Sequence[str] = (),
    excluded: Sequence[str] = (),
) -> tuple[str, ...]:
    """Build the corpus: `count` distinct phrases, the empty one (unconditional input) first.

    All listed phrases come in once; the rest is drawn in fixed proportions from carriers around
    listed phrases, the grammar, and pairs of sounds.

    Args:
        text_folder: folder of `ucs.json`, `audioset_ontology.json` and `labels/*.json`.
        manifest: JSONL file whose rows have `captions`.
        count: number of phrases; at least the number of listed ones.
        seed: of the drawn phrases and of the first procedural event.
        words: further single words, for a broad vocabulary.
        excluded: phrases kept for evaluation; whatever contains one of them is left out.

    Raises:
        FileNotFoundError: a file of the folder or the manifest is missing.
        ValueError: there are more listed phrases than `count`, or a file has another shape than its kind.
    """
    for name in ("ucs.json", "audioset_ontology.json"):
        if not (text_folder / name).is_file():
            raise FileNotFoundError(
                f"no {name} in {text_folder}: text_folder must hold ucs.json, audioset_ontology.json and labels/"
            )
    kept_out = tuple(re.sub(r"^(a|an|the) ", "", clean(phrase)) for phrase in excluded)
    captions = caption_phrases(manifest)
    sources = (
        captions,
        procedural_phrases(count // 40, seed),
        ucs_phrases(text_folder / "ucs.json"),
        audioset_phrases(text_folder / "audioset_ontology.json"),
        label_phrases(text_folder / "labels"),
        action_phrases(),
        words,
    )
    cleaned = (clean(phrase) for phrase in itertools.chain(("",), *sources))
    listed = dict.fromkeys(_allowed(cleaned, kept_out))
    if len(listed) > count:
        raise ValueError(
            f"count is {count}, but {len(listed)} phrases are listed; raise count to at least that"
        )
    drawn = _drawn(tuple(listed)[1:], captions, random.Random(seed))
    return tuple(_until(listed, _allowed(drawn, kept_out), count))


def _drawn(
    listed: Sequence[str], captions: Sequence[str], random_source: random.Random
) -> Iterator[str]:
    """Yield drawn phrases without end."""
    short = [phrase for phrase in listed if len(phrase.split()) <= 8]
    sounds: tuple[Callable[[], str], ...] = (
        lambda: random_source.choice(captions),
        lambda: random_source.choice(captions),
        lambda: action_phrase(random_source),
        lambda: random_source.choice(short),
    )
    draws: tuple[Callable[[], str], ...] = (
        lambda: wrapped(random_source.choice(captions), random_source),
        lambda: wrapped(random_source.choice(short), random_source),
        lambda: action_phrase(random_source),
        lambda: action_phrase(random_source),
        lambda: noun_phrase(random_source),
        lambda: combined(
            random_source.choice(sounds)(), random_source.choice(sounds)(), random_source
        ),
    )
    while True:
        yield random_source.choice(draws)()


def _allowed(phrases: Iterable[str], kept_out: Sequence[str]) -> Iterator[str]:
    pattern = re.compile("|".join(map(re.escape, kept_out))) if kept_out else None
    for phrase in phrases:
        if len(phrase.split()) <= MAX_WORDS and not (pattern and pattern.search(phrase)):
            yield phrase


def _until(listed: dict[str, None], drawn: Iterator[str], count: int) -> dict[str, None]:
    """Return the listed phrases and new drawn ones up to `count`."""
    phrases = dict(listed)
    while len(phrases) < count:
        phrases[next(drawn)] = None
    return phrases


_ACTIONS = _actions()
_ADJECTIVES, _NOUNS, _MATERIALS = _lines(ADJECTIVES), _lines(NOUNS), _lines(MATERIALS)
_PLACES, _SURFACES, _MANNERS = _lines(PLACES), _lines(SURFACES), _lines(MANNERS)
_HANDLED = _lines(
    "falling on, dropped on, sliding across, scraping on, rolling over, hit against, placed on"
)
_HANDLING = _lines(
    "opening, closing, dropping, breaking, shaking, hitting, moving, picking up, putting down, "
    "throwing, cutting, tearing, dragging, rubbing, scratching, cleaning, squeezing, bending"
)
