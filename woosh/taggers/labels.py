"""Names of the classes that a classifier's outputs stand for, read from the lists that data sets ship."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from woosh.outside_files import fitted, lines_of, read_csv, read_object, read_text

LABEL_FILES = ("class_labels_indices.csv", "labels.csv", "labels.json", "labels.txt")


def find_labels(checkpoint: str | Path) -> Path:
    """The list of class names beside a file of weights or inside a saved folder.

    Raises:
        FileNotFoundError: there is none of `LABEL_FILES`.
    """
    folder = Path(checkpoint) if Path(checkpoint).is_dir() else Path(checkpoint).parent
    for name in LABEL_FILES:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"no class names in {folder}: put one of {', '.join(LABEL_FILES)} there or name a file"
    )


def read_labels(path: str | Path) -> tuple[str, ...]:
    """Class names in the order of the head's outputs.

    Args:
        path: `.csv` in the form of AudioSet's `class_labels_indices.csv` (columns `index` and
            `display_name`), `.json` with an object of names and their indices, or any other text
            with one name per line.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another form, an empty name, or indices that do not count from 0.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file of class names at {path}")
    try:
        if path.suffix == ".csv":
            rows = read_csv(path, ("index", "display_name"))
            pairs = [(row["display_name"], int(row["index"])) for row in rows]
        elif path.suffix == ".json":
            pairs = list(fitted(read_object(path), dict[str, int], "an index").items())
        else:
            pairs = [(name, index) for index, name in enumerate(lines_of(read_text(path)))]
    except ValueError as error:
        raise ValueError(
            f"{path} is not a list of class names with their indices: {error}"
        ) from error
    names = {index: name.strip() for name, index in pairs}
    if not pairs or sorted(names) != list(range(len(pairs))) or not all(names.values()):
        raise ValueError(f"{path} must name every class from index 0 on, without a gap")
    return tuple(names[index] for index in range(len(names)))


def match_labels(word: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels that a word or phrase names, whatever its case, in the order of `labels`.

    A label is named by the whole of it or by one of its parts between commas ("chirp" names "Chirp, tweet"). If none is named
    so, those are taken that contain the phrase as whole words ("horn" names "Train horn" and others).

    Raises:
        ValueError: no label fits; the message names near ones.
    """
    phrase = " ".join(word.lower().split())
    names = {label: [label.lower(), *map(str.strip, label.lower().split(","))] for label in labels}
    named = tuple(label for label in labels if phrase in names[label])
    if named:
        return named
    whole = re.compile(rf"(?<!\w){re.escape(phrase)}(?!\w)")
    containing = tuple(label for label in labels if phrase and whole.search(label.lower()))
    if containing:
        return containing
    words = {part: label for label in labels for part in re.findall(r"\w+", label.lower())}
    words |= {name: label for label in labels for name in names[label]}
    near = dict.fromkeys(words[close] for close in get_close_matches(phrase, words, 5, 0.7))
    hint = f"; near are: {'; '.join(near)}" if near else ": see the list of labels"
    raise ValueError(f"no label is named {word!r}, and none contains it as a word{hint}")
