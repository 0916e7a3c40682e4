"""Following jobs: whoever waits for one is told of each change. One question to the database serves all who wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from woosh.serving.store import Job, Store

LOOKING_SECONDS = 0.05


class Following:
    """Tells of changes of jobs; it looks at the table only while somebody waits.

    Args:
        store: of the jobs.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked: Counter[str] = Counter()
        self._known: dict[str, Job] = {}
        self._changed = asyncio.Condition()
        self._begun = asyncio.Event()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self._begun.wait()
            try:
                found = await asyncio.to_thread(self._store.these, list(self._asked))
            except Exception:  # the database is busy or gone for a moment; those who wait have a limit of their own
                await asyncio.sleep(1.0)
                continue
            async with self._changed:
                known = {job.id: job for job in found}
                if known != self._known:
                    self._known = known
                    self._changed.notify_all()
                if not self._asked:
                    self._begun.clear()
            await asyncio.sleep(LOOKING_SECONDS)

    async def changes(self, job: Job) -> AsyncIterator[Job]:
        """The job as it is, then as it is after each change, until it has ended or is forgotten."""
        self._asked[job.id] += 1
        self._begun.set()
        seen = job
        try:
            yield seen
            while not seen.ended_for_good:
                async with self._changed:
                    while (now := self._known.get(job.id, seen)) == seen:
                        await self._changed.wait()
                seen = now
                yield seen
        finally:
            self._asked[job.id] -= 1
            if not self._asked[job.id]:
                del self._asked[job.id]

    async def ended(self, job: Job, seconds: float) -> Job:
        """The job once it has ended, or as it is after so many seconds."""
        seen = job
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for now in self.changes(job):
                    seen = now
        return seen
