"""Work that is watched while it is done: takes made one after the other, told step by step, ended when asked to.

What a page or a server lets its visitors do; each operation is a function of its own in the other files of this package.
"""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from woosh import audio
from woosh.audio.finishing import LOUDNESS
from woosh.catalogue import ModelInfo
from woosh.generation.records import full_record
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.studio.edit import Region, draw_edit
from woosh.studio.extend import draw_extension
from woosh.studio.finishing import Finishing, finished_take, full_finishing, levelling_of
from woosh.studio.loop import best_stretch, draw_loop, fade_seam
from woosh.studio.shelf import Kept, Shelf
from woosh.studio.takes import Take, draw_take
from woosh.studio.variations import draw_variation, spacing_of
from woosh.video import Video
from woosh.video.muxing import CEILING, Soundtrack, write_soundtrack

LONGEST_TOLD = 50  # characters of a prompt, where it is told what a take is
# What is done with a sound, and what the result is called.
OPERATIONS = {
    "edit": "part replaced",
    "vary": "variation",
    "extend": "made longer",
    "loop": "cut to a loop",
}


def _short(words: str) -> str:
    """The beginning of many words: takes of one prompt differ in what stands behind it."""
    return textwrap.shorten(words, LONGEST_TOLD, placeholder=" ...")


class Stopped(Exception):
    """Whoever asked for the work wants no more of it."""


class Watch:
    """What a visitor is told of the work, and the wish to end it.

    Args:
        tell: called with the number of finished sounds and the share of the next one that is done.
        stop: set by whoever wants the work to end.
    """

    def __init__(self, tell: Callable[[int, float], object], stop: threading.Event) -> None:
        self._tell, self._stop = tell, stop
        self._sounds, self._steps, self._done = 0, 1, 0

    @property
    def stopped(self) -> bool:
        """Whether the work is to end."""
        return self._stop.is_set()

    def sound_begins(self, number: int) -> None:
        """So many sounds are finished."""
        self._sounds, self._done = number, 0
        self._tell(number, 0.0)

    # What a sampler takes for its `step_bar`:

    def __call__(self, steps: int | None) -> Watch:
        self._steps, self._done = steps or 1, 0
        return self

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self) -> None:
        """Count a step.

        Raises:
            Stopped: the work is to end.
        """
        self._done += 1
        if self._stop.is_set():
            raise Stopped
        self._tell(self._sounds, min(1.0, self._done / self._steps))


@dataclass(frozen=True)
class Model:
    """A loaded model, and what its folder says of it."""

    sampler: Sampler
    info: ModelInfo

    def record(self, request: Request) -> audio.Record:
        """What a file keeps of a request's one sound."""
        return full_record(request, self.info, self.sampler)


@dataclass(frozen=True)
class Change:
    """What is to become of a sound.

    Attributes:
        operation: one of `OPERATIONS`.
        prompt: what to hear; empty is what the sound was asked for.
        region: the part that is made anew; none is all of it. For "edit".
        strength: see `edit`.
        similarity: see `vary`.
        seconds: of the longer sound. For "extend".

    Raises:
        ValueError: an operation that there is not.
    """

    operation: str
    prompt: str = ""
    region: Region | None = None
    strength: float = 1.0
    similarity: float = 0.7
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise ValueError(
                f"operation must be one of {', '.join(OPERATIONS)}, not {self.operation!r}"
            )


@dataclass(frozen=True)
class Job:
    """One sound to make.

    Attributes:
        sampler: of the model that makes it.
        make: makes it with that sampler, and keeps it.
    """

    sampler: Sampler
    make: Callable[[Sampler], Kept]


@dataclass(frozen=True)
class Film:
    """What becomes of a video.

    Attributes:
        video: the picture.
        container: suffix of the new file.
        mix_decibels: gain of the new sound over the video's own; None leaves the own one out.
    """

    video: Video
    container: str
    mix_decibels: float | None


@dataclass(frozen=True)
class Workshop:
    """Models, and the shelf of what is made with them.

    Attributes:
        words: makes sounds from words.
        pictures: makes sounds from pictures and words.
        shelf: where takes are kept.
    """

    words: Model
    pictures: Model
    shelf: Shelf

    @property
    def sample_rate(self) -> int:
        """Of the sounds from words and of their changes, in Hz."""
        return self.words.sampler.sample_rate

    def takes(self, request: Request, seeds: Sequence[int], loop: bool) -> list[Job]:
        """One take from each seed, of a request for one sound."""

        def make(wanted: Request, sampler: Sampler) -> Kept:
            take = draw_loop(sampler, wanted)[1] if loop else draw_take(sampler, wanted)
            told = f"{_short(wanted.prompts[0])}, seed {take.seed}"
            record = self.words.record(replace(wanted, seed=take.seed))
            if loop:
                record = audio.derived_record({}, "loop", **record)
            return self._keep(take, finishing, record, told)

        finishing = (
            levelling_of(LOUDNESS, 1.0, loop=True)
            if loop
            else full_finishing(1.0, trim=audio.Trim())
        )
        return self._jobs(self.words, request, seeds, make)

    def changes(self, kept: Kept, change: Change, seeds: Sequence[int]) -> list[Job]:
        """A changed take from each seed, at the level that the change gives it: what an edit keeps, it keeps.

        Raises:
            ValueError: a file that cannot be read.
        """
        rate = self.sample_rate
        sound = audio.read_audio(kept.path, rate)
        asked = Request(change.prompt or kept.prompt, seconds=sound.shape[1] / rate)
        if change.operation == "extend":
            asked = replace(asked, seconds=change.seconds)
        left = levelling_of(None, 1.0, loop=change.operation == "loop")
        name = kept.prompt or kept.told.split(",")[0]
        heard = name if change.operation == "loop" else change.prompt or name
        told = f"{_short(heard)}, {OPERATIONS[change.operation]}"
        spacing = spacing_of(sound, change.similarity, rate)

        def make(wanted: Request, sampler: Sampler) -> Kept:
            if change.operation == "loop":  # of which nothing is made by a model
                faded = fade_seam(sound, rate, best_stretch(sound, rate, None)).audio
                record = audio.derived_record(kept.record, "loop")
                return self._keep(Take(faded, seeds[0]), left, record, told)
            if change.operation == "edit":
                regions = [] if change.region is None else [change.region]
                take = draw_edit(sampler, sound, rate, wanted, regions, change.strength)
            elif change.operation == "vary":
                take = draw_variation(sampler, sound, wanted, change.similarity, spacing=spacing)
            else:
                take = draw_extension(sampler, sound, rate, wanted)
            facts = self.words.record(replace(wanted, seed=take.seed))
            record = audio.derived_record(kept.record, change.operation, **facts)
            return self._keep(take, left, record, f"{told}, seed {take.seed}")

        return self._jobs(self.words, asked, seeds, make)

    def films(self, film: Film, request: Request, seeds: Sequence[int]) -> list[Job]:
        """One take of a video's sound from each seed, muxed with its picture.

        Args:
            film: the video.
            request: for one sound, with the features of what is seen.
            seeds: of the takes.
        """

        def make(wanted: Request, sampler: Sampler) -> Kept:
            take, name = draw_take(sampler, wanted), film.video.path.name
            sound = audio.peak_guard(take.sound, CEILING)
            soundtrack = Soundtrack(sound, sampler.sample_rate, mix_decibels=film.mix_decibels)
            record = {"video": name, **self.pictures.record(replace(wanted, seed=take.seed))}
            stem = audio.file_stem(film.video.path.stem)
            path = self.shelf.place() / f"{stem}-{take.seed}{film.container}"
            write_soundtrack(film.video, soundtrack, path, metadata=record)
            return Kept(path, f"{_short(wanted.prompts[0]) or stem}, seed {take.seed}", record)

        return self._jobs(self.pictures, request, seeds, make)

    def work(self, jobs: Sequence[Job], watch: Watch) -> Iterator[Kept]:
        """Make sounds one after the other; none is begun any more after a stop.

        Raises:
            ValueError: what a model cannot do.
            NoSoundError: a model made silence from every seed of a take.
        """
        for number, job in enumerate(jobs):
            if watch.stopped:
                return
            watch.sound_begins(number)
            try:
                kept = job.make(replace(job.sampler, step_bar=watch))
            except Stopped:
                return
            yield kept

    def _jobs(
        self,
        model: Model,
        request: Request,
        seeds: Sequence[int],
        make: Callable[[Request, Sampler], Kept],
    ) -> list[Job]:
        """A job for each seed."""
        requests = [replace(request, seed=seed) for seed in seeds]
        return [Job(model.sampler, partial(make, wanted)) for wanted in requests]

    def _keep(self, take: Take, finishing: Finishing, record: audio.Record, told: str) -> Kept:
        """Finish a take and put it on the shelf."""
        rate = self.sample_rate
        ready = finished_take(take, finishing, rate)
        told = f"{told}, {ready.audio.shape[1] / rate:.2f} s"
        return self.shelf.keep(ready.audio, rate, {**record, **ready.record}, told, finishing.loop)
