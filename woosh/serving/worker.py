"""A process that makes sounds: it takes one job after the other, and ends with the server that started it.

    python -m woosh.serving.worker

The first line of its standard input are its settings in JSON. Each further one says that a job may wait; the end of the
input says that the server is gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from woosh.command_line import own_process
from woosh.outside_files import parse_object, printable, shaped
from woosh.serving.database import StoreError
from woosh.serving.files import Files, FilesError, open_files
from woosh.serving.settings import READY, WorkerSettings
from woosh.serving.shapes import KINDS
from woosh.serving.store import LEASE_SECONDS, Job, Store
from woosh.studio.workshop import Stopped

LOOKING_SECONDS = 1.0  # after which a worker looks for jobs that nobody told it of
TELLING_SECONDS = 0.1  # between two words about a job
HOLDING_SECONDS = LEASE_SECONDS / 5
NICENESS = 10  # above the server's
GRACE_SECONDS = 20.0  # in which a worker must let go of a job that is no longer its own
LONGEST_ERROR = 500  # characters

logger = logging.getLogger(__name__)


class Hold:
    """A worker's hold on a job: renewed while it is at work, and given up where the job is no longer its own.

    Args:
        store: of the jobs.
        job: that is held.
        worker: that holds it.
    """

    def __init__(self, store: Store, job: Job, worker: str) -> None:
        self._store, self._job, self._worker = store, job, worker
        self._ended = threading.Event()
        self._told = 0.0
        self._progress = 0.0

    def __enter__(self) -> Hold:
        threading.Thread(target=self._renew, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _renew(self) -> None:
        while not self._ended.wait(HOLDING_SECONDS):
            if not self._store.hold(self._job.id, self._worker):
                if not self._ended.wait(GRACE_SECONDS):
                    logger.error("job %s is no longer held and does not end", self._job.id)
                    os._exit(1)
                return

    def tell(self, share: float) -> None:
        """Say how far the job is.

        Raises:
            Stopped: it is no longer held.
        """
        if time.monotonic() - self._told < TELLING_SECONDS:
            return
        self._told = time.monotonic()
        self._progress = max(self._progress, share)
        if not self._store.tell(self._job.id, self._worker, self._progress):
            raise Stopped


def work(store: Store, files: Files, settings: WorkerSettings, asked: threading.Event) -> None:
    """Take jobs without end."""
    from woosh.serving.making import Maker

    maker = Maker(settings)
    maker.model(next(iter(settings.models)))
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    while True:
        asked.clear()
        job = store.claim(settings.name)
        if job is None:
            asked.wait(LOOKING_SECONDS)
        else:
            do(Bench(store, files, settings.name), job, maker.make)


@dataclass(frozen=True)
class Bench:
    """What a worker works at.

    Attributes:
        store: of the jobs.
        files: of the jobs.
        worker: its name.
    """

    store: Store
    files: Files
    worker: str


def do(bench: Bench, job: Job, make: Callable[[str, Any], dict[str, Any]]) -> None:
    """Make what a job asks for, and say what came of it.

    Raises:
        StoreError: the table of jobs cannot be reached; the job is still held.
        FilesError: nor can the files; likewise.
    """
    from woosh.studio.takes import NoSoundError

    store, worker = bench.store, bench.worker
    kept = False
    with Hold(store, job, worker) as hold:
        try:
            with contextlib.ExitStack() as files:
                result = _made(bench, job, hold, make, files)
                kept = store.finish(job.id, worker, result) and "sounds" in result
        except Stopped:
            pass
        except (ValueError, NoSoundError) as error:
            text = printable(" ".join(str(error).split()))
            store.fail(job.id, worker, text[:LONGEST_ERROR], refused=True)
        except (StoreError, FilesError):  # another worker may do better
            raise
        except Exception:  # whatever it is, it stays in the log
            logger.exception("job %s", job.id)
            store.fail(job.id, worker, "the server failed: its log says why", refused=False)
        finally:
            with contextlib.suppress(FilesError):  # what stays goes with the job
                bench.files.tidy(job.id, worker, kept)


def _made(
    bench: Bench,
    job: Job,
    hold: Hold,
    make: Callable[[str, Any], dict[str, Any]],
    files: contextlib.ExitStack,
) -> dict[str, Any]:
    """The result of a job, whose files are kept.

    Raises:
        ValueError: what was asked for cannot be done; no path of this machine is in the reason.
    """
    from woosh.serving.making import Task

    folder = files.enter_context(bench.files.making(job.id, bench.worker))
    upload = None
    if job.upload is not None:
        upload = files.enter_context(bench.files.upload(job.id, job.upload))
    task = Task(
        work=KINDS[job.kind].model_validate_json(job.work),
        model=job.model or "",
        seed=job.seed or 0,
        upload=upload,
        folder=folder,
        tell=hold.tell,
    )
    try:
        result = make(job.kind, task)
    except ValueError as error:
        raise ValueError(_in_a_line(error, folder, upload)) from error
    size = bench.files.deliver(job.id, bench.worker, folder)
    return {**result, "folder": bench.worker, "bytes": size}


def _in_a_line(error: Exception, folder: Path, upload: Path | None) -> str:
    """What an error says, without a path of this machine."""
    text = str(error)
    places = [folder]
    if upload is not None:
        text = text.replace(str(upload), upload.name)
        places.append(upload.parent)
    if any(str(place) in text for place in places):
        return "it cannot be done with these files"
    return text


def _listen(asked: threading.Event) -> None:
    """Wake the worker for each line, and end it with the input, whatever it is doing."""
    for _ in sys.stdin:
        asked.set()
    os._exit(0)


def give_way() -> None:
    """Let the server go first where both want a processor: who asks for a sound that is there does not wait for others'."""
    if sys.platform != "win32":
        os.nice(NICENESS)


def main() -> None:
    """Work until the input ends."""
    logging.basicConfig(format="%(name)s: %(message)s")
    own_process()
    give_way()
    values = parse_object(sys.stdin.readline(), "the settings of the worker")
    settings = shaped(WorkerSettings, values, "the settings of the worker")
    asked = threading.Event()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    work(Store(settings.database, durable=False), open_files(settings.files), settings, asked)


if __name__ == "__main__":
    main()
