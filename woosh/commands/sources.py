"""What the commands that start from a sound share: reading it, the words that go with it, and the request."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from woosh import audio
from woosh.generation.request import Request
from woosh.outside_files import expanded

if TYPE_CHECKING:
    from woosh.generation.sampling import Sampler
    from woosh.generation.starting import Start
    from woosh.studio.choosing import Judge

DEFAULT_STRENGTH = 0.8  # of what starts from a recording of a library


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
