"""From a job to the answer of HTTP: the sound, the job in JSON, or the reason why there is none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from woosh.command_line import missing_extra

try:
    from fastapi import Header, HTTPException, Query
    from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
except ImportError as error:
    raise missing_extra("the server needs fastapi", "serve") from error

from woosh.serving.files import Files
from woosh.serving.following import Following
from woosh.serving.shapes import JobAnswer, Sound
from woosh.serving.store import Job

LONGEST_WAIT = 600.0  # seconds that a request may wait for its job
ALIVE_SECONDS = (
    15.0  # between two words of a stream of events, so that nothing on the way takes it for dead
)
PREFERRED = re.compile(r"(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])")


@dataclass(frozen=True)
class Waiting:
    """How a request wants to be answered.

    Attributes:
        seconds: that it waits for its job.
        json: whether it wants the job in the place of the sound.
        key: of idempotency.
    """

    seconds: float
    json: bool
    key: str | None


def waiting_of(
    wait: Annotated[
        float | None,
        Query(
            ge=0, le=LONGEST_WAIT, allow_inf_nan=False, description="seconds to wait for the job"
        ),
    ] = None,
    prefer: Annotated[str | None, Header(description="wait=N, as the query's wait")] = None,
    accept: Annotated[str | None, Header(description="application/json: the job")] = None,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> Waiting:
    """What the query and the headers of a request say of its answer."""
    preferred = PREFERRED.search(prefer or "")
    if wait is None:
        wait = min(LONGEST_WAIT, float(preferred[1])) if preferred else 0.0
    return Waiting(wait, "application/json" in (accept or ""), idempotency_key)


def told(job: Job) -> JobAnswer:
    """A job as answers in JSON give it."""
    results = job.results
    sounds = [
        Sound(url=f"/v1/jobs/{job.id}/audio/{number}", **sound)
        for number, sound in enumerate(results.get("sounds", ()))
    ]
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        state=job.state,  # type: ignore[arg-type]  # the table holds no other
        progress=job.progress,
        created=job.created,
        seed=job.seed,
        error=job.error,
        sounds=sounds,
        found=results.get("found"),
    )


def answered(job: Job, waiting: Waiting, files: Files) -> Response:
    """The answer to a request that made or found a job.

    Raises:
        HTTPException: the request waited, and nothing came of the job.
    """
    headers = {"Location": f"/v1/jobs/{job.id}", "Woosh-Job": job.id}
    if waiting.seconds and job.state == "failed":
        raise HTTPException(422 if job.refused else 500, job.error, headers)
    if waiting.seconds and job.state == "cancelled":
        raise HTTPException(409, "the job was cancelled", headers)
    sounds = job.results.get("sounds", ())
    if waiting.seconds and len(sounds) == 1 and not waiting.json:
        return file_of(job, 0, files)
    status = 200 if job.ended_for_good else 202
    return JSONResponse(told(job).model_dump(), status, headers)


def file_of(job: Job, number: int, files: Files) -> Response:
    """A file of a finished job.

    Raises:
        HTTPException: there is none of that number.
    """
    sounds = job.results.get("sounds", ())
    if number >= len(sounds):
        reason = f"this job has {len(sounds)} files" if job.ended_for_good else "it is not finished"
        raise HTTPException(404, reason)
    sound = sounds[number]
    found = files.find(job.id, job.results["folder"], sound["name"])
    if found is None:
        raise HTTPException(404, "the file was removed")
    headers = {
        "Content-Location": f"/v1/jobs/{job.id}/audio/{number}",
        "Woosh-Job": job.id,
        "X-Content-Type-Options": "nosniff",
    }
    if sound["seed"] is not None:
        headers["Woosh-Seed"] = str(sound["seed"])
    if isinstance(found, Path):
        return FileResponse(found, 200, headers, sound["media_type"], filename=sound["name"])
    headers |= {
        "Content-Length": str(found.size),
        "Content-Disposition": f'attachment; filename="{sound["name"]}"',
    }
    return StreamingResponse(found.pieces, 200, headers, sound["media_type"])


async def events_of(job: Job, following: Following) -> AsyncIterator[str]:
    """Server-sent events of a job, from its present state to its end."""
    changes = following.changes(job)
    state, progress = None, job.progress
    try:
        while True:
            following_one = asyncio.ensure_future(anext(changes, None))
            while not (await asyncio.wait({following_one}, timeout=ALIVE_SECONDS))[0]:
                yield ": the job goes on\n\n"
            now = following_one.result()
            if now is None:
                return
            if (now.state, now.progress) == (state, progress):
                continue
            name = "progress" if now.state == state else now.state
            name = "started" if name == "running" else name
            state, progress = now.state, now.progress
            yield f"event: {name}\ndata: {told(now).model_dump_json()}\n\n"
    finally:
        await changes.aclose()
