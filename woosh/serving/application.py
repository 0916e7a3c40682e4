"""The application: its routes, and what each asks and answers. No model is loaded here; workers do the work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from woosh.command_line import missing_extra

try:
    from fastapi import Depends, FastAPI, Form, HTTPException, Query, Request, UploadFile
    from fastapi import Path as PathValue
    from fastapi.concurrency import run_in_threadpool
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
except ImportError as error:
    raise missing_extra("the server needs fastapi", "serve") from error

from woosh import __version__
from woosh.outside_files import printable
from woosh.serving import shapes
from woosh.serving.admission import Asked, Desk, Upload
from woosh.serving.answers import (
    LONGEST_WAIT,
    Waiting,
    answered,
    events_of,
    file_of,
    told,
    waiting_of,
)
from woosh.serving.crew import Crew, Hire
from woosh.serving.files import Files, open_files
from woosh.serving.following import Following
from woosh.serving.guard import Guard
from woosh.serving.keeping import Keeper
from woosh.serving.measures import Measures
from woosh.serving.settings import ServerSettings
from woosh.serving.store import FullError, Job, Store
from woosh.serving.supervisor import Supervisor

LONGEST_REASON = 500  # characters
REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": shapes.Refusal} for code in (400, 401, 403, 404, 408, 409, 413, 422, 429, 500)
}
FILES: dict[str, Any] = {"audio/*": {}, "video/*": {}}
POSTED: dict[int | str, dict[str, Any]] = {
    **REFUSALS,
    200: {"model": shapes.JobAnswer, "content": FILES, "description": "the sound, or the job"},
    202: {"model": shapes.JobAnswer, "description": "the job, which goes on"},
}
MULTIPART = "multipart/form-data"


class EditForm(shapes.Edit):
    """Parts of a sound made anew, or all of it changed."""

    sound: UploadFile


class ExtendForm(shapes.Extend):
    """A sound made longer."""

    sound: UploadFile


class LoopForm(shapes.Loop):
    """A loop from words, or of a sound."""

    sound: UploadFile | None = None


class VaryForm(shapes.Vary):
    """Cousins of a sound."""

    sound: UploadFile


class DubForm(shapes.Dub):
    """The sound of a video."""

    video: UploadFile


class TagForm(shapes.Tag):
    """What is heard in a sound."""

    sound: UploadFile


class SearchForm(shapes.Search):
    """Sounds of the server's index by words or by example."""

    sound: UploadFile | None = None


@dataclass(frozen=True)
class Service:
    """The parts of a server that runs."""

    settings: ServerSettings
    store: Store
    files: Files
    crew: Crew
    desk: Desk
    following: Following
    measures: Measures

    async def answer(self, asked: Asked, waiting: Waiting) -> Response:
        """Take a job in, wait for it as long as is asked, and answer."""
        job, is_new = await run_in_threadpool(self.desk.admit, asked)
        if is_new:
            self.measures.accepted.labels(asked.kind).inc()
            await run_in_threadpool(self.crew.wake)
        else:
            self.measures.repeated.inc()
        if waiting.seconds:
            with self.measures.waited.labels(asked.kind).time():
                job = await self.following.ended(job, waiting.seconds)
        return await run_in_threadpool(answered, job, waiting, self.files)

    async def answer_form(self, kind: str, form: Any, waiting: Waiting) -> Response:
        """The answer to a form, whose upload is taken out of it."""
        fields = {"sound", "video"} & set(type(form).model_fields)
        file = next((getattr(form, name) for name in fields), None)
        upload = None
        if file is not None:
            upload = Upload(file.filename, file.size or 0, file.file, "video" in fields)
        work = shapes.KINDS[kind].model_validate(form.model_dump(exclude=fields))
        return await self.answer(Asked(kind, work, upload, waiting.key), waiting)

    async def job(self, name: str) -> Job:
        """A job by its name.

        Raises:
            HTTPException: there is none.
        """
        found = await run_in_threadpool(self.store.get, name)
        if found is None:
            raise HTTPException(404, "there is no such job, or it was removed")
        return found


def service_of(request: Request) -> Service:
    """The server's parts."""
    return request.app.state.service


Here = Annotated[Service, Depends(service_of)]
Wish = Annotated[Waiting, Depends(waiting_of)]


def guarded_application(settings: ServerSettings, hire: Hire = Supervisor) -> Guard:
    """The application of a server; what it needs is started with it.

    Args:
        settings: of the server.
        hire: gives those who make the sounds; processes beside it where nothing else is said.
    """
    application = FastAPI(
        title="Woosh",
        version=__version__,
        description="Sound effects from text and video.",
        openapi_url="/v1/openapi.json",
        docs_url=None,  # their pages fetch what they show from elsewhere
        redoc_url=None,
        lifespan=lambda application: _running(application, settings, hire),
    )
    _add_errors(application)
    _add_works(application)
    _add_jobs(application)
    _add_rest(application)
    return Guard(application, settings.token)


@contextlib.asynccontextmanager
async def _running(
    application: FastAPI, settings: ServerSettings, hire: Hire
) -> AsyncIterator[None]:
    """The parts of a server, started and ended with it."""
    store = Store(settings.database)
    crew = hire(settings, store)
    files = open_files(settings.files)
    keeper = Keeper(settings, store, files, crew)
    following = Following(store)
    desk = Desk(settings, store, files, crew)
    application.state.service = Service(settings, store, files, crew, desk, following, Measures())
    keeper.start()
    crew.start()
    looking = asyncio.create_task(following.run())
    try:
        yield
    finally:
        looking.cancel()
        keeper.stop()
        crew.stop()
        store.close()


def _add_errors(application: FastAPI) -> None:
    """Every refusal is one line, and no traceback leaves."""

    def refused(request: Request, status: int, reason: str, **headers: str) -> Response:
        service_of(request).measures.refused.labels(str(status)).inc()
        return JSONResponse({"detail": printable(reason)[:LONGEST_REASON]}, status, headers)

    @application.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        reasons = [
            f"{'.'.join(str(part) for part in one['loc'][1:]) or one['loc'][0]}: {one['msg']}"
            for one in error.errors()[:5]
        ]
        return refused(request, 422, "; ".join(reasons))

    @application.exception_handler(ValueError)
    async def impossible(request: Request, error: ValueError) -> Response:
        return refused(request, 422, str(error))

    @application.exception_handler(FullError)
    async def full(request: Request, error: FullError) -> Response:
        return refused(request, 429, str(error), **{"Retry-After": str(error.seconds)})

    @application.exception_handler(Exception)
    async def failed(request: Request, _error: Exception) -> Response:
        return refused(request, 500, "the server failed: its log says why")


def _add_works(application: FastAPI) -> None:
    """What makes jobs."""
    post = application.post

    @post("/v1/generate", responses=POSTED, response_model=None)
    async def generate(work: shapes.Generate, waiting: Wish, here: Here) -> Response:
        """Sounds from words."""
        return await here.answer(Asked("generate", work, None, waiting.key), waiting)

    @post("/v1/edit", responses=POSTED, response_model=None)
    async def edit(
        form: Annotated[EditForm, Form(media_type=MULTIPART)], waiting: Wish, here: Here
    ) -> Response:
        """Parts of a sound made anew, or all of it changed."""
        return await here.answer_form("edit", form, waiting)

    @post("/v1/extend", responses=POSTED, response_model=None)
    async def extend(
        form: Annotated[ExtendForm, Form(media_type=MULTIPART)], waiting: Wish, here: Here
    ) -> Response:
        """A sound made longer."""
        return await here.answer_form("extend", form, waiting)

    @post("/v1/loop", responses=POSTED, response_model=None)
    async def loop(
        form: Annotated[LoopForm, Form(media_type=MULTIPART)], waiting: Wish, here: Here
    ) -> Response:
        """A loop from words, or of a sound."""
        return await here.answer_form("loop", form, waiting)

    @post("/v1/vary", responses=POSTED, response_model=None)
    async def vary(
        form: Annotated[VaryForm, Form(media_type=MULTIPART)], waiting: Wish, here: Here
    ) -> Response:
        """Cousins of a sound."""
        return await here.answer_form("vary", form, waiting)

    @post("/v1/dub", responses=POSTED, response_model=None)
    async def dub(
        form: Annotated[DubForm, Form(media_type=MULTIPART)], waiting: Wish, here: Here
    ) -> Response:
        """The sound of a video."""
        return await here.answer_form("dub", form, waiting)

    @post("/v1/tag", responses=POSTED, response_model=None)
    async def tag(
        form: Annotated[TagForm, Form(media_type=MULTIPART)], waiting: Wish, here: Here
    ) -> Response:
        """What is heard in a sound."""
        return await here.answer_form("tag", form, waiting)

    @post("/v1/search", responses=POSTED, response_model=None)
    async def search(
        form: Annotated[SearchForm, Form(media_type=MULTIPART)], waiting: Wish, here: Here
    ) -> Response:
        """Sounds of the server's index by words or by example."""
        return await here.answer_form("search", form, waiting)

    @post("/v1/sound-generation", responses=POSTED, response_model=None)
    async def sound_generation(
        work: shapes.SoundGeneration,
        here: Here,
        output_format: Annotated[
            str, Query(pattern=r"^(mp3_(44100|48000)|opus_48000)_\d{1,4}$")
        ] = "mp3_44100_128",
    ) -> Response:
        """A sound, in the shape that other services document; of the format the coding counts, and of it the rate."""
        coding, rate, _ = output_format.split("_")
        coded = shapes.CodedSoundGeneration(**work.model_dump(), format=coding, rate=int(rate))  # type: ignore[arg-type]  # pydantic checks
        asked = Asked("sound-generation", coded, None, None)
        return await here.answer(asked, Waiting(LONGEST_WAIT, False, None))


def _add_jobs(application: FastAPI) -> None:
    """What becomes of jobs."""

    @application.get("/v1/jobs/{job}", responses=REFUSALS)
    async def get_job(job: str, here: Here) -> shapes.JobAnswer:
        """A job."""
        return told(await here.job(job))

    @application.delete("/v1/jobs/{job}", responses=REFUSALS)
    async def cancel_job(job: str, here: Here) -> shapes.JobAnswer:
        """Cancel a job that waits or runs; one that has ended stays as it is."""
        await here.job(job)
        await run_in_threadpool(here.store.cancel, job)
        return told(await here.job(job))

    @application.get(
        "/v1/jobs/{job}/events",
        responses={**REFUSALS, 200: {"content": {"text/event-stream": {}}}},
        response_class=StreamingResponse,
    )
    async def get_events(job: str, here: Here) -> StreamingResponse:
        """Server-sent events of a job, to its end."""
        events = events_of(await here.job(job), here.following)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events, 200, headers, "text/event-stream")

    @application.get(
        "/v1/jobs/{job}/audio/{number}",
        responses={**REFUSALS, 200: {"content": FILES}},
        response_class=Response,
    )
    async def get_audio(
        job: str, number: Annotated[int, PathValue(ge=0, le=shapes.MOST_SOUNDS)], here: Here
    ) -> Response:
        """A file of a finished job."""
        return await run_in_threadpool(file_of, await here.job(job), number, here.files)


def _add_rest(application: FastAPI) -> None:
    """What is told of the server itself."""

    @application.get("/v1/models", responses=REFUSALS)
    def get_models(here: Here) -> shapes.ModelsAnswer:
        """The models that may be asked for."""
        models = [
            shapes.ModelAnswer(
                name=info.name,
                sample_rate=info.sample_rate,
                longest=info.longest,
                few_step=info.few_step,
                video=info.visual is not None,
                parameters=info.parameters,
                licence=info.licence,
            )
            for info in here.settings.models
        ]
        return shapes.ModelsAnswer(default=models[0].name, models=models)

    @application.get("/v1/health", responses={503: {"model": shapes.HealthAnswer}})
    def get_health(here: Here) -> Response:
        """Whether the server can work."""
        counts, ready = here.store.counts(), here.crew.ready
        health = shapes.HealthAnswer(
            status="ready" if ready else "starting",
            version=__version__,
            workers=ready,
            waiting=counts.get("queued", (0, 0.0))[0],
            running=counts.get("running", (0, 0.0))[0],
        )
        return JSONResponse(health.model_dump(), 200 if ready else 503)

    @application.get("/v1/metrics", responses=REFUSALS, response_class=PlainTextResponse)
    def get_metrics(here: Here) -> PlainTextResponse:
        """Counters and times in the text format of Prometheus."""
        text = here.measures.text(here.store, here.crew)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")
