"""From a request to a job: checked as far as that goes without a model, with its seed drawn, its upload kept and its cost known."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from woosh import __version__, audio, catalogue
from woosh.generation.request import Request
from woosh.serving import uploads
from woosh.serving.crew import Crew
from woosh.serving.files import Files
from woosh.serving.settings import UPLOADS, ServerSettings
from woosh.serving.store import Admission, Job, NewJob, Store, new_id
from woosh.studio.finishing import check_record

DRAWN_SEEDS = 2**32  # exact in every client's numbers
FEW_STEPS, MANY_STEPS = 4, 25  # that a job counts as where it names none
HEARD = ("tag", "search")  # which draw nothing
SMALLEST_COST = 10.0  # of a job, so that their number has a bound as well
# Bytes of a second, by which the length of an upload is guessed: nothing is decoded here.
CODED_SECOND, PLAIN_SECOND, VIDEO_SECOND = 16_000, 96_000, 100_000
CODED = (".mp3", ".ogg")
AROUND_SECONDS = 2.0  # that an edit hears around its parts


@dataclass(frozen=True)
class Upload:
    """A file that came with a request.

    Attributes:
        name: that the client tells.
        size: in bytes.
        file: to be read.
        video: whether it should be one.
    """

    name: str | None
    size: int
    file: BinaryIO
    video: bool


@dataclass(frozen=True)
class Asked:
    """What a request asks for."""

    kind: str
    work: Any
    upload: Upload | None
    key: str | None


class Desk:
    """Takes jobs in.

    Args:
        settings: of the server.
        store: of the jobs.
        files: of the jobs.
        crew: that makes them.
    """

    def __init__(self, settings: ServerSettings, store: Store, files: Files, crew: Crew) -> None:
        self._settings, self._store, self._files, self._crew = settings, store, files, crew
        self._models = {info.name: info for info in settings.models}
        self._checksums = {
            info.name: catalogue.model_checksum(info.folder) for info in settings.models
        }

    def admit(self, asked: Asked) -> tuple[Job, bool]:
        """The job of a request, and whether it is new.

        Raises:
            ValueError: it cannot be done, or its idempotency key came with another request before.
            FullError: too much waits.
        """
        info = None if asked.kind in HEARD else self._model(asked)
        seed = None
        if info is not None:
            seed = getattr(asked.work, "seed", None)
            seed = secrets.randbelow(DRAWN_SEEDS) if seed is None else seed
            _check_early(asked, info, seed)
        cost = cost_of(asked, info)
        if cost > self._settings.most_cost:
            raise ValueError(
                f"this costs {cost:.0f} seconds times steps, and one request may cost {self._settings.most_cost:.0f}: ask for "
                "fewer seconds, steps or sounds"
            )
        job, name, checksum = new_id(), None, ""
        is_new = False
        try:
            if asked.upload is not None:
                suffix = uploads.suffix_of(_head(asked.upload), asked.upload.video)
                name = uploads.name_of(asked.upload.name, suffix)
                checksum = self._files.keep_upload(job, name, asked.upload.file)
            model = None if info is None else info.name
            facts = asked.work.model_dump(exclude={"seed", "model"})
            made_by = None if model is None else self._checksums[model]
            content = _checksum([__version__, asked.kind, facts, made_by, seed, name, checksum])
            new = NewJob(
                id=job,
                kind=asked.kind,
                work=asked.work.model_dump_json(),
                model=model,
                seed=seed,
                upload=name,
                content=content,
                cost=cost,
            )
            found, is_new = self._store.accept(new, self._admission(asked, checksum))
        finally:
            if asked.upload is not None and not is_new:
                self._files.remove(UPLOADS, job)
        return found, is_new

    def _admission(self, asked: Asked, checksum: str) -> Admission:
        key = None
        if asked.key is not None:
            key = (asked.key, _checksum([asked.kind, asked.work.model_dump(), checksum]))
        given = getattr(asked.work, "seed", None) is not None
        return Admission(
            most_cost=self._settings.most_cost,
            workers=max(1, self._crew.ready),
            key=key,
            repeatable=given or asked.kind == "tag",
        )

    def _model(self, asked: Asked) -> catalogue.ModelInfo:
        """The model that is asked for, or the first one that can do it."""
        name = getattr(asked.work, "model", None)
        if name is not None:
            if name not in self._models:
                known = ", ".join(self._models)
                raise ValueError(f"there is no model of that name here: there is {known}")
            return self._models[name]
        seeing = [info for info in self._settings.models if info.visual is not None]
        if asked.kind != "dub":
            return self._settings.models[0]
        if not seeing:
            raise ValueError(
                "no model here sees: start the server with one, such as woosh-small-video"
            )
        return seeing[0]


def _check_early(asked: Asked, info: catalogue.ModelInfo, seed: int) -> None:
    """Refuse what the model cannot do, and what no file's record holds, as far as the request itself tells."""
    work = asked.work
    negative = getattr(work, "negative_prompt", None)
    request = Request(
        prompt=getattr(work, "text", None) or getattr(work, "prompt", None) or "",
        negative_prompt=negative,
        seconds=_asked_seconds(work) or 1.0,
        seed=seed,
    )
    request.check(info)
    check_record(request.record(info.name))
    form = getattr(work, "format", None)
    if form in audio.FORMATS:
        audio.Encoding(form, getattr(work, "depth", None), work.rate)
    elif work.rate is not None or work.depth is not None:
        raise ValueError("rate and depth are of sounds: name a format of sounds, such as wav")


def _asked_seconds(work: Any) -> float | None:
    """The length that a request names."""
    return getattr(work, "duration_seconds", None) or getattr(work, "seconds", None)


def cost_of(asked: Asked, info: catalogue.ModelInfo | None) -> float:
    """What a job costs, in seconds of sound times steps. Where the length of an upload counts, it is guessed by its size."""
    work = asked.work
    if info is None:
        return SMALLEST_COST
    seconds = _asked_seconds(work)
    if asked.kind == "edit" and work.start and len(work.start) == len(work.end):
        parts = sum(max(0.0, end - start) for start, end in zip(work.start, work.end, strict=True))
        seconds = parts + AROUND_SECONDS * len(work.start)
    if seconds is None:
        seconds = 5.0 if asked.upload is None else _guessed_seconds(asked.upload)
    steps = getattr(work, "steps", None) or (FEW_STEPS if info.few_step else MANY_STEPS)
    return max(SMALLEST_COST, seconds * steps * getattr(work, "count", 1))


def _guessed_seconds(upload: Upload) -> float:
    second = PLAIN_SECOND
    if upload.video:
        second = VIDEO_SECOND
    elif uploads.suffix_of(_head(upload), False) in CODED:
        second = CODED_SECOND
    return min(catalogue.LONGEST_SECONDS, upload.size / second)


def _head(upload: Upload) -> bytes:
    upload.file.seek(0)
    head = upload.file.read(uploads.HEAD)
    upload.file.seek(0)
    return head


def _checksum(facts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
