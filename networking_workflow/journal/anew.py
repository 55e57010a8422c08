# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Taking keys anew: a workflow that held nothing, or gave its keys back, gets today's place."""

import collections.abc
import functools
import typing

import sqlalchemy as sa

from networking_workflow.journal import clock, retries, steps, sync, tables, takes, wakes
from networking_workflow.model import keys as model_keys
from networking_workflow.model.states import WorkflowState

_W = tables.workflows.c

#: Served by the primary key. Written first: one that two want to take anew is taken by one.
_READY = (
    sa.update(tables.workflows)
    .where(_W.id == sa.bindparam("own_id"), _W.state == sa.bindparam("old_state"))
    .values(
        state=WorkflowState.READY,
        holding=True,
        parked=0,
        waits_for=None,
        not_before=None,
        finished_at=None,
        updated_at=clock.now(),
    )
)

_PLACE = (
    sa.update(tables.workflows)
    .where(_W.id == sa.bindparam("own_id"))
    .values(
        gen=sa.bindparam("own_gen"),
        held_keys=sa.bindparam("new_keys", type_=_W.held_keys.type),
    )
)

#: Served by the index on waits_for.
_HELD_FOR = (
    sa.select(_W.id, _W.lane, _W.resource_type, _W.resource_id, _W.held_keys)
    .where(
        _W.waits_for == sa.bindparam("waits_for"),
        _W.state == WorkflowState.HELD,
        _W.lane == sa.bindparam("lane"),
    )
    .limit(sa.bindparam("limit", type_=sa.Integer))
)

#: HELD ones that are released in one go.
_BATCH = 100


def ready_again(connection: sa.Connection, row: typing.Any, state: WorkflowState) -> None:
    """Move a HELD or FAILED workflow to READY, its keys taken anew. ``row`` has its columns.

    :raises LookAgain: if it is not in ``state`` any more.
    """
    changed = connection.execute(_READY, {"own_id": row.id, "old_state": state})
    if changed.rowcount != 1:
        raise retries.LookAgain
    modes = {key: model_keys.Mode(mode) for key, mode in row.held_keys.items()}
    resource = sync.Resource(row.lane, row.resource_type, row.resource_id)
    place(connection, row.id, resource, modes)


def place(
    connection: sa.Connection,
    workflow_id: str,
    resource: sync.Resource,
    keys: collections.abc.Mapping[str, model_keys.Mode],
) -> None:
    """Take ``keys`` at today's place for a workflow whose row is written and which holds none.

    Whoever is still parked on it is told: it may stand behind them now.
    """
    wakes.wake_all(connection, workflow_id)
    steps.start_over(connection, workflow_id)
    holds = takes.take(connection, [takes.Want(workflow_id, keys)])
    own = str(model_keys.Key(*resource))
    gen = next(hold.gen for hold in holds if hold.k == own)
    takes.write_holds(connection, holds)
    parameters = {"own_id": workflow_id, "own_gen": gen, "new_keys": dict(keys)}
    connection.execute(_PLACE, parameters)
    sync.anew(connection, resource, gen, workflow_id)


def release(engine: sa.Engine, resource: sync.Resource, limit: int = _BATCH) -> int:
    """Make READY those that are HELD for a resource that is there; return how many.

    Each in a transaction of its own, so that no transaction takes the keys of many.
    """
    released = 0
    while released < limit:
        with engine.connect() as connection:
            seen = sync.held_by(connection, resource)
            parameters = {
                "waits_for": resource.waits_for,
                "lane": resource.lane,
                "limit": min(_BATCH, limit - released),
            }
            rows = list(connection.execute(_HELD_FOR, parameters))
        for row in rows:
            released += _release_one(engine, row)
        if not rows:
            retries.run(engine, functools.partial(sync.nobody_held, resource=resource, seen=seen))
            break
    return released


def _release_one(engine: sa.Engine, row: typing.Any) -> int:
    def work(connection: sa.Connection) -> int:
        still = connection.execute(sa.select(_W.state).where(_W.id == row.id)).scalar()
        if still != WorkflowState.HELD:
            return 0
        ready_again(connection, row, WorkflowState.HELD)
        return 1

    return retries.run(engine, work)
