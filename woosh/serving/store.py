"""The table of jobs, which server and workers share: SQLite on one machine, PostgreSQL by the same statements.

Whatever ends, a worker, the server or the machine, what was accepted stands here. A worker holds a job by its own name and a
lease; every word of it about the job counts only while that is so.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from woosh.command_line import missing_extra

try:
    import sqlalchemy as sql
except ImportError as error:
    raise missing_extra("the server needs sqlalchemy", "serve") from error

from woosh.serving.database import now, open_database, take_turn

LEASE_SECONDS = 15.0  # after which a worker that says nothing has lost its job
MOST_ATTEMPTS = 5  # of a job whose workers end
FINAL = ("finished", "failed", "cancelled")
OPEN = ("queued", "running")
MEASURED = 20  # jobs of which the speed follows
BLOCK = 1000  # jobs that one statement names

TABLES = sql.MetaData()
JOBS = sql.Table(
    "jobs",
    TABLES,
    sql.Column("id", sql.String(32), primary_key=True),
    sql.Column("kind", sql.String(32), nullable=False),
    sql.Column("work", sql.Text, nullable=False),  # JSON, as it was asked for
    sql.Column("model", sql.String(200)),
    sql.Column("seed", sql.BigInteger),
    sql.Column("upload", sql.String(200)),  # name of the file
    sql.Column("content", sql.String(64), nullable=False, index=True),  # of what the result follows
    sql.Column("cost", sql.Float, nullable=False),
    sql.Column("state", sql.String(16), nullable=False, index=True),
    sql.Column("progress", sql.Float, nullable=False, default=0.0),
    sql.Column("worker", sql.String(64)),
    sql.Column("attempts", sql.Integer, nullable=False, default=0),
    sql.Column("lease", sql.Float),
    sql.Column("created", sql.Float, nullable=False),
    sql.Column("started", sql.Float),
    sql.Column("ended", sql.Float),
    sql.Column("error", sql.Text),
    sql.Column("refused", sql.Boolean, nullable=False, default=False),
    sql.Column("result", sql.Text),  # JSON
)
KEYS = sql.Table(
    "idempotency_keys",
    TABLES,
    sql.Column("key", sql.String(200), primary_key=True),
    sql.Column("asked", sql.String(64), nullable=False),  # of the request that came with it
    sql.Column("job", sql.String(32), nullable=False, index=True),
)


class FullError(RuntimeError):
    """Too much waits.

    Attributes:
        seconds: after which it may be tried again.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too much waits here already: ask again in {seconds} s")
        self.seconds = seconds


class OtherRequestError(ValueError):
    """An idempotency key that came with another request before."""


@dataclass(frozen=True)
class Job:
    """A row of the table of jobs; its columns say more."""

    id: str
    kind: str
    work: str
    model: str | None
    seed: int | None
    upload: str | None
    content: str
    cost: float
    state: str
    progress: float
    worker: str | None
    attempts: int
    lease: float | None
    created: float
    started: float | None
    ended: float | None
    error: str | None
    refused: bool
    result: str | None

    @property
    def ended_for_good(self) -> bool:
        """Whether nothing becomes of it any more."""
        return self.state in FINAL

    @property
    def results(self) -> dict[str, Any]:
        """What a worker made: the values of JSON that it handed to `Store.finish`."""
        return json.loads(self.result) if self.result else {}


@dataclass(frozen=True)
class NewJob:
    """A job that is to be accepted; see the table's columns."""

    id: str
    kind: str
    work: str
    model: str | None
    seed: int | None
    upload: str | None
    content: str
    cost: float


@dataclass(frozen=True)
class Admission:
    """How a job comes in.

    Attributes:
        most_cost: of the jobs that wait or run.
        workers: that make them.
        key: of idempotency, and what was asked with it; None is none.
        repeatable: whether a finished job of the same content answers it.
    """

    most_cost: float
    workers: int
    key: tuple[str, str] | None
    repeatable: bool


def new_id() -> str:
    """A name of a job that nobody can guess."""
    return secrets.token_urlsafe(12)


class Store:
    """The table of jobs.

    Args:
        address: of the database, see `woosh.serving.database.open_database`.
        durable: whether what is written is on the disk before it counts; else a power cut may undo the last of it. PostgreSQL
            decides that by itself.
    """

    def __init__(self, address: str, durable: bool = True) -> None:
        self._engine = open_database(address, durable)
        self._reading = self._engine.execution_options(reading=True)
        with self._engine.begin() as connection:
            take_turn(connection)
            TABLES.create_all(connection)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    # What the server does.

    def accept(self, new: NewJob, admission: Admission) -> tuple[Job, bool]:
        """Put a job into the table, or find the one that answers it: by its idempotency key, or by its content.

        Returns:
            The job, and whether it is new.

        Raises:
            FullError: too much waits.
            OtherRequestError: the key came with another request before.
        """
        with self._engine.begin() as connection:
            take_turn(connection)  # or two servers would fill the same room
            if admission.key is not None:
                found = _by_key(connection, admission.key)
                if found is not None:
                    return found, False
            job = _repeated(connection, new.content) if admission.repeatable else None
            is_new = job is None
            if job is None:
                _check_room(connection, new.cost, admission)
                values = {**vars(new), "state": "queued", "created": now(self._engine)}
                job = Job(
                    *connection.execute(sql.insert(JOBS).values(values).returning(JOBS)).one()
                )
            if admission.key is not None:
                key, asked = admission.key
                connection.execute(sql.insert(KEYS).values(key=key, asked=asked, job=job.id))
            return job, is_new

    def get(self, job: str) -> Job | None:
        """A job by its name."""
        return next(iter(self.these([job])), None)

    def these(self, jobs: Sequence[str]) -> list[Job]:
        """Those of some jobs that there are."""
        return [
            job
            for start in range(0, len(jobs), BLOCK)
            for job in self._jobs(
                sql.select(JOBS).where(JOBS.c.id.in_(jobs[start : start + BLOCK]))
            )
        ]

    def in_states(self, states: Sequence[str]) -> list[Job]:
        """Jobs in some states, those that ended first first."""
        return self._jobs(
            sql.select(JOBS).where(JOBS.c.state.in_(states)).order_by(JOBS.c.ended, JOBS.c.id)
        )

    def counts(self) -> dict[str, tuple[int, float]]:
        """Number and cost of the jobs in each state that some are in."""
        rows = sql.select(JOBS.c.state, sql.func.count(), sql.func.sum(JOBS.c.cost)).group_by(
            JOBS.c.state
        )
        with self._reading.connect() as connection:
            return {state: (count, cost) for state, count, cost in connection.execute(rows)}

    def cancel(self, job: str) -> None:
        """End a job that waits or runs; its worker will find that it holds it no longer."""
        self._end(JOBS.c.id == job, "cancelled", None)

    def end_overdue(self, seconds: float) -> None:
        """End the jobs that have run for longer."""
        overdue = (JOBS.c.state == "running") & (JOBS.c.started < now(self._engine) - seconds)
        self._end(overdue, "failed", f"it took longer than {seconds:g} s")

    def expired(self) -> list[str]:
        """Names of the workers whose lease has run out."""
        over = (JOBS.c.state == "running") & (JOBS.c.lease < now(self._engine))
        with self._reading.connect() as connection:
            return list(connection.scalars(sql.select(JOBS.c.worker).where(over)))

    def release(self, worker: str, its_fault: bool) -> None:
        """Put the jobs of a worker that is gone back to where they waited.

        Args:
            worker: its name.
            its_fault: whether it ended by itself: a job whose workers do so again and again has failed.
        """
        held = (JOBS.c.state == "running") & (JOBS.c.worker == worker)
        if its_fault:
            again = held & (JOBS.c.attempts >= MOST_ATTEMPTS)
            self._end(again, "failed", f"{MOST_ATTEMPTS} workers ended over it")
        back = {"state": "queued", "worker": None, "lease": None, "progress": 0.0}
        if not its_fault:
            back["attempts"] = JOBS.c.attempts - 1
        self._change(held, back)

    def remove(self, jobs: Sequence[str]) -> None:
        """Forget jobs."""
        for start in range(0, len(jobs), BLOCK):
            block = jobs[start : start + BLOCK]
            with self._engine.begin() as connection:
                connection.execute(sql.delete(KEYS).where(KEYS.c.job.in_(block)))
                connection.execute(sql.delete(JOBS).where(JOBS.c.id.in_(block)))

    # What a worker does.

    def claim(self, worker: str) -> Job | None:
        """Take the job that has waited longest; None where none waits."""
        first = (
            sql.select(JOBS.c.id)
            .where(JOBS.c.state == "queued")
            .order_by(JOBS.c.created, JOBS.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        moment = now(self._engine)
        taken = (
            sql.update(JOBS)
            .where((JOBS.c.id == first) & (JOBS.c.state == "queued"))
            .values(
                state="running",
                worker=worker,
                attempts=JOBS.c.attempts + 1,
                lease=moment + LEASE_SECONDS,
                started=moment,
            )
            .returning(JOBS)
        )
        with self._engine.begin() as connection:
            row = connection.execute(taken).one_or_none()
            return None if row is None else Job(*row)

    def hold(self, job: str, worker: str) -> bool:
        """Renew a worker's lease; false where it holds the job no longer."""
        return self._change(_held(job, worker), {"lease": now(self._engine) + LEASE_SECONDS})

    def tell(self, job: str, worker: str, progress: float) -> bool:
        """Say how far a job is, from 0 to 1; false where the worker holds it no longer."""
        return self._change(_held(job, worker), {"progress": progress})

    def finish(self, job: str, worker: str, result: dict[str, Any]) -> bool:
        """Say what came of a job; false where the worker holds it no longer."""
        text = json.dumps(result, allow_nan=False)
        ended = {"state": "finished", "progress": 1.0, "ended": now(self._engine), "result": text}
        return self._change(_held(job, worker), ended)

    def fail(self, job: str, worker: str, error: str, refused: bool) -> bool:
        """Say why nothing came of a job, and whether what was asked for cannot be done; false as `finish`."""
        ended = {"state": "failed", "ended": now(self._engine), "error": error, "refused": refused}
        return self._change(_held(job, worker), ended)

    def _jobs(self, rows: sql.Select[Any]) -> list[Job]:
        with self._reading.connect() as connection:
            return [Job(*row) for row in connection.execute(rows)]

    def _change(self, which: sql.ColumnElement[bool], values: dict[str, Any]) -> bool:
        with self._engine.begin() as connection:
            return connection.execute(sql.update(JOBS).where(which).values(values)).rowcount > 0

    def _end(self, which: sql.ColumnElement[bool], state: str, error: str | None) -> None:
        values = {"state": state, "error": error, "ended": now(self._engine)}
        self._change(which & JOBS.c.state.in_(OPEN), values)


def _held(job: str, worker: str) -> sql.ColumnElement[bool]:
    """The job, if the worker holds it."""
    return (JOBS.c.id == job) & (JOBS.c.worker == worker) & (JOBS.c.state == "running")


def _by_key(connection: sql.Connection, key: tuple[str, str]) -> Job | None:
    """The job that came with an idempotency key."""
    rows = (
        sql.select(KEYS.c.asked, *JOBS.c)
        .join_from(KEYS, JOBS, KEYS.c.job == JOBS.c.id)
        .where(KEYS.c.key == key[0])
    )
    row = connection.execute(rows).one_or_none()
    if row is None:
        return None
    if row[0] != key[1]:
        raise OtherRequestError(
            "this Idempotency-Key came with another request before: take a new one"
        )
    return Job(*tuple(row)[1:])


def _repeated(connection: sql.Connection, content: str) -> Job | None:
    """A finished job of the same content."""
    alike = (JOBS.c.content == content) & (JOBS.c.state == "finished")
    rows: sql.Select[Any] = sql.select(JOBS).where(alike)
    return next((Job(*row) for row in connection.execute(rows.limit(1))), None)


def _check_room(connection: sql.Connection, cost: float, admission: Admission) -> None:
    total = sql.select(sql.func.sum(JOBS.c.cost)).where(JOBS.c.state.in_(OPEN))
    waiting = connection.scalar(total) or 0.0
    if waiting and waiting + cost > admission.most_cost:
        speed = _speed(connection) * admission.workers
        beyond = waiting + cost - admission.most_cost
        seconds = 5 if speed == 0 else round(min(3600, max(1, beyond / speed)))
        raise FullError(seconds)


def _speed(connection: sql.Connection) -> float:
    """Cost per second of a worker, of the last jobs that were finished; 0 where there are none."""
    last = (
        sql.select(JOBS.c.cost, JOBS.c.started, JOBS.c.ended)
        .where(JOBS.c.state == "finished")
        .order_by(JOBS.c.ended.desc())
        .limit(MEASURED)
    )
    rows = connection.execute(last).all()
    seconds = sum(row.ended - row.started for row in rows)
    return sum(row.cost for row in rows) / seconds if seconds > 0 else 0.0
