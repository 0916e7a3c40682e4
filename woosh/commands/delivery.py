"""From a take to its file: finished, named, written, signed, and told in a line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from woosh.audio import Record
from woosh.commands.assets import Assets
from woosh.commands.finishing import described, make_ready
from woosh.commands.outputs import Target
from woosh.studio.finishing import Finishing
from woosh.studio.seeds import take_seeds
from woosh.studio.takes import NoSoundError, Take


@dataclass(frozen=True)
class Silences:
    """Takes that stay silent: the others are made, and the error comes in the end."""

    told: list[str] = field(default_factory=list)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Around what makes one take: where that is silent, what follows in here is left out."""
        try:
            yield
        except NoSoundError as error:
            self.told.append(str(error))

    def raise_any(self) -> None:
        """Raise a NoSoundError that names all of them, if there are any."""
        if self.told:
            raise NoSoundError("; ".join(self.told))


@dataclass(frozen=True)
class Delivery:
    """Where the takes of a command go, and what is done to them on the way.

    Attributes:
        target: where to.
        finishing: of the sounds.
        assets: how files are stored, named and signed.
        clips: how many there are.
    """

    target: Target
    finishing: Finishing
    assets: Assets
    clips: int

    def deliver(self, take: Take, sample_rate: int, record: Record, index: int) -> Path:
        """Finish take `index` and write it with its record; the line that tells of it goes to stdout.

        Raises:
            ValueError: the record is too long.
            OSError: the file cannot be written.
        """
        ready = make_ready(take, self.finishing, sample_rate, self._name(record))
        seed = take.seed if "model" in record else None  # a sound that nothing drew has none
        found = {**record, **({} if seed is None else {"seed": seed}), **ready.record}
        named = self.assets.named(found, ready.audio, sample_rate)
        self.target.folder.mkdir(exist_ok=True)
        with self.assets.claim(self.target, named, index, self.clips) as path:
            self.assets.write(path, ready.audio, sample_rate, named, ready.marks)
        print(described(path, ready, sample_rate, seed), flush=True)
        return path

    def _name(self, record: Record) -> str:
        """What a note calls a sound."""
        return repr(record["prompt"]) if record.get("prompt") else str(self.target.stem)

    def made(self, record: Record, index: int, best_of: int) -> Path | None:
        """The file of take `index` that is there already, with whichever of its seeds it was made."""
        first_ones = take_seeds(int(record["seed"]))
        seeds = [first + place for first in first_ones for place in range(best_of)]
        return self.assets.made(self.target, record, seeds, (index, self.clips))
