# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What some conductor does now and then: what has become due, and what a crash left half done.

Bounded batches, each look-up served by an index.
"""

import collections.abc
import typing

import sqlalchemy as sa

from networking_workflow.journal import anew, clock, steps, sync, tables
from networking_workflow.model import failures
from networking_workflow.model.states import SyncState, WorkflowState

_W = tables.workflows.c
_S = tables.resource_sync.c

#: How ``waits_for`` names a driver that cannot be called now.
DRIVER_PREFIX = "driver:"

#: Served by the index on (state, not_before).
_DUE = (
    sa.select(_W.id)
    .where(_W.state == WorkflowState.RETRYING, _W.not_before <= clock.now())
    .order_by(_W.not_before)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)

#: Served by the index on waits_for, which only HELD and RETRYING ones have; what that finds is
#: sorted.
_WAITING_FOR_DRIVERS = (
    sa.select(_W.id)
    .where(
        _W.waits_for.in_(sa.bindparam("waits_for", expanding=True)),
        _W.state == WorkflowState.RETRYING,
    )
    .order_by(_W.priority, _W.created_at, _W.id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)

_REQUEUE = (
    sa.update(tables.workflows)
    .where(_W.id.in_(sa.bindparam("ids", expanding=True)), _W.state == WorkflowState.RETRYING)
    .values(
        state=WorkflowState.READY,
        waits_for=None,
        not_before=None,
        updated_at=clock.now(),
    )
)

_NEXT_WAITED_FOR = (
    sa.select(_W.waits_for)
    .where(_W.waits_for > sa.bindparam("after"), _W.waits_for.startswith(DRIVER_PREFIX))
    .order_by(_W.waits_for)
    .limit(1)
)

#: The latest change of a resource is HELD: what would bring the resource is that one only. By the
#: gen, which one that was folded into an earlier one leaves to its survivor. Only where somebody
#: may be HELD for the resource: thousands that wait for one network are in nobody's way.
_HELD = (
    sa.select(_W.id, _W.lane, _W.resource_type, _W.resource_id, _W.waits_for, _W.gen)
    .join(tables.resource_sync, sa.and_(sync.OF_WORKFLOW, _S.gen == _W.gen))
    .where(_W.state == WorkflowState.HELD, _S.held > 0)
    .order_by(_W.project_id, _W.priority, _W.created_at, _W.id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)

_FAIL = (
    sa.update(tables.workflows)
    .where(_W.id == sa.bindparam("own_id"), _W.state == WorkflowState.HELD)
    .values(
        state=WorkflowState.FAILED,
        waits_for=None,
        failure_code=failures.FailureCode.REFERENCE_MISSING,
        failure_detail=sa.bindparam("new_detail"),
        finished_at=clock.now(),
        updated_at=clock.now(),
    )
)


def requeue_due(connection: sa.Connection, limit: int) -> int:
    """RETRYING to READY where the delay is over."""
    return _requeue(connection, sorted(connection.execute(_DUE, {"limit": limit}).scalars()))


def wake_drivers(
    connection: sa.Connection, drivers: collections.abc.Iterable[str], limit: int
) -> int:
    """RETRYING to READY where the workflow waits for drivers that may be called again.

    The oldest of the most urgent first: a driver may take a few at a time only. Returns how many
    were found: of those that another conductor wakes meanwhile none is changed here, and there may
    be more behind them.
    """
    parameters = {"waits_for": [DRIVER_PREFIX + name for name in drivers], "limit": limit}
    ids = sorted(connection.execute(_WAITING_FOR_DRIVERS, parameters).scalars())
    _requeue(connection, ids)
    return len(ids)


def _requeue(connection: sa.Connection, ids: list[str]) -> int:
    return connection.execute(_REQUEUE, {"ids": ids}).rowcount if ids else 0


def drivers_waited_for(connection: sa.Connection) -> list[str]:
    """Return the drivers that something waits for; one look-up per driver, however many wait."""
    drivers: list[str] = []
    after = DRIVER_PREFIX
    while True:
        found = connection.execute(_NEXT_WAITED_FOR, {"after": after}).scalar()
        if found is None:
            return drivers
        after = found
        drivers.append(found.removeprefix(DRIVER_PREFIX))


def release_held(
    engine: sa.Engine, come: collections.abc.Iterable[sync.Resource], limit: int
) -> int:
    """HELD to READY, keys taken anew, where the resource that was missing is there."""
    released = 0
    for resource in come:
        released += anew.release(engine, resource, limit - released)
        if released >= limit:
            break
    return released


def mutual_holds(connection: sa.Connection, limit: int) -> list[tuple[sync.Resource, typing.Any]]:
    """Return the HELD ones whose resources wait for each other, in a circle of any length."""
    rows = list(connection.execute(_HELD, {"limit": limit}))
    names = {sync.Resource(row.lane, row.resource_type, row.resource_id): row for row in rows}
    missing = {
        name: sync.Resource(row.lane, *row.waits_for.split("/", 1)) for name, row in names.items()
    }
    return [(name, names[name]) for name in sorted(missing) if _leads_back(name, missing)]


def fail_mutual_holds(connection: sa.Connection, limit: int) -> int:
    """HELD to FAILED for what :func:`mutual_holds` finds."""
    failed = 0
    for name, row in mutual_holds(connection, limit):
        detail = (
            f"{row.resource_type}/{row.resource_id} waits for {row.waits_for}, which the backend "
            "lacks and which itself waits for it. Change one so that it does not need the other."
        )
        if connection.execute(_FAIL, {"own_id": row.id, "new_detail": detail}).rowcount:
            failed += 1
            steps.skip(connection, [row.id])
            code = failures.FailureCode.REFERENCE_MISSING
            sync.settle(connection, name, row.gen, SyncState.ERROR, code)
    return failed


def _leads_back(start: sync.Resource, missing: dict[sync.Resource, sync.Resource]) -> bool:
    seen: set[sync.Resource] = set()
    name = start
    while name in missing and name not in seen:
        seen.add(name)
        name = missing[name]
        if name == start:
            return True
    return False
