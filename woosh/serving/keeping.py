"""What a server does from time to time: end what takes too long, take back what a silent worker holds, remove old files."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from woosh.serving.crew import Crew
from woosh.serving.files import Files
from woosh.serving.settings import RESULTS, UPLOADS, ServerSettings
from woosh.serving.store import FINAL, Job, Store

ROUND_SECONDS = 1.0
REMOVING_ROUNDS = 30  # after which old results are looked for
ABANDONED_SECONDS = 3600.0  # after which an upload without a job belongs to none

logger = logging.getLogger(__name__)


class Keeper:
    """Keeps the table and the folders of a server in order, in a thread of its own.

    Args:
        settings: of the server.
        store: of the jobs.
        files: of the jobs.
        crew: of the server.
    """

    def __init__(self, settings: ServerSettings, store: Store, files: Files, crew: Crew) -> None:
        self._settings, self._store, self._files = settings, store, files
        self._crew = crew
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Take back what a server before this one left, where there is no other, then begin."""
        if self._settings.jobs is None:
            for job in self._store.in_states(["running"]):
                self._store.release(str(job.worker), its_fault=True)
            self._remove_uploads(0.0)
            self._remove_strays()
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        rounds = 0
        while not self._ending.wait(ROUND_SECONDS):
            try:
                self.look()
                if rounds % REMOVING_ROUNDS == 0:
                    self.remove_old()
            except Exception:  # the next round may do better
                logger.exception("keeping order")
            rounds += 1

    def look(self) -> None:
        """One round of what must not wait."""
        self._store.end_overdue(self._settings.job_seconds)
        for worker in self._store.expired():
            self._crew.end(worker)
            self._store.release(worker, its_fault=True)

    def _remove_uploads(self, seconds: float) -> None:
        """Remove uploads of jobs that have ended, and those without a job that are older."""
        names = self._files.jobs(UPLOADS)
        known = {job.id: job for job in self._store.these(names)}
        for name in names:
            job = known.get(name)
            if self._files.age(name) > seconds if job is None else job.ended_for_good:
                self._files.remove(UPLOADS, name)

    def _remove_strays(self) -> None:
        """Remove results without a job."""
        names = self._files.jobs(RESULTS)
        known = {job.id for job in self._store.these(names)}
        for name in names:
            if name not in known:
                self._files.remove(RESULTS, name)

    def remove_old(self) -> None:
        """Remove uploads that are needed no more, jobs with their files by age, and the oldest while they take too much room."""
        self._remove_uploads(ABANDONED_SECONDS)
        jobs = self._store.in_states(FINAL)
        oldest = time.time() - self._settings.keep_seconds
        sizes = {job.id: job.results.get("bytes", 0) for job in jobs}
        room = self._settings.keep_bytes - sum(sizes.values())
        gone: list[Job] = []
        for job in jobs:  # those that ended first first
            if (job.ended or 0.0) >= oldest and room >= 0:
                break
            room += sizes[job.id]
            gone.append(job)
        self._remove(gone)

    def _remove(self, jobs: Sequence[Job]) -> None:
        self._store.remove([job.id for job in jobs])
        for job in jobs:
            self._files.remove(RESULTS, job.id)
