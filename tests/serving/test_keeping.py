"""What a server keeps and removes: results by age and by room, uploads with their jobs, and what was left by one before it."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from woosh.serving.files import open_files
from woosh.serving.keeping import ABANDONED_SECONDS, Keeper
from woosh.serving.settings import RESULTS, UPLOADS, ServerSettings
from woosh.serving.store import Admission, NewJob, Store, new_id
from woosh.serving.supervisor import Supervisor


class Kept:
    """A server's folder and table, with nothing that runs."""

    def __init__(self, folder: Path, keep_seconds: float = 3600.0, keep_bytes: float = 1e9) -> None:
        self.settings = ServerSettings(folder, (), keep_seconds=keep_seconds, keep_bytes=keep_bytes)
        self.store = Store(self.settings.database)
        supervisor = Supervisor(self.settings, self.store)
        self.keeper = Keeper(self.settings, self.store, open_files(self.settings.files), supervisor)

    def job(self, state: str, size: int = 0) -> str:
        """A job with an upload, which is running or finished with a file of so many bytes."""
        new = NewJob(new_id(), "generate", "{}", "model", 1, "rain.wav", new_id(), 10.0)
        self.store.accept(new, Admission(1e9, 1, None, False))
        (self.settings.folder / UPLOADS / new.id).mkdir(parents=True)
        self.store.claim("worker")
        if state == "finished":
            folder = self.settings.folder / RESULTS / new.id
            folder.mkdir(parents=True)
            (folder / "rain.wav").write_bytes(bytes(size))
            self.store.finish(new.id, "worker", {"sounds": [], "bytes": size})
        return new.id

    def names(self, kind: str) -> set[str]:
        """Folders of results or uploads."""
        return {path.name for path in (self.settings.folder / kind).iterdir()}


def test_the_oldest_go_where_room_is_short(tmp_path: Path) -> None:
    kept = Kept(tmp_path, keep_bytes=250)
    jobs = [kept.job("finished", 100) for _ in range(4)]
    kept.keeper.remove_old()
    assert kept.names(RESULTS) == set(jobs[2:])
    assert [kept.store.get(job) is None for job in jobs] == [True, True, False, False]


def test_what_is_old_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its idempotency key and the job too, but never a job that has not ended."""
    kept = Kept(tmp_path)
    old = kept.job("finished", 1)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3500)
    young, running = kept.job("finished", 1), kept.job("running")
    kept.keeper.remove_old()
    assert kept.names(RESULTS) == {old, young}
    monkeypatch.setattr(time, "time", lambda: now + 3700)
    kept.keeper.remove_old()
    assert kept.names(RESULTS) == {young}
    assert kept.store.get(old) is None and kept.store.get(running) is not None


def test_uploads_go_with_their_jobs(tmp_path: Path) -> None:
    """One whose job is about to be accepted stays for a while."""
    kept = Kept(tmp_path)
    finished, running = kept.job("finished"), kept.job("running")
    for name, age in (("new", 0.0), ("abandoned", ABANDONED_SECONDS + 10)):
        folder = tmp_path / UPLOADS / name
        folder.mkdir()
        os.utime(folder, (time.time() - age, time.time() - age))
    kept.keeper.remove_old()
    assert kept.names(UPLOADS) == {running, "new"}
    assert finished not in kept.names(UPLOADS)


def test_a_server_takes_over_what_one_before_it_left(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    running = kept.job("running")
    (tmp_path / UPLOADS / "stray").mkdir()
    (tmp_path / RESULTS / "stray").mkdir(parents=True)
    kept.keeper.start()
    kept.keeper.stop()
    job = kept.store.get(running)
    assert job is not None and (job.state, job.worker) == ("queued", None)
    assert kept.names(UPLOADS) == {running} and kept.names(RESULTS) == set()


def test_a_server_beside_others_takes_nothing_from_them(tmp_path: Path) -> None:
    """What runs elsewhere goes on; only a lease that has run out says that it does not."""
    kept = Kept(tmp_path)
    running = kept.job("running")
    (tmp_path / UPLOADS / "arriving").mkdir()
    shared = replace(kept.settings, jobs=kept.settings.database, store=str(tmp_path))
    supervisor = Supervisor(shared, kept.store)
    keeper = Keeper(shared, kept.store, open_files(shared.files), supervisor)
    keeper.start()
    keeper.stop()
    job = kept.store.get(running)
    assert job is not None and (job.state, job.worker) == ("running", "worker")
    assert kept.names(UPLOADS) == {running, "arriving"}
