"""What visitors of a page ask for: their fields, which are not trusted, become requests, changes and films."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from woosh import audio
from woosh.generation.request import Request, clean_text
from woosh.studio.places import Region
from woosh.studio.shelf import Kept
from woosh.studio.workshop import Change, Film, Job, Watch, Workshop
from woosh.video import open_video
from woosh.video.muxing import check_output

if TYPE_CHECKING:
    from woosh.generation.sampling import Sampler

LONGEST = 60.0  # seconds of a sound or a video
MOST_TAKES = 8  # at a time
MOST_KEPT = 64  # takes of a visitor; the oldest go
MOST_CHARACTERS = 400  # of a text; browsers are told, and others may not ask
MAX_SEED = 2**32 - 1  # a browser's numbers are exact up to 2^53
PLAYED = (".mp4", ".webm")  # what browsers play


class State(NamedTuple):
    """What a visitor sees of the work: all takes, the place of the selected one, and how far the work is."""

    takes: list[Kept]
    selected: int
    status: str


@dataclass(frozen=True)
class Visits:
    """The work that is done for visitors, each of whom can end what was begun for them."""

    stops: dict[str, threading.Event] = field(default_factory=dict)

    def stop(self, visitor: str) -> bool:
        """Let a visitor's work end after the step that it is in; false if nothing is being made for them."""
        stop = self.stops.get(visitor)
        if stop is None:
            return False
        stop.set()
        return True

    def work(
        self,
        visitor: str,
        workshop: Workshop,
        takes: Sequence[Kept],
        jobs: Sequence[Job],
        tell: Callable[[int, float], object],
    ) -> Iterator[State]:
        """Make sounds, and show each beside the takes that there are as it comes, the first of the new ones selected.

        Args:
            visitor: for whom, until `stop`.
            workshop: where.
            takes: that the visitor has.
            jobs: one for each sound.
            tell: see `Watch`.

        Raises:
            ValueError: what a model cannot do.
            NoSoundError: a model made silence from every seed of a take.
        """
        stop = self.stops[visitor] = threading.Event()
        takes, selected, made = list(takes), len(takes), 0
        try:
            for kept in workshop.work(jobs, Watch(tell, stop)):
                takes, made = [*takes, kept], made + 1
                gone = max(0, len(takes) - MOST_KEPT)
                takes, selected = takes[gone:], max(0, selected - gone)
                yield State(takes, selected, f"{made} of {len(jobs)} made.")
        finally:
            if self.stops.get(visitor) is stop:
                del self.stops[visitor]
        if made < len(jobs):
            selected = min(selected, len(takes) - 1)
            yield State(takes, selected, f"Stopped: {made} of {len(jobs)} made.")


@dataclass(frozen=True)
class Asked:
    """The fields of words and sampling, as they come.

    Attributes:
        prompt: what to hear; None and spaces alone are none.
        negative: what not to hear, likewise.
        steps: of the solver.
        guidance: how closely the words are followed.
    """

    prompt: str | None
    negative: str | None
    steps: float
    guidance: float

    def request(self, sampler: Sampler, seconds: float) -> Request:
        """The request for one sound of so many seconds, without a seed.

        Raises:
            ValueError: no words, too many of them, or what the model cannot do.
        """
        request = replace(self._request(seconds), prompt=clean_text(self.prompt or "", "prompt"))
        request.check(sampler)
        return request

    def of_film(self, sampler: Sampler, seconds: float) -> Request:
        """The request for a video's sound, whose words may be none and whose features are still to come.

        Raises:
            ValueError: too many words, or what the model cannot do.
        """
        request = replace(self._request(seconds), prompt=words_of(self.prompt))
        request.check(sampler)
        return request

    def _request(self, seconds: float) -> Request:
        check_length(self.prompt, self.negative)
        return Request(
            "",
            negative_prompt=words_of(self.negative) or None,
            seconds=seconds,
            steps=int(self.steps),
            guidance_scale=self.guidance,
        )


def words_of(text: str | None) -> str:
    """A text with single spaces; none is the empty one."""
    return " ".join((text or "").split())


def check_length(*texts: str | None) -> None:
    """Raise a ValueError for a text that is longer than anyone may write."""
    longest = max(len(text or "") for text in texts)
    if longest > MOST_CHARACTERS:
        raise ValueError(f"{longest} characters are too long: up to {MOST_CHARACTERS} are taken")


def seeds_of(seed: int | None, count: int) -> list[int]:
    """Seeds one after the other; a random first one for -1 and for an empty field."""
    first = secrets.randbelow(MAX_SEED - MOST_TAKES) if seed is None or seed < 0 else int(seed)
    return [first + index for index in range(count)]


def chosen(takes: Sequence[Kept], index: int | None) -> Kept:
    """The selected take.

    Raises:
        ValueError: none is.
    """
    if not isinstance(index, int) or not 0 <= index < len(takes):
        raise ValueError("no take is selected: generate one, or open a sound of yours")
    return takes[index]


def part_of(selection: Mapping[str, Any] | None) -> Region | None:
    """The part of a sound that is selected on its picture, between "from" and "to"; None is the whole sound.

    Raises:
        ValueError: what came from the browser is no part of a sound.
    """
    start, stop = (selection or {}).get("from"), (selection or {}).get("to")
    if start is None or stop is None:
        return None
    if not all(isinstance(value, int | float) for value in (start, stop)):
        raise ValueError(f"a part begins and ends at a number of seconds, not {start!r}, {stop!r}")
    return Region(start, stop)


def check_change(change: Change) -> None:
    """Raise a ValueError where a part was to be replaced by all new sound, and none is selected."""
    if change.operation == "edit" and change.region is None and change.strength == 1:
        raise ValueError(
            "no part is selected: drag over the picture to select one, or set Strength below 1 to change the whole take"
        )


def bring(workshop: Workshop, path: Path) -> Kept:
    """A sound that a visitor brings, as it is, in mono at the models' rate; of a longer one its first 60 s.

    Raises:
        ValueError: it is no sound.
    """
    rate = workshop.sample_rate
    sound = audio.read_audio(path, rate, longest_seconds=LONGEST)
    part = "the first " if audio.audio_seconds(path) > LONGEST else ""
    told = f"{audio.file_stem(path.stem)}, your sound, {part}{sound.shape[1] / rate:.2f} s"
    return workshop.shelf.keep(audio.peak_guard(sound), rate, {}, told)


def film_of(path: Path, mix_decibels: float | None) -> Film:
    """An uploaded video, to become one that browsers play and that holds its picture as it is.

    Args:
        path: of the upload.
        mix_decibels: gain of the new sound over the video's own; None leaves the own one out.

    Raises:
        ValueError: no video, a longer one than is taken, one that no browser plays, or one without sound to mix with.
    """
    video = open_video(path)
    if video.seconds > LONGEST:
        raise ValueError(
            f"the video lasts {video.seconds:.0f} s; this page takes up to {LONGEST:g} s, "
            "`woosh dub` any part of a longer one"
        )
    problems = []
    for container in PLAYED:
        try:
            check_output(video, path.with_suffix(f".new{container}"), mix=mix_decibels is not None)
        except ValueError as error:
            problems.append(str(error))
        else:
            return Film(video, container, mix_decibels)
    raise ValueError(problems[0])
