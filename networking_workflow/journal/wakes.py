# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Telling those that are parked on a workflow to look again.

Rows are set by primary key, sorted: one statement over the ``blocked_by`` index deadlocked on
MariaDB a few times in a thousand. ``parked`` of a workflow that holds nothing says whether some
may still be parked on it, so that a sweep finds what a crash left in between.
"""

import collections.abc
import functools

import sqlalchemy as sa

from networking_workflow.journal import clock, retries, tables
from networking_workflow.model.states import WorkflowState

#: So many are woken in the transaction that finishes their blocker; more in batches after it.
AT_ONCE = 64

#: Rows per batch.
BATCH = 500

_W = tables.workflows.c

#: Served by the index on blocked_by.
_PARKED_ON = (
    sa.select(_W.id)
    .where(_W.blocked_by == sa.bindparam("blocker"))
    .limit(sa.bindparam("limit", type_=sa.Integer))
)

#: Served by the primary key.
_WAKE = (
    sa.update(tables.workflows)
    .where(
        _W.id.in_(sa.bindparam("ids", expanding=True)),
        _W.blocked_by == sa.bindparam("blocker"),
        _W.state == WorkflowState.WAITING,
    )
    .values(state=WorkflowState.READY, blocked_by=None, updated_at=clock.now())
)

_MORE_PARKED = (
    sa.update(tables.workflows)
    .where(_W.id == sa.bindparam("blocker"), ~_W.holding)
    .values(parked=sa.bindparam("still_parked"))
)


def wake(connection: sa.Connection, blocker: str, limit: int = BATCH) -> int:
    """Make READY up to ``limit`` that are parked on ``blocker``; return how many were found."""
    found = connection.execute(_PARKED_ON, {"blocker": blocker, "limit": limit}).scalars()
    ids = sorted(found)
    if ids:
        connection.execute(_WAKE, {"ids": ids, "blocker": blocker})
    return len(ids)


def wake_all(connection: sa.Connection, blocker: str) -> None:
    """Wake everybody now: for a blocker that takes a later place and goes on holding.

    One left behind would wait for a workflow that waits for it.
    """
    while wake(connection, blocker) == BATCH:
        pass


def wake_few(connection: sa.Connection, blocker: str) -> bool:
    """Wake those parked on a blocker that has just ended; return False if there are many.

    Then nobody is woken yet, the row says so, and :func:`wake_many` is to follow the commit. Call
    it after the blocker's own row is written: from then on nobody parks on it any more.
    """
    found = connection.execute(_PARKED_ON, {"blocker": blocker, "limit": AT_ONCE + 1}).scalars()
    ids = sorted(found)
    if len(ids) > AT_ONCE:
        connection.execute(_MORE_PARKED, {"blocker": blocker, "still_parked": 1})
        return False
    if ids:
        connection.execute(_WAKE, {"ids": ids, "blocker": blocker})
    return True


def wake_many(engine: sa.Engine, blockers: collections.abc.Iterable[str]) -> int:
    """Wake all that are parked on ``blockers``, which hold nothing; return how many.

    Each batch is a transaction of its own.
    """
    woken = 0
    for blocker in blockers:
        while True:
            count = retries.run(engine, functools.partial(_batch, blocker=blocker))
            woken += count
            if count < BATCH:
                break
    return woken


def _batch(connection: sa.Connection, blocker: str) -> int:
    count = wake(connection, blocker)
    if count < BATCH:
        connection.execute(_MORE_PARKED, {"blocker": blocker, "still_parked": 0})
    return count


#: Served by the index on (holding, parked).
_STRANDED = (
    sa.select(_W.id)
    .where(~_W.holding, _W.parked > 0)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)


def stranded(connection: sa.Connection, limit: int) -> list[str]:
    """Return workflows that hold nothing while some may still be parked on them."""
    return list(connection.execute(_STRANDED, {"limit": limit}).scalars())
