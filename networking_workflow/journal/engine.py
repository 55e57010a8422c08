# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Connections of the conductor and of tests; the API's capture uses Neutron's own."""

import typing

import sqlalchemy as sa
from sqlalchemy import pool

#: Execution option: a connection that only reads, and so need not queue for SQLite's one writer.
READS_ONLY = "workflow_reads_only"

#: Execution option: reads at a Galera node wait for what other nodes have committed.
CAUSAL_READS = "workflow_causal_reads"

#: Seconds that SQLite waits for the writer before it gives up.
_BUSY_S = 60

#: Seconds until a server that does not answer counts as away; longer than any lock is waited for
#: (``innodb_lock_wait_timeout``: 50). Options of the URL win.
_CONNECT_S = 10
_ANSWER_S = 75


def make_engine(url: str, *, pool_size: int = 10, causal_reads: bool = False) -> sa.Engine:
    """Return an engine for :class:`~networking_workflow.journal.journal.Journal`.

    READ COMMITTED on MariaDB and PostgreSQL; on SQLite a write-ahead log, and writers that take
    the write lock at BEGIN, since one that reads first and writes later cannot wait for it. Errors
    do not repeat a statement's parameters: snapshots are among them, and errors are logged.

    :param causal_reads: let reads at a node of a Galera cluster wait until it has applied what the
        other nodes committed before (``wsrep_sync_wait``); elsewhere it changes nothing.
    """
    parsed = sa.engine.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, pool_size)
    engine = sa.create_engine(
        parsed,
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_recycle=3600,
        hide_parameters=True,
        pool_reset_on_return=None,  # transactions end by themselves: no ROLLBACK after COMMIT
        connect_args=_time_outs(parsed),
    )
    if causal_reads:
        _wait_for_other_nodes(engine)
    return engine.execution_options(**{CAUSAL_READS: causal_reads})


def polling(engine: sa.Engine) -> sa.Engine:
    """Return an engine beside ``engine`` whose reads are one round trip: no BEGIN, no ROLLBACK."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{READS_ONLY: True})
    reading = sa.create_engine(
        engine.url,
        isolation_level="AUTOCOMMIT",
        pool_size=2,  # the poll, and what a worker reads before it calls its driver
        max_overflow=10,
        pool_reset_on_return=None,
        skip_autocommit_rollback=True,
        pool_recycle=3600,
        hide_parameters=True,
        connect_args=_time_outs(engine.url),
    )
    if engine.get_execution_options().get(CAUSAL_READS):
        _wait_for_other_nodes(reading)
    return reading


def _time_outs(url: sa.URL) -> dict[str, int]:
    """Return what makes the driver give up on a server that is there and does not answer.

    PostgreSQL's driver has no time-out for answers; TCP finds out only that the host is gone.
    """
    wanted = {"connect_timeout": _CONNECT_S}
    if url.get_backend_name() in ("mysql", "mariadb"):
        wanted |= {"read_timeout": _ANSWER_S, "write_timeout": _ANSWER_S}
    return {name: seconds for name, seconds in wanted.items() if name not in url.query}


def _wait_for_other_nodes(engine: sa.Engine) -> None:
    """Set ``wsrep_sync_wait`` on each new connection to a server that replicates."""
    if engine.dialect.name not in ("mysql", "mariadb"):
        return

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: typing.Any, _record: typing.Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW VARIABLES LIKE 'wsrep_on'")
            found = cursor.fetchone()
            if found is not None and found[1] == "ON":
                cursor.execute("SET SESSION wsrep_sync_wait = 1")


#: Memory that a SQLite file may be mapped to: each read of a page is a system call otherwise.
SQLITE_MMAP_BYTES = 256 * 1024**2

_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    f"mmap_size={SQLITE_MMAP_BYTES}",
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
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        reads_only = connection.get_execution_options().get(READS_ONLY)
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")

    return engine
