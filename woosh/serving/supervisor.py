"""The worker processes of a server: started, started again where they end, and ended with it."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

from woosh.serving.database import StoreError
from woosh.serving.settings import READY, ServerSettings
from woosh.serving.store import Store

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0  # seconds before a worker that ended is started again
ENDING_SECONDS = 5.0  # that a worker has to end

logger = logging.getLogger(__name__)


@dataclass
class _Worker:
    """A process and what is known of it."""

    name: str
    process: subprocess.Popen[str]
    ready: bool = False


@dataclass
class Supervisor:
    """Keeps worker processes running.

    Attributes:
        settings: of the server.
        store: of the jobs, to which those of a worker that ended go back.
        restarts: workers that ended by themselves and were started again.
    """

    settings: ServerSettings
    store: Store
    restarts: int = 0
    _workers: dict[int, _Worker] = field(default_factory=dict)
    _threads: list[threading.Thread] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start the workers; they are ready later."""
        for place in range(self.settings.workers):
            thread = threading.Thread(target=self._keep_running, args=(place,), daemon=True)
            self._threads.append(thread)
            thread.start()

    @property
    def ready(self) -> int:
        """Workers that take jobs."""
        return sum(worker.ready for worker in list(self._workers.values()))

    def wake(self) -> None:
        """Tell the workers that a job waits."""
        for worker in list(self._workers.values()):
            with contextlib.suppress(OSError, ValueError):  # it is ending
                assert worker.process.stdin is not None
                worker.process.stdin.write("\n")
                worker.process.stdin.flush()

    def end(self, name: str) -> None:
        """End a worker that says nothing any more; another one takes its place."""
        for worker in list(self._workers.values()):
            if worker.name == name:
                worker.process.kill()

    def stop(self) -> None:
        """End all workers; what they were at waits again."""
        self._ending.set()
        for worker in list(self._workers.values()):
            with contextlib.suppress(OSError, ValueError):
                assert worker.process.stdin is not None
                worker.process.stdin.close()
        for thread in self._threads:
            thread.join(2 * ENDING_SECONDS)

    def _keep_running(self, place: int) -> None:
        pause = FIRST_PAUSE
        while not self._ending.is_set():
            began, lasting = time.monotonic(), False
            try:
                lasting = self._run_one(place)
            except (
                OSError,
                StoreError,
            ):  # a full memory or disk: what the worker held waits until its lease has run out
                logger.exception("a worker")
            if self._ending.is_set():
                return
            self.restarts += 1
            lasting = lasting and time.monotonic() - began > LONGEST_PAUSE
            pause = FIRST_PAUSE if lasting else min(2 * pause, LONGEST_PAUSE)
            self._ending.wait(pause)

    def _run_one(self, place: int) -> bool:
        """Start a worker and attend it to its end; whether it was ready."""
        worker = self._started()
        self._workers[place] = worker
        if self._ending.is_set():
            worker.process.kill()
        try:
            self._attend(worker)
        finally:
            self._workers.pop(place, None)
            self.store.release(worker.name, its_fault=not self._ending.is_set())
        return worker.ready

    def _started(self) -> _Worker:
        """A new process, which has been told its settings."""
        name = f"worker-{secrets.token_hex(8)}"
        process = subprocess.Popen(
            # -P: nothing is imported from the folder that the server was started in.
            [sys.executable, "-P", "-m", "woosh.serving.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**_threads_of(self.settings.workers), **os.environ},
            process_group=0,  # Ctrl-C is for the server, which ends them
        )
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it ended at once
            process.stdin.write(self.settings.of_worker(name).line())
            process.stdin.flush()
        return _Worker(name, process)

    def _attend(self, worker: _Worker) -> None:
        """Wait until a process has ended."""
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            if line.strip() == READY:
                worker.ready = True
        try:
            worker.process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
        with contextlib.suppress(OSError):
            assert worker.process.stdin is not None
            worker.process.stdin.close()
        worker.process.stdout.close()


def _threads_of(workers: int) -> dict[str, str]:
    """What tells several workers to share the cores; one worker takes what the commands take, for the same bits."""
    if workers == 1:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // workers))}
