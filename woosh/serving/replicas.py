"""The server as an application of Ray Serve: the same routes, jobs and files, made by replicas on many machines.

    serve run deploy/ray.yaml

The table of jobs stays what counts. A front takes requests in and calls the workers; a call says no more than that jobs wait, and
takes them from the table until they cost as much as one call may. So calls in flight follow the cost that waits, and with them
the number of replicas. A call that is lost, with its replica or its front, loses nothing: the next look makes another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import math
import os
import time
from pathlib import Path
from typing import Any

from woosh.command_line import keep_freed_memory, missing_extra

try:
    import ray
    from pydantic import BaseModel, ConfigDict, Field
    from ray import serve
    from ray.exceptions import ActorDiedError
    from ray.serve.handle import DeploymentHandle
except ImportError as error:
    raise missing_extra("the server on many machines needs ray", "cluster") from error

from woosh.serving.application import guarded_application
from woosh.serving.database import StoreError
from woosh.serving.files import FilesError, open_files
from woosh.serving.guard import Guard
from woosh.serving.settings import ServerSettings, WorkerSettings, served_models
from woosh.serving.shared import check_shared
from woosh.serving.store import OPEN, Store
from woosh.serving.worker import Bench, do

WORKER = "worker"  # name of their deployment
LOOKING_SECONDS = 1.0  # after which a front looks for jobs that it was not told of
COUNTING_SECONDS = 3.0  # after which the replicas are counted again
MOST_CALLS = 10_000  # of a front, in flight
MOST_REQUESTS = 1000  # of a front, at the same time

logger = logging.getLogger(__name__)


class Arguments(BaseModel):
    """What `args` of an application's configuration may say; see `woosh serve --help` for what is not explained.

    The token stands in the environment's WOOSH_TOKEN, and the address of the jobs may stand in WOOSH_JOBS.
    """

    model_config = ConfigDict(extra="forbid")

    store: str
    jobs: str | None = None
    models: list[str] = []
    device: str = "auto"
    dtype: str = "auto"
    index: str | None = None
    queue: float = Field(30_000.0, ge=1)
    job_seconds: float = Field(600.0, ge=1)
    keep_hours: float = Field(24.0, gt=0)
    keep_gigabytes: float = Field(10.0, gt=0)
    call_cost: float = Field(
        250.0, gt=0, description="seconds of sound times steps that one call of a replica makes"
    )

    def settings(self) -> ServerSettings:
        """The server's settings.

        Raises:
            ValueError: no token, or no address of the jobs.
        """
        jobs = self.jobs or os.environ.get("WOOSH_JOBS")
        if not jobs:
            raise ValueError("say where the jobs stand: WOOSH_JOBS=postgresql://USER@HOST/DATABASE")
        return ServerSettings(
            folder=Path(),
            models=served_models(self.models),
            host="0.0.0.0",  # whatever address Ray listens at
            token=os.environ.get("WOOSH_TOKEN"),
            device=self.device,
            dtype=self.dtype,
            index=None if self.index is None else Path(self.index),
            most_cost=self.queue,
            job_seconds=self.job_seconds,
            keep_seconds=3600 * self.keep_hours,
            keep_bytes=1e9 * self.keep_gigabytes,
            jobs=jobs,
            store=self.store,
        )


class Calls:
    """Calls the replicas while jobs wait; it stands where one machine has its supervisor.

    Args:
        store: of the jobs.
        workers: the replicas.
        call_cost: of the jobs that one call makes.
    """

    def __init__(self, store: Store, workers: DeploymentHandle, call_cost: float) -> None:
        self._store, self._workers, self._call_cost = store, workers, call_cost
        self.ready = 0
        self.restarts = 0
        self._counted = -math.inf
        self._woken = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin, in the loop that runs."""
        self._loop = asyncio.get_running_loop()
        self._looking = self._loop.create_task(self._run())

    def wake(self) -> None:
        """Look for jobs; from whatever thread."""
        self._loop.call_soon_threadsafe(self._woken.set)

    def end(self, name: str) -> None:
        """A replica that holds its job no longer ends by itself, and Ray starts another one."""
        del name

    def stop(self) -> None:
        """End; calls in flight go on to their ends."""
        self._looking.cancel()

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._look()
            except Exception:  # the database or Ray is gone for a moment
                logger.exception("looking for jobs")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOKING_SECONDS)

    async def _look(self) -> None:
        """Make as many calls as what waits and runs is worth, and one for each replica at least."""
        if time.monotonic() - self._counted > COUNTING_SECONDS:
            self.ready = await asyncio.to_thread(_running_replicas)
            self._counted = time.monotonic()
        counts = await asyncio.to_thread(self._store.counts)
        jobs, cost = (
            sum(pair) for pair in zip(*(counts.get(s, (0, 0.0)) for s in OPEN), strict=True)
        )
        worth = max(self.ready, math.ceil(cost / self._call_cost))
        for _ in range(min(int(jobs), worth, MOST_CALLS) - len(self._calls)):
            call = self._loop.create_task(self._call())
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _call(self) -> None:
        try:
            await self._workers.work.remote()
        except ActorDiedError as error:
            self.restarts += 1
            await asyncio.to_thread(self._store.release, _name_of(str(error.actor_id)), True)
        except Exception:  # what it held waits again, after its lease at the latest
            logger.exception("a replica")


def _running_replicas() -> int:
    """Replicas of the workers that take jobs, in the application that this process belongs to."""
    application = serve.status().applications[serve.get_replica_context().app_name]
    states = application.deployments[WORKER].replica_states
    return sum(count for state, count in states.items() if state == "RUNNING")


def _name_of(actor: str) -> str:
    """The name under which a replica holds jobs."""
    return f"ray-{actor}"


class Front:
    """Takes requests in.

    Args:
        settings: of the server.
        call_cost: see `Calls`.
        workers: the replicas.
    """

    def __init__(self, settings: ServerSettings, call_cost: float, workers: Any) -> None:
        self._settings, self._call_cost, self._workers = settings, call_cost, workers

    def __serve_build_asgi_app__(self) -> Guard:
        """The application, as Ray asks for it."""
        return guarded_application(
            self._settings, lambda _, store: Calls(store, self._workers, self._call_cost)
        )


class Worker:
    """Makes sounds; ready once the first model is loaded.

    Args:
        settings: of a worker without a name.
        call_cost: see `Calls`.
    """

    def __init__(self, settings: WorkerSettings, call_cost: float) -> None:
        from woosh.serving.making import Maker

        keep_freed_memory()
        own = dataclasses.replace(
            settings, name=_name_of(ray.get_runtime_context().get_actor_id() or "")
        )
        self._call_cost = call_cost
        self._bench = Bench(Store(own.database), open_files(own.files), own.name)
        self._maker = Maker(own)
        self._maker.model(next(iter(own.models)))

    async def work(self) -> None:
        """Make jobs that wait until they cost as much as a call may, or none is left."""
        await asyncio.to_thread(self._work)

    def _work(self) -> None:
        made, store, name = 0.0, self._bench.store, self._bench.worker
        while made < self._call_cost and (job := store.claim(name)) is not None:
            try:
                do(self._bench, job, self._maker.make)
            except (StoreError, FilesError):
                store.release(name, its_fault=True)
                raise
            made += job.cost


def build(arguments: dict[str, Any]) -> serve.Application:
    """The application, as `import_path` of a configuration names it.

    Args:
        arguments: see `Arguments`.

    Raises:
        ValueError: what `arguments` or the environment say cannot be.
        OSError: the database or the store cannot be reached.
    """
    asked = Arguments.model_validate(arguments)
    settings = asked.settings()
    check_shared(settings)
    front = serve.deployment(name="front", max_ongoing_requests=MOST_REQUESTS)(
        serve.ingress()(Front)
    )
    worker = serve.deployment(
        name=WORKER, max_ongoing_requests=1, graceful_shutdown_timeout_s=settings.job_seconds
    )(Worker)
    workers = worker.bind(settings.of_worker(WORKER), asked.call_cost)
    return front.bind(settings, asked.call_cost, workers)
