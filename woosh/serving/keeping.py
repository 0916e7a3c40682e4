"""What a server does from time to time: end what takes too long, take back what a silent worker holds, remove old files."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from woosh.serving.settings import RESULTS, UPLOADS, ServerSettings
from woosh.serving.store import FINAL, Job, Store
from woosh.serving.supervisor import Supervisor

ROUND_SECONDS = 1.0
REMOVING_ROUNDS = 30  # after which old results are looked for
ABANDONED_SECONDS = 3600.0  # after which an upload without a job belongs to none

logger = logging.getLogger(__name__)


class Keeper:
    """Keeps the table and the folders of a server in order, in a thread of its own.

    Args:
        settings: of the server.
        store: of the jobs.
        supervisor: of the workers.
    """

    def __init__(self, settings: ServerSettings, store: Store, supervisor: Supervisor) -> None:
        self._settings, self._store, self._supervisor = settings, store, supervisor
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Take back what a server before this one left, then begin."""
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
            self._supervisor.end(worker)
            self._store.release(worker, its_fault=True)
        self._remove_uploads(ABANDONED_SECONDS)

    def _remove_uploads(self, seconds: float) -> None:
        """Remove uploads of jobs that have ended, and those without a job that are older."""
        folders = _folders(self._settings.folder / UPLOADS)
        known = {job.id: job for job in self._store.these([folder.name for folder in folders])}
        for folder in folders:
            job = known.get(folder.name)
            old = folder.stat().st_mtime < time.time() - seconds
            if old if job is None else job.ended_for_good:
                shutil.rmtree(folder, ignore_errors=True)

    def _remove_strays(self) -> None:
        """Remove results without a job."""
        folders = _folders(self._settings.folder / RESULTS)
        known = {job.id for job in self._store.these([folder.name for folder in folders])}
        for folder in folders:
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def remove_old(self) -> None:
        """Remove jobs with their files by age, and the oldest while they take too much room."""
        jobs = self._store.in_states(FINAL)
        oldest = time.time() - self._settings.keep_seconds
        sizes = {job.id: _size(self._settings.folder / RESULTS / job.id) for job in jobs}
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
            shutil.rmtree(self._settings.folder / RESULTS / job.id, ignore_errors=True)


def _folders(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.is_dir()] if place.is_dir() else []


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
