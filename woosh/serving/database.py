"""The database that the table of jobs stands in: a file of SQLite for one machine, PostgreSQL for many."""

from __future__ import annotations

import time
from typing import Any

from woosh.command_line import missing_extra

try:
    import sqlalchemy as sql
    from sqlalchemy.exc import ArgumentError, DBAPIError
except ImportError as error:
    raise missing_extra("the server needs sqlalchemy", "serve") from error

WAITING_SECONDS = 30  # that one waits for another who writes
POSTGRESQL = ("postgresql://", "postgres://")
DRIVER = "postgresql+psycopg://"
TURN = 0x776F6F73  # the lock by which servers take turns, any number that others do not take
StoreError = DBAPIError  # the database is busy for too long, or gone


def open_database(address: str, durable: bool) -> sql.Engine:
    """The database at an address; it is reached when it is first used.

    Args:
        address: as SQLAlchemy writes it, or as PostgreSQL's own programs do.
        durable: whether what is written into a file is on the disk before it counts.

    Raises:
        ValueError: it is no address of these.
        ImportError: PostgreSQL's driver is not installed.
    """
    for scheme in POSTGRESQL:
        if address.startswith(scheme):
            address = DRIVER + address.removeprefix(scheme)
    if not address.startswith(("sqlite:///", DRIVER)):
        raise ValueError("jobs stand in PostgreSQL: name them as postgresql://USER@HOST/DATABASE")
    try:
        # A connection that the database has let go of meanwhile is replaced before it is used.
        engine = sql.create_engine(address, pool_pre_ping=address.startswith(DRIVER))
    except ImportError as error:
        raise missing_extra("PostgreSQL needs psycopg", "cluster") from error
    except (ArgumentError, ValueError) as error:  # its words would tell the password
        raise ValueError(
            "the address of the jobs cannot be read: write it as postgresql://USER@HOST/DATABASE"
        ) from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, durable)
    return engine


def now(engine: sql.Engine) -> float | sql.ColumnElement[float]:
    """Seconds since 1970, by the one clock that all who use the database share."""
    if engine.dialect.name == "sqlite":
        return time.time()
    return sql.cast(sql.extract("epoch", sql.func.clock_timestamp()), sql.Float)


def take_turn(connection: sql.Connection) -> None:
    """Wait for other servers that are at the same place, until the transaction ends. In SQLite whoever writes is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sql.select(sql.func.pg_advisory_xact_lock(TURN)))


def _prepare_sqlite(engine: sql.Engine, durable: bool) -> None:
    """Readers beside a writer, writers that wait for each other, and no write that begins as a read."""

    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # what begins is said below
        connection.execute(f"PRAGMA busy_timeout = {1000 * WAITING_SECONDS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")

    def begin(connection: sql.Connection) -> None:
        if not connection.get_execution_options().get("reading"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    sql.event.listen(engine, "connect", connect)
    sql.event.listen(engine, "begin", begin)
