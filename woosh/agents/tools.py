"""The tools themselves: each checks what it is asked for, makes it with the studio's functions, and tells of its files.

They know nothing of a protocol. Sounds are finished and written as the command of the same name does it; new names never
overwrite anything.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from woosh import audio, catalogue
from woosh.agents.answers import (
    FoundSound,
    Heard,
    Known,
    KnownModel,
    Label,
    Matches,
    SoundFile,
    Sounds,
)
from woosh.agents.equipment import Equipment
from woosh.audio.finishing import LOUDNESS
from woosh.generation.request import Request, clean_text
from woosh.generation.sampling import Sampler
from woosh.studio.edit import draw_edit
from woosh.studio.finishing import (
    Finishing,
    Ready,
    finished_take,
    full_finishing,
    levelling_of,
)
from woosh.studio.loop import NEW_SEAM, Loop, Stretch, close_loop, draw_loop, renew_seam
from woosh.studio.originals import guidance_for, prompt_for, read_original, read_source, record_of
from woosh.studio.places import Region
from woosh.studio.takes import Take, draw_take
from woosh.studio.variations import draw_variation, spacing_of
from woosh.studio.workshop import Watch
from woosh.video import open_video
from woosh.video.muxing import CEILING, SOUND_CODECS, Soundtrack, check_output, write_soundtrack
from woosh.video.watching import watch_video
from woosh.whole_files import claimed

MOST_MATCHES = 100  # of a search
MOST_LABELS = 100
LONGEST_TEXT = 1_000  # characters of a prompt
LARGEST_SEED = 2**53 - 1 - 100_000  # programs that read JSON have numbers of 53 bits


@dataclass(frozen=True)
class Order:
    """How many sounds are wanted, and as what files.

    Attributes:
        count: of the sounds.
        seed: of the first one; the others follow. None is a random one.
        file_format: of the files.
        name: of the files, without folder and extension; None names them after what they are.
    """

    count: int = 1
    seed: int | None = None
    file_format: str = "wav"
    name: str | None = None

    def seeds(self) -> range:
        """One for each sound."""
        first = secrets.randbelow(2**32) if self.seed is None else self.seed
        return range(first, first + self.count)


@dataclass(frozen=True, eq=False)
class Made:
    """A take, what its file is to say of it, and how it is finished.

    Attributes:
        take: as it was made.
        sample_rate: in Hz.
        record: of how it was made.
        finishing: what is done to it.
        notes: what else is to be told.
    """

    take: Take
    sample_rate: int
    record: audio.Record
    finishing: Finishing
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tools:
    """What an agent can do with a server's equipment. Every tool raises ValueError for what it cannot, OSError for files."""

    equipment: Equipment

    def generate(
        self, prompt: str, seconds: float, negative: str | None, order: Order, watch: Watch
    ) -> Sounds:
        """Sounds from words, as `woosh generate`."""
        self._check(order, seconds)
        asked = Request(
            _text(prompt, "prompt"),
            negative_prompt=None if negative is None else _text(negative, "negative prompt"),
            seconds=seconds,
        )
        asked.check(self.equipment.choice.words)
        finishing = full_finishing(audio.CEILINGS[order.file_format], trim=audio.Trim())

        def make(seed: int, sampler: Sampler) -> Made:
            take = draw_take(sampler, replace(asked, seed=seed))
            record = self.equipment.words.record(replace(asked, seed=take.seed))
            return Made(take, sampler.sample_rate, record, finishing)

        return self._deliver(order, prompt, watch, make)

    def vary(
        self, path: str, similarity: float, prompt: str | None, order: Order, watch: Watch
    ) -> Sounds:
        """Variations of a sound, as `woosh vary`."""
        self._check(order)
        source, info = self.equipment.choice.places.readable(path), self.equipment.choice.words
        sound = read_source(source, info.sample_rate)
        seconds = sound.shape[1] / info.sample_rate
        self._check(order, seconds)
        words = prompt_for(source, None if prompt is None else _text(prompt, "prompt"))
        asked = Request(words, seconds=seconds, guidance_scale=guidance_for(words, None, info))
        facts = {"from": source.name, "similarity": similarity}
        finishing = levelling_of(None, audio.CEILINGS[order.file_format])
        spacing = spacing_of(sound, similarity, info.sample_rate)

        def make(seed: int, sampler: Sampler) -> Made:
            wanted = replace(asked, seed=seed)
            take = draw_variation(sampler, sound, wanted, similarity, spacing=spacing)
            drawn = replace(wanted, seed=take.seed)
            told = record_of(source, "vary", drawn, info, **facts)
            record = {**self.equipment.words.record(drawn), **told}
            return Made(take, sampler.sample_rate, record, finishing)

        return self._deliver(order, f"{source.stem}-variation", watch, make)

    def edit(
        self,
        path: str,
        prompt: str,
        region: Region | None,
        strength: float | None,
        order: Order,
        watch: Watch,
    ) -> Sounds:
        """A part of a sound made anew, as `woosh edit`."""
        self._check(order)
        if region is None and strength is None:
            raise ValueError(
                "say which part with start and stop, or how much of the whole with strength"
            )
        info, much = self.equipment.choice.words, 1.0 if strength is None else strength
        original = read_original(self.equipment.choice.places.readable(path))
        self._check(order, original.seconds)
        asked = Request(_text(prompt, "prompt"), seconds=original.seconds)
        facts = {"edited": original.path.name, "strength": much}
        regions = [] if region is None else [region]
        finishing, notes = levelling_of(None, audio.CEILINGS[order.file_format]), ()
        if info.few_step and regions and much == 1:
            notes = (f"{info.name} hardly follows what is around a part: a strength below 1 does",)

        def make(seed: int, sampler: Sampler) -> Made:
            wanted, rate = replace(asked, seed=seed), original.sample_rate
            take = draw_edit(sampler, original.audio, rate, wanted, regions, much)
            drawn = replace(wanted, seed=take.seed)
            told = record_of(original.path, "edit", drawn, info, **facts)
            record = {**self.equipment.words.record(drawn), **told}
            return Made(take, rate, record, finishing, notes)

        return self._deliver(order, f"{original.path.stem}-edited", watch, make)

    def loop_of_words(self, prompt: str, seconds: float, order: Order, watch: Watch) -> Sounds:
        """Loops from words, as `woosh loop`."""
        self._check(order, seconds)
        asked = Request(_text(prompt, "prompt"), seconds=seconds)
        finishing = levelling_of(LOUDNESS, audio.CEILINGS[order.file_format], loop=True)

        def make(seed: int, sampler: Sampler) -> Made:
            wanted = replace(asked, seed=seed)
            loop, take = draw_loop(sampler, wanted)
            drawn = replace(wanted, seed=take.seed)
            facts = {**self.equipment.words.record(drawn), "loop": loop.way}
            record = audio.derived_record({}, "loop", **facts)
            return Made(take, sampler.sample_rate, record, finishing, _seam(loop))

        return self._deliver(order, prompt, watch, make)

    def loop_of_file(
        self, path: str, seconds: float | None, prompt: str | None, order: Order, watch: Watch
    ) -> Sounds:
        """The loop of a sound, as `woosh loop`; the model is loaded only where fading alone is heard."""
        if order.count != 1:
            raise ValueError("a sound gives one loop: leave out count")
        self._check(order)
        original = read_original(self.equipment.choice.places.readable(path))
        self._check(order, original.seconds)
        facts, (seed,) = {"looped": original.path.name}, order.seeds()
        kept = audio.kept_record(original.path)
        records = {"crossfade": audio.derived_record(kept, "loop", **facts)}
        words = prompt_for(original.path, None if prompt is None else _text(prompt, "prompt"))
        request = Request(words, seconds=original.seconds, seed=seed)

        def renew(stretch: Stretch) -> Loop:
            model = self.equipment.words
            told = record_of(original.path, "loop", request, model.info, **facts)
            records[NEW_SEAM] = {**model.record(request), **told}
            sampler = replace(model.sampler, step_bar=watch)
            return renew_seam(sampler, original.audio, original.sample_rate, request, stretch)

        watch.sound_begins(0)
        loop = close_loop(original.audio, original.sample_rate, renew, seconds)
        record = {**records[loop.way], "loop": loop.way}
        finishing = levelling_of(None, audio.CEILINGS[order.file_format], loop=True)
        take = Take(loop.audio, seed)
        made = Made(take, original.sample_rate, record, finishing, _seam(loop))
        return Sounds([self._write(made, order, f"{original.path.stem}-loop")])

    def dub(
        self, path: str, prompt: str | None, mix: float | None, order: Order, watch: Watch
    ) -> Sounds:
        """A video with a sound that follows its picture, as `woosh dub`."""
        self._check(order)
        places = self.equipment.choice.places
        video = open_video(places.readable(path))
        self._check(order, video.seconds)
        suffix = video.path.suffix.lower()
        suffix = suffix if suffix in SOUND_CODECS else ".mkv"
        stem = f"{video.path.stem}-dubbed" if order.name is None else audio.file_stem(order.name)
        first = next(path for path in places.free(stem, suffix[1:]) if not path.exists())
        check_output(video, first, mix=mix is not None)
        model = self.equipment.pictures
        watch.sound_begins(0)
        features = watch_video(self.equipment.watcher, video, progress=partial(_watched, watch))
        words = "" if prompt is None else _text(prompt, "prompt")
        asked = Request(words, seconds=video.seconds, video=features)
        finishing = levelling_of(LOUDNESS, CEILING)
        sounds: list[SoundFile] = []
        for number, seed in enumerate(order.seeds()):
            watch.sound_begins(number)
            sampler = replace(model.sampler, step_bar=watch)
            take = draw_take(sampler, replace(asked, seed=seed))
            ready = finished_take(take, finishing, sampler.sample_rate)
            facts = {**model.record(replace(asked, seed=take.seed)), **ready.record}
            record = {"video": video.path.name, **facts}
            with claimed(places.free(stem, suffix[1:])) as target:
                soundtrack = Soundtrack(ready.audio, sampler.sample_rate, mix_decibels=mix)
                write_soundtrack(video, soundtrack, target, metadata=record)
            sounds.append(
                SoundFile(
                    path=str(target),
                    seconds=video.seconds,
                    sample_rate=sampler.sample_rate,
                    channels=len(ready.audio),
                    loudness=_rounded(ready.loudness),
                    seed=take.seed,
                    record=dict(record),
                    notes=_notes(take, finishing, ready),
                )
            )
        return Sounds(sounds)

    def search(self, text: str | None, path: str | None, count: int) -> Matches:
        """Sounds of the library by words or by example, as `woosh search`."""
        if (text is None) == (path is None):
            raise ValueError("name what to look for: either a text or the path of a sound")
        _check_range("count", count, 1, MOST_MATCHES)
        library = self.equipment.library()
        if path is not None:
            matches = library.by_ear(self.equipment.choice.places.readable(path), count)
        else:
            matches = library.by_words(_text(str(text), "text"), count)
        return Matches(
            [FoundSound(str(match.path), match.score, match.seconds) for match in matches]
        )

    def tag(self, path: str, count: int) -> Heard:
        """What is heard in a file, as `woosh tag`."""
        _check_range("count", count, 1, MOST_LABELS)
        file = self.equipment.choice.places.readable(path)
        found = self.equipment.tagger.describe(file, count, timeline=False)
        return Heard(
            path=found["file"],
            seconds=found["seconds"],
            labels=[Label(**label) for label in found["labels"]],
            category=found["ucs"] and found["ucs"]["catid"],
        )

    def models(self) -> Known:
        """What is there, and within which bounds it may be used."""
        choice = self.equipment.choice
        infos = {info.name: info for info in catalogue.built_in_models()}
        infos |= {info.name: info for info in (choice.words, choice.pictures)}
        return Known(
            models=[
                KnownModel(
                    name=info.name,
                    makes="sound for videos" if info.video_channels else "sound from words",
                    used=info in (choice.words, choice.pictures),
                    parameters=info.parameters,
                    licence=info.licence,
                )
                for info in infos.values()
            ],
            output=str(choice.places.output),
            readable=[str(folder) for folder in choice.places.allowed],
            library=None if choice.index is None else str(choice.index),
            longest_seconds=choice.longest,
            most_sounds=choice.most,
            formats=list(audio.FORMATS),
        )

    def _check(self, order: Order, seconds: float | None = None) -> None:
        """Raise ValueError for more than the server's owner allows."""
        choice = self.equipment.choice
        _check_range("count", order.count, 1, choice.most)
        if order.seed is not None:
            _check_range("seed", order.seed, 0, LARGEST_SEED)
        if order.file_format not in audio.FORMATS:
            raise ValueError(
                f"format must be one of {', '.join(audio.FORMATS)}, not {order.file_format!r}"
            )
        if seconds is not None and not seconds <= choice.longest:
            raise ValueError(
                f"{seconds:g} s are more than the {choice.longest:g} s that this server takes"
            )

    def _deliver(
        self,
        order: Order,
        words: str,
        watch: Watch,
        make: Callable[[int, Sampler], Made],
    ) -> Sounds:
        """Make the sounds of an order one after the other, and write each at once; the model is loaded only now."""
        sampler, sounds = replace(self.equipment.words.sampler, step_bar=watch), []
        for number, seed in enumerate(order.seeds()):
            watch.sound_begins(number)
            made = make(seed, sampler)
            sounds.append(self._write(made, order, words))
        return Sounds(sounds)

    def _write(self, made: Made, order: Order, words: str) -> SoundFile:
        """Finish a sound and write it under a free name; of what it is, its file tells too."""
        take, rate = made.take, made.sample_rate
        ready = finished_take(take, made.finishing, rate)
        record = {**made.record, **ready.record}
        stem = audio.file_stem(words if order.name is None else order.name)
        with claimed(self.equipment.choice.places.free(stem, order.file_format)) as path:
            audio.write_audio(path, ready.audio, rate, record, marks=ready.marks)
        return SoundFile(
            path=str(path),
            seconds=ready.audio.shape[1] / rate,
            sample_rate=rate,
            channels=len(ready.audio),
            loudness=_rounded(ready.loudness),
            seed=int(record["seed"]) if "seed" in record else None,
            record=dict(record),
            notes=[*made.notes, *_notes(take, made.finishing, ready)],
        )


def _text(text: str, name: str) -> str:
    """A text in one line.

    Raises:
        ValueError: it is empty, or longer than agents may write.
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(
            f"the {name} has {len(text)} characters, and up to {LONGEST_TEXT} are taken"
        )
    return clean_text(text, name)


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, not {value}")


def _rounded(loudness: float) -> float | None:
    return round(loudness, 1) if np.isfinite(loudness) else None


def _notes(take: Take, finishing: Finishing, ready: Ready) -> list[str]:
    """What a command would tell of a take on the side."""
    notes = []
    if take.silent_seeds:
        seeds = ", ".join(map(str, take.silent_seeds))
        notes.append(f"silence from seed {seeds}: drawn again with seed {take.seed}")
    if finishing.settings is not None and not ready.reached:
        notes.append(f"{finishing.settings.loudness:g} LUFS would pass the peak's limit")
    return notes


def _seam(loop: Loop) -> tuple[str, ...]:
    """What is told of a loop's seam."""
    return (f"seam ({loop.way}) {'is' if loop.error.heard else 'is not'} heard: {loop.error}",)


def _watched(watch: Watch, windows: Any, count: int) -> Iterator[Any]:
    """Windows of a video as they are seen; each is a step."""
    with watch(count):
        for window in windows:
            watch.update()
            yield window
