"""What a worker does for a job: the same functions as the commands, with the same finishing and the same records."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from woosh import audio, catalogue
from woosh.audio.finishing import LOUDNESS
from woosh.embeddings.tagging import Tagger, load_tagger
from woosh.generation.loading import choose_device, load_model
from woosh.generation.records import full_record
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.search.index import open_index, trusted_model
from woosh.search.library import Library, load_library
from woosh.serving import shapes
from woosh.serving.settings import WorkerSettings
from woosh.studio.edit import draw_edit
from woosh.studio.extend import draw_extension
from woosh.studio.finishing import Finishing, finished_take, full_finishing, levelling_of
from woosh.studio.loop import NEW_SEAM, Loop, Stretch, close_loop, draw_loop, renew_seam
from woosh.studio.originals import guidance_for, prompt_for, read_original, read_source, record_of
from woosh.studio.places import Region, places_of
from woosh.studio.takes import Take, draw_take
from woosh.studio.variations import draw_variation, spacing_of
from woosh.studio.workshop import Watch
from woosh.video import WATCHED_RATE, Video, open_video, pictures_at
from woosh.video.muxing import CEILING, SOUND_CODECS, Soundtrack, check_output, write_soundtrack
from woosh.video.watching import load_watcher, watch_video

MOST_MODELS = 3  # that a worker keeps loaded
DEFAULT_LOOP_SECONDS = 5.0
USUAL_INFLUENCE = 0.3  # of `/v1/sound-generation`, which is the model's own guidance
MEDIA_TYPES = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
}


@dataclass(frozen=True)
class Loaded:
    """A model, and what its folder says of itself."""

    info: catalogue.ModelInfo
    sampler: Sampler


@dataclass(frozen=True)
class Task:
    """A job as it is made.

    Attributes:
        work: what was asked for.
        model: name of the model.
        seed: of the first take.
        upload: the file that came with it.
        folder: where its files go, which is there.
        tell: called with the share that is done; it raises `Stopped` where no more of it is wanted.
    """

    work: Any
    model: str
    seed: int
    upload: Path | None
    folder: Path
    tell: Callable[[float], object]

    @property
    def sound(self) -> Path:
        """The file that came with it, where one is needed."""
        if self.upload is None:
            raise ValueError("there is no sound to work with: upload one")
        return self.upload

    @property
    def seeds(self) -> range:
        """Of its takes."""
        return range(self.seed, self.seed + self.work.count)

    def watched(self, sampler: Sampler) -> Iterator[tuple[int, Sampler]]:
        """The seed of each take, and the sampler that tells how far it is."""
        count = self.work.count
        watch = Watch(
            lambda sounds, share: self.tell((sounds + share) / count), stop=threading.Event()
        )
        for number, seed in enumerate(self.seeds):
            watch.sound_begins(number)
            yield seed, replace(sampler, step_bar=watch)


class Maker:
    """Makes what jobs ask for, and keeps models loaded meanwhile."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self.model = lru_cache(MOST_MODELS)(self._load)
        self._library: Library | None = None

    def _load(self, name: str) -> Loaded:
        info = catalogue.describe_model(Path(self._settings.models[name]))
        sampler = load_model(info, self._settings.device, self._settings.dtype)
        return Loaded(dataclasses.replace(info, name=name), sampler)

    def make(self, kind: str, task: Task) -> dict[str, Any]:
        """The result of a job: its files in `sounds`, or what was heard or found in `found`.

        Raises:
            ValueError: what was asked for cannot be done.
            NoSoundError: a model made silence from every seed of a take.
            Stopped: of `Task.tell`.
        """
        ways: dict[str, Callable[[Task], list[dict[str, Any]]]] = {
            "generate": self._generate,
            "edit": self._edit,
            "extend": self._extend,
            "loop": self._loop,
            "vary": self._vary,
            "dub": self._dub,
            "sound-generation": self._sound_generation,
        }
        if kind == "tag":
            return {"found": self._tag(task)}
        if kind == "search":
            return {"found": self._search(task)}
        return {"sounds": ways[kind](task)}

    def _generate(self, task: Task) -> list[dict[str, Any]]:
        work: shapes.Generate = task.work
        model = self.model(task.model)
        made = []
        for seed, sampler in task.watched(model.sampler):
            request = _request(work, work.prompt, work.seconds, seed, model)
            record = full_record(request, model.info, sampler)
            finishing = full_finishing(
                audio.CEILINGS[work.format],
                LOUDNESS if work.loudness is None else work.loudness,
                audio.Trim(),
                request.samples(model.info.sample_rate) if work.keep_length else None,
                work.stereo,
            )
            take = draw_take(sampler, request)
            made.append(_keep(task, take, sampler.sample_rate, record, finishing))
        return made

    def _sound_generation(self, task: Task) -> list[dict[str, Any]]:
        work: shapes.CodedSoundGeneration = task.work
        own = self.model(task.model).sampler.guidance_scale
        guidance = None
        if work.prompt_influence is not None:  # 1 is no guidance
            shares, scales = (0, USUAL_INFLUENCE, 1), (1, own, 2 * own - 1)
            guidance = float(np.interp(work.prompt_influence, shares, scales))
        asked = {"prompt": work.text, "guidance": guidance}
        asked |= {"format": work.format, "rate": work.rate}
        if work.duration_seconds is not None:
            asked["seconds"] = work.duration_seconds
        if work.loop:
            return self._loop(replace(task, work=shapes.Loop(**asked)))
        return self._generate(replace(task, work=shapes.Generate(**asked)))

    def _edit(self, task: Task) -> list[dict[str, Any]]:
        work: shapes.Edit = task.work
        if len(work.start) != len(work.end):
            raise ValueError(
                f"{len(work.start)} values of start and {len(work.end)} of end: every part has one of each"
            )
        if not work.start and work.strength is None:
            raise ValueError(
                "say which part with start and end, or how much of the whole sound with strength"
            )
        model, original = self.model(task.model), read_original(task.sound)
        regions = [Region(*part) for part in zip(work.start, work.end, strict=True)]
        places_of(regions, original.audio.shape[1], original.sample_rate)
        strength = 1.0 if work.strength is None else work.strength
        facts: dict[str, Any] = {"edited": original.path.name, "strength": strength}
        if regions:
            facts["parts"] = " ".join(f"{start:g}-{stop:g}" for start, stop in regions)
        made = []
        for seed, sampler in task.watched(model.sampler):
            request = _request(work, work.prompt, original.seconds, seed, model)
            asked = record_of(original.path, "edit", request, model.info, **facts)
            record = full_record(request, model.info, sampler) | asked
            rate = original.sample_rate
            take = draw_edit(sampler, original.audio, rate, request, regions, strength)
            finishing = levelling_of(work.loudness, audio.CEILINGS[work.format])
            made.append(_keep(task, take, rate, record, finishing))
        return made

    def _extend(self, task: Task) -> list[dict[str, Any]]:
        work: shapes.Extend = task.work
        model, original = self.model(task.model), read_original(task.sound)
        prompt = prompt_for(original.path, work.prompt)
        made = []
        for seed, sampler in task.watched(model.sampler):
            request = _request(work, prompt, work.seconds, seed, model)
            facts = {"extended": original.path.name}
            asked = record_of(original.path, "extend", request, model.info, **facts)
            record = full_record(request, model.info, sampler) | asked
            rate = original.sample_rate
            take = draw_extension(sampler, original.audio, rate, request, work.before)
            finishing = levelling_of(work.loudness, audio.CEILINGS[work.format])
            made.append(_keep(task, take, rate, record, finishing))
        return made

    def _loop(self, task: Task) -> list[dict[str, Any]]:
        work: shapes.Loop = task.work
        if task.upload is not None:
            return [self._loop_of_sound(task)]
        if work.prompt is None:
            raise ValueError("say what to hear with prompt, or upload a sound")
        model = self.model(task.model)
        seconds = DEFAULT_LOOP_SECONDS if work.seconds is None else work.seconds
        loudness = LOUDNESS if work.loudness is None else work.loudness
        finishing = levelling_of(loudness, audio.CEILINGS[work.format], True, work.stereo)
        made = []
        for seed, sampler in task.watched(model.sampler):
            request = _request(work, work.prompt, seconds, seed, model)
            asked = audio.derived_record(request.record(model.info.name), "loop", loop="circle")
            record = full_record(request, model.info, sampler) | asked
            _, take = draw_loop(sampler, request)
            made.append(_keep(task, take, sampler.sample_rate, record, finishing))
        return made

    def _loop_of_sound(self, task: Task) -> dict[str, Any]:
        """The loop of a sound: its ends faded into each other, or its seam made anew where that is heard less."""
        work: shapes.Loop = task.work
        if work.count != 1:
            raise ValueError("a sound gives one loop: leave out count")
        original = read_original(task.sound)
        if work.stereo and len(original.audio) > 1:
            raise ValueError(
                f"the sound has {len(original.audio)} channels already: leave out stereo"
            )
        facts = {"looped": original.path.name}
        kept = audio.kept_record(original.path)
        # Of a sound whose ends are faded into each other, nothing is made by a model.
        records = {"crossfade": audio.derived_record(kept, "loop", **facts)}

        def renew(stretch: Stretch) -> Loop:
            model = self.model(task.model)
            prompt = prompt_for(original.path, work.prompt)
            ((seed, sampler),) = task.watched(model.sampler)
            request = _request(work, prompt, original.seconds, seed, model)
            asked = record_of(original.path, "loop", request, model.info, **facts)
            records[NEW_SEAM] = full_record(request, model.info, sampler) | asked
            return renew_seam(sampler, original.audio, original.sample_rate, request, stretch)

        loop = close_loop(original.audio, original.sample_rate, renew, work.seconds)
        record = {**records[loop.way], "loop": loop.way}
        take = Take(loop.audio, task.seed)
        finishing = levelling_of(work.loudness, audio.CEILINGS[work.format], True, work.stereo)
        return _keep(task, take, original.sample_rate, record, finishing)

    def _vary(self, task: Task) -> list[dict[str, Any]]:
        work: shapes.Vary = task.work
        if work.similarity == 1 and work.count > 1:
            raise ValueError(
                "with similarity 1 every take is the sound itself: ask for one, or for less similarity"
            )
        model = self.model(task.model)
        rate = model.info.sample_rate
        sound, prompt = read_source(task.sound, rate), prompt_for(task.sound, work.prompt)
        facts = {"from": task.sound.name, "similarity": work.similarity}
        finishing = levelling_of(work.loudness, audio.CEILINGS[work.format], stereo=work.stereo)
        made, spacing = [], spacing_of(sound, work.similarity, rate)
        for seed, sampler in task.watched(model.sampler):
            request = _request(work, prompt, sound.shape[1] / rate, seed, model)
            if work.guidance is None:
                usual = guidance_for(prompt, work.negative_prompt, model.info)
                request = replace(request, guidance_scale=usual)
            asked = record_of(task.sound, "vary", request, model.info, **facts)
            record = full_record(request, model.info, sampler) | asked
            take = draw_variation(sampler, sound, request, work.similarity, spacing=spacing)
            made.append(_keep(task, take, rate, record, finishing))
        return made

    def _dub(self, task: Task) -> list[dict[str, Any]]:
        work: shapes.Dub = task.work
        model, video = self.model(task.model), open_video(task.sound)
        info = model.info
        if info.video_channels is None or info.visual is None:
            raise ValueError(f"{info.name} makes sound from words alone: take a model that sees")
        own = video.path.suffix.lower()
        form = work.format or (own.removeprefix(".") if own in SOUND_CODECS else "mkv")
        if form in audio.FORMATS and work.mix is not None:
            raise ValueError(f"{form} holds the new sound alone: leave out mix")
        if form not in audio.FORMATS:
            check_output(video, task.folder / f"video.{form}", mix=work.mix is not None)
        seconds = _dubbed_seconds(video, work)
        watcher = load_watcher(
            info.visual, choose_device(self._settings.device), info.video_channels
        )
        seen = watch_video(watcher, video, work.start, seconds)
        finishing = full_finishing(
            audio.CEILINGS.get(form, CEILING), LOUDNESS if work.loudness is None else work.loudness
        )
        made = []
        for seed, sampler in task.watched(model.sampler):
            request = _request(work, work.prompt or "", seconds, seed, model)
            request = replace(request, video_guidance_scale=work.video_guidance)
            source = {"video": video.path.name, "start": work.start}
            record = full_record(request, info, sampler) | source
            take = draw_take(sampler, replace(request, video=seen))
            if form in audio.FORMATS:
                asked = replace(task, work=work.model_copy(update={"format": form}))
                made.append(_keep(asked, take, info.sample_rate, record, finishing))
                continue
            ready = finished_take(take, finishing, info.sample_rate)
            path = task.folder / f"{audio.file_stem(video.path.stem)}-{take.seed}.{form}"
            track = Soundtrack(ready.audio, info.sample_rate, work.start, work.mix)
            record = record | {"seed": take.seed} | ready.record
            write_soundtrack(video, track, path, metadata=record)
            made.append(_described(path, video.seconds, None, take.seed, record))
        return made

    @cached_property
    def _tagger(self) -> Tagger:
        return load_tagger(catalogue.DEFAULT_TAGGER, None, choose_device(self._settings.device))

    def _tag(self, task: Task) -> dict[str, Any]:
        work: shapes.Tag = task.work
        found = self._tagger.describe(task.sound, work.k, work.timeline)
        return {**found, "file": task.sound.name}

    def _search(self, task: Task) -> dict[str, Any]:
        work: shapes.Search = task.work
        if self._settings.index is None:
            raise ValueError("this server has no index: start it with --index")
        if (work.text is None) == (task.upload is None):
            raise ValueError("name what to look for: either text or an upload in sound")
        index = open_index(Path(self._settings.index))
        library = self._library
        if library is None or library.index.weights != index.weights:
            model = trusted_model(index, "make it anew with a model that is")
            library = load_library(index, model, choose_device(self._settings.device))
        self._library = library = replace(library, index=index)
        if work.text is not None:
            matches = library.by_words(work.text, work.k)
        else:
            matches = library.by_ear(task.sound, work.k)
        return {
            "matches": [
                {
                    "name": match.path.relative_to(index.folder).as_posix(),
                    "score": match.score,
                    "seconds": match.seconds,
                }
                for match in matches
            ]
        }


def _request(work: Any, prompt: str, seconds: float, seed: int, model: Loaded) -> Request:
    """What one take asks of a model, checked."""
    request = Request(
        prompt=prompt,
        negative_prompt=work.negative_prompt,
        seconds=seconds,
        steps=work.steps,
        guidance_scale=work.guidance,
        seed=seed,
    )
    request.check(model.info)
    return request


def _dubbed_seconds(video: Video, work: shapes.Dub) -> float:
    """How much of a video gets a sound."""
    seconds = video.seconds - work.start
    if work.seconds is not None:
        seconds = min(seconds, work.seconds)
    if seconds > catalogue.LONGEST_SECONDS:
        raise ValueError(
            f"{seconds:.0f} s are too long: up to {catalogue.LONGEST_SECONDS:g} s are made at a time, name a part with "
            "start and seconds"
        )
    pictures_at(video, WATCHED_RATE, work.start, work.seconds)
    return seconds


def _keep(
    task: Task, take: Take, sample_rate: int, record: audio.Record, finishing: Finishing
) -> dict[str, Any]:
    """Finish a take, write its file, and say what it is."""
    ready = finished_take(take, finishing, sample_rate)
    seed = take.seed if "model" in record else None  # a sound that nothing drew has none
    found = {**record, **({} if seed is None else {"seed": seed}), **ready.record}
    stem = audio.file_stem(str(record.get("prompt") or (task.upload and task.upload.stem) or ""))
    form = task.work.format
    encoding = audio.Encoding(form, task.work.depth, task.work.rate)
    path = task.folder / f"{stem}-{take.seed}.{form}"
    audio.write_audio(path, ready.audio, sample_rate, found, encoding, ready.marks)
    seconds = ready.audio.shape[1] / sample_rate
    return _described(path, seconds, ready.loudness, seed, found)


def _described(
    path: Path, seconds: float, loudness: float | None, seed: int | None, record: audio.Record
) -> dict[str, Any]:
    """What is told of a file."""
    return {
        "name": path.name,
        "media_type": MEDIA_TYPES[path.suffix.removeprefix(".")],
        "seconds": seconds,
        "loudness": loudness if loudness is None or np.isfinite(loudness) else None,
        "seed": seed,
        "record": dict(record),
    }
