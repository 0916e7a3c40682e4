"""Work that is watched while it is done: takes made one after the other, told step by step, ended when asked to.

What a page or a server lets its visitors do; each operation is a function of its own in the other files of this package.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from woosh import audio
from woosh.audio.finishing import FinishSettings, finish
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.studio.edit import Region, edit
from woosh.studio.extend import extend
from woosh.studio.loop import best_stretch, fade_seam, make_loop
from woosh.studio.shelf import Kept, Shelf
from woosh.studio.takes import draw_take
from woosh.studio.variations import vary
from woosh.video import Video
from woosh.video.muxing import CEILING, Soundtrack, write_soundtrack

OPERATIONS = ("edit", "vary", "extend", "loop")


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
    """A loaded model and its name, which is stored in the files' metadata."""

    sampler: Sampler
    name: str


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
    """One sound to make: what it is in a few words, and how a sampler makes it, (C, S) and its record."""

    told: str
    make: Callable[[Sampler], tuple[np.ndarray, audio.Record]]
    loop: bool = False


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

        def job(wanted: Request) -> Job:
            def make(sampler: Sampler) -> tuple[np.ndarray, audio.Record]:
                if loop:
                    sound = make_loop(sampler, wanted).audio
                    return sound, audio.derived_record(wanted.record(self.words.name), "loop")
                take = draw_take(sampler, wanted)
                return take.sound, replace(wanted, seed=take.seed).record(self.words.name)

            return Job(f"{wanted.prompts[0]}, seed {wanted.seed}", make, loop)

        return [job(replace(request, seed=seed)) for seed in seeds]

    def changes(self, kept: Kept, change: Change, seeds: Sequence[int]) -> list[Job]:
        """A changed take from each seed.

        Raises:
            ValueError: a file that cannot be read.
        """
        rate = self.sample_rate
        sound = audio.read_audio(kept.path, rate)
        asked = Request(change.prompt or kept.prompt, seconds=sound.shape[1] / rate)

        def job(wanted: Request) -> Job:
            def make(sampler: Sampler) -> tuple[np.ndarray, audio.Record]:
                if change.operation == "edit":
                    regions = [] if change.region is None else [change.region]
                    new = edit(sampler, sound, rate, wanted, regions, change.strength)
                elif change.operation == "vary":
                    new = vary(sampler, sound, wanted, change.similarity)[0]
                elif change.operation == "extend":
                    new = extend(sampler, sound, rate, replace(wanted, seconds=change.seconds))
                else:
                    new = fade_seam(sound, rate, best_stretch(sound, rate, None)).audio
                facts = wanted.record(self.words.name)
                return new, audio.derived_record(kept.record, change.operation, **facts)

            name = kept.told.split(",")[0]
            return Job(f"{name}, {change.operation}", make, change.operation == "loop")

        return [job(replace(asked, seed=seed)) for seed in seeds]

    def work(self, jobs: Sequence[Job], watch: Watch) -> Iterator[Kept]:
        """Make sounds one after the other, finish and keep them; none is begun any more after a stop.

        Raises:
            ValueError: what a model cannot do.
            NoSoundError: a model made silence from every seed of a take.
        """
        sampler = replace(self.words.sampler, step_bar=watch)
        for number, job in enumerate(jobs):
            if watch.stopped:
                return
            watch.sound_begins(number)
            try:
                sound, record = job.make(sampler)
            except Stopped:
                return
            finished = finish(sound, self.sample_rate, FinishSettings(loop=job.loop))
            seconds = finished.audio.shape[1] / self.sample_rate
            yield self.shelf.keep(
                finished.audio,
                self.sample_rate,
                {**record, **finished.record()},
                f"{job.told}, {seconds:.2f} s",
                loop=job.loop,
            )

    def dub(
        self,
        video: Video,
        request: Request,
        seeds: Sequence[int],
        container: str,
        mix_decibels: float | None,
        watch: Watch,
    ) -> Iterator[Kept]:
        """One take of a video's sound from each seed, muxed with its picture; none is begun any more after a stop.

        Args:
            video: the picture.
            request: for one sound, with the features of what is seen.
            seeds: of the takes.
            container: suffix of the files.
            mix_decibels: gain of the new sound over the video's own; None leaves the own one out.
            watch: is told of the work.

        Raises:
            ValueError: what a model cannot do.
            NoSoundError: a model made silence from every seed of a take.
        """
        sampler = replace(self.pictures.sampler, step_bar=watch)
        for number, seed in enumerate(seeds):
            if watch.stopped:
                return
            watch.sound_begins(number)
            try:
                take = draw_take(sampler, replace(request, seed=seed))
            except Stopped:
                return
            sound = audio.peak_guard(take.sound, CEILING)
            soundtrack = Soundtrack(sound, sampler.sample_rate, mix_decibels=mix_decibels)
            asked = replace(request, seed=take.seed).record(self.pictures.name)
            record = {"video": video.path.name, **asked}
            stem = audio.file_stem(Path(video.path).stem)
            path = self.shelf.place() / f"{stem}-{take.seed}{container}"
            write_soundtrack(video, soundtrack, path, metadata=record)
            yield Kept(path, f"{request.prompts[0] or stem}, seed {take.seed}", record)
