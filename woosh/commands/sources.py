"""What the commands that start from a sound share: reading it, the words that go with it, and the request."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from woosh import audio, catalogue
from woosh.generation.request import Request, clean_text
from woosh.outside_files import expanded

if TYPE_CHECKING:
    import numpy as np

    from woosh.generation.sampling import Sampler
    from woosh.generation.starting import Start
    from woosh.studio.choosing import Judge

SILENT_PEAK = 1e-4
DEFAULT_STRENGTH = 0.8  # of what starts from a recording of a library


def read_source(path: Path, sample_rate: int) -> np.ndarray:
    """A sound in mono (1, S) at a rate.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read, is silent, or longer than what is made at a time.
    """
    seconds = audio.audio_seconds(path)
    if seconds > catalogue.LONGEST_SECONDS:
        raise ValueError(
            f"{path} has {seconds:.0f} s: up to {catalogue.LONGEST_SECONDS:g} s are made at a time, cut it first"
        )
    sound = audio.read_audio(path, sample_rate)
    if sound.shape[1] == 0 or abs(sound).max() < SILENT_PEAK:
        raise ValueError(f"{path} is silent: there is nothing to start from")
    return sound


def prompt_for(path: Path, given: str | None) -> str:
    """The words that were given, or those that a file says it was made from, or none."""
    if given is not None:
        return clean_text(given, "prompt")
    try:
        known = audio.read_metadata(path).get("prompt")
    except ValueError:  # it says nothing of itself
        return ""
    return clean_text(known, "prompt") if isinstance(known, str) and known.strip() else ""


def guidance_for(prompt: str, negative: str | None, info: catalogue.ModelInfo) -> float | None:
    """The guidance where none was asked for: the model's own (None), or none (1) where there are no words to follow.

    That saves half of the work. Few-step models were taught their guidance and keep it.
    """
    return 1.0 if not prompt and negative is None and not info.few_step else None


@dataclass(frozen=True)
class Source:
    """A recording of a library that a sound starts from.

    Attributes:
        path: of the file.
        name: below the library's folder.
        strength: how much is drawn anew.
    """

    path: Path
    name: str
    strength: float

    def record(self) -> dict[str, str | int | float]:
        """What a file keeps of it."""
        return {"from": self.name, "strength": self.strength}

    def start(self, sampler: Sampler, request: Request) -> Start:
        """Where the sounds of a request start.

        Raises:
            FileNotFoundError: the recording is no longer there.
            ValueError: it cannot be read, or is silent as far as the request is long.
        """
        from woosh.studio.variations import start_from

        sound = audio.read_audio(
            self.path, sampler.sample_rate, longest_seconds=float(request.seconds)
        )
        try:
            return start_from(sampler, sound, request, self.strength)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error


def find_sources(arguments: argparse.Namespace, prompts: Sequence[str]) -> list[Source | None]:
    """The recording that each sound starts from, --count of them for each prompt; None for noise, without --from.

    Raises:
        FileNotFoundError: there is no such index, or a recording is no longer there.
        ValueError: options that need --from or contradict it, or an index that cannot be used.
    """
    if arguments.library is None:
        for name in ("like", "strength"):
            if getattr(arguments, name) is not None:
                raise ValueError(
                    f"--{name} is of what sounds start from: name your sounds with --from"
                )
        return [None] * (len(prompts) * arguments.count)
    if arguments.solver == "dopri5":
        raise ValueError("dopri5 starts from noise: leave out --solver or --from")
    if arguments.like is not None and not arguments.like.is_file():
        raise FileNotFoundError(f"no audio file at {arguments.like}")
    from woosh.search.index import check_readable, open_index, trusted_model

    index = open_index(expanded(arguments.library))
    model = trusted_model(index, "make it again with a model that is")

    from woosh.generation.loading import quiet_libraries

    quiet_libraries()
    from woosh.search.library import load_library

    library, count = load_library(index, model, "cpu"), arguments.count
    strength = DEFAULT_STRENGTH if arguments.strength is None else arguments.strength
    sources: list[Source | None] = []
    for prompt in prompts:
        if arguments.like is None:
            matches = library.by_words(prompt, count)
        else:
            matches = library.by_ear(arguments.like, count)
        if not matches:
            raise ValueError(
                f"{index.place} holds no sound: run `woosh index` on a folder that does"
            )
        for match in islice(cycle(matches), count):
            check_readable(match.path, index.folder)
            name = match.path.relative_to(index.folder).as_posix()
            sources.append(Source(match.path, name, strength))
    return sources


def load_judge_for(best_of: int) -> Judge | None:
    """The ears that choose among so many takes; None where there is nothing to choose."""
    if best_of == 1:
        return None
    from woosh.studio.choosing import load_judge

    return load_judge()
