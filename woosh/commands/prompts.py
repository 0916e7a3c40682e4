"""Prompts on the command line: each its own word, or the lines of a file (`@FILE`) or of the standard input (`-`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from woosh.generation.request import clean_text
from woosh.outside_files import MOST_BYTES, decoded, expanded, lines_of, read_text


def prompts_of(words: Sequence[str]) -> list[str]:
    """The prompts that the words of a command stand for, each in one line.

    A word that begins with @ names a file of prompts, one on each line, and - is the standard input. Empty lines are left out.
    A line is a prompt as it stands, also if it begins with @.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a prompt is empty or not valid text, or a file is no text, too large, or holds no prompt.
    """
    return [clean_text(text, "prompt") for word in words for text in _texts(word)]


def _texts(word: str) -> Iterator[str]:
    if word != "-" and not word.startswith("@"):
        yield word
        return
    if word == "@":
        raise ValueError("@ must be followed by the name of a file with a prompt on each line")
    place = "the standard input" if word == "-" else word[1:]
    text = _standard_input() if word == "-" else read_text(expanded(word[1:]))
    lines = [line for line in lines_of(text) if line.strip()]
    if not lines:
        raise ValueError(f"{place} holds no prompt: write one on each line")
    yield from lines


def _standard_input() -> str:
    data = b"" if sys.stdin is None else sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(
            f"the standard input has more than {MOST_BYTES / 2**20:g} MiB, too much for prompts"
        )
    return decoded(data, "the standard input")
