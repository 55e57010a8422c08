# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Connections of the conductor and of tests; the API's capture uses Neutron's own."""

import typing

import sqlalchemy as sa
from sqlalchemy import pool

#: Execution option: a connection that only reads, and so need not queue for SQLite's one writer.
READS_ONLY = "workflow_reads_only"

#: Seconds that SQLite waits for the writer before it gives up.
_BUSY_S = 60


def make_engine(url: str, *, pool_size: int = 10) -> sa.Engine:
    """Return an engine for :class:`~networking_workflow.journal.journal.Journal`.

    READ COMMITTED on MariaDB and PostgreSQL; on SQLite a write-ahead log, and writers that take
    the write lock at BEGIN, since one that reads first and writes later cannot wait for it. Errors
    do not repeat a statement's parameters: snapshots are among them, and errors are logged.
    """
    parsed = sa.engine.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, pool_size)
    return sa.create_engine(
        parsed,
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_recycle=3600,
        hide_parameters=True,
        pool_reset_on_return=None,  # transactions end by themselves: no ROLLBACK after COMMIT
    )


def polling(engine: sa.Engine) -> sa.Engine:
    """Return an engine beside ``engine`` whose reads are one round trip: no BEGIN, no ROLLBACK."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{READS_ONLY: True})
    return sa.create_engine(
        engine.url,
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        max_overflow=10,
        pool_reset_on_return=None,
        skip_autocommit_rollback=True,
        pool_recycle=3600,
        hide_parameters=True,
    )


def _sqlite(url: sa.URL, pool_size: int) -> sa.Engine:
    engine = sa.create_engine(
        url,
        poolclass=pool.QueuePool,
        pool_size=pool_size,
        max_overflow=pool_size,
        hide_parameters=True,
        connect_args={"timeout": _BUSY_S, "check_same_thread": False, "isolation_level": None},
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: typing.Any, _record: typing.Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        reads_only = connection.get_execution_options().get(READS_ONLY)
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")

    return engine
