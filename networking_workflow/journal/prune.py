# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Forgetting what has ended long ago, a small batch a transaction.

Rows are found by an index and deleted by their primary keys: no lock of a transaction that records
or ends a workflow is waited for, and none waits for ours longer than one batch takes. Keys stay:
their gen must never begin anew.
"""

import dataclasses
import typing

import sqlalchemy as sa

from networking_workflow.journal import clock, deletes, tables
from networking_workflow.model.states import FINAL, Operation, WorkflowState

_W = tables.workflows.c
_S = tables.resource_sync.c

_WAITING = tables.workflows.alias("waiting")

#: Served by the index on finished_at, the oldest first. One that somebody is still parked on, since
#: a crash came between its end and the wake-up, is left until that has been made up for.
_OLD = (
    sa.select(_W.id, _W.lane, _W.resource_type, _W.resource_id, _W.operation, _W.state)
    .where(
        _W.finished_at < clock.later(sa.bindparam("finished_us", type_=sa.BigInteger)),
        _W.parked == 0,
        ~sa.exists().where(_WAITING.c.blocked_by == _W.id),
        sa.or_(
            _W.state.in_(sorted(FINAL)),
            sa.and_(
                _W.state == WorkflowState.FAILED,
                _W.finished_at < clock.later(sa.bindparam("failed_us", type_=sa.BigInteger)),
            ),
        ),
    )
    .order_by(_W.finished_at)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)

_TASKS = sa.select(tables.tasks.c.id).where(
    tables.tasks.c.workflow_id.in_(sa.bindparam("ids", expanding=True))
)

#: What a resource shows whose last change was its delete, and nobody is HELD for.
_GONE = sa.delete(tables.resource_sync).where(
    _S.lane == sa.bindparam("of_lane"),
    _S.resource_type == sa.bindparam("of_type"),
    _S.resource_id == sa.bindparam("of_id"),
    _S.workflow_id == sa.bindparam("of_workflow"),
    _S.held == 0,
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Age:
    """Seconds since its end that a workflow is kept for."""

    finished_s: float
    failed_s: float  #: of FAILED ones; not below the other


def old(connection: sa.Connection, age: Age, limit: int) -> list[sa.Row[typing.Any]]:
    """Return the workflows that may be forgotten, the oldest first."""
    parameters = {
        "finished_us": -clock.microseconds(age.finished_s),
        "failed_us": -clock.microseconds(age.failed_s),
        "limit": limit,
    }
    return list(connection.execute(_OLD, parameters))


def prune(connection: sa.Connection, age: Age, limit: int) -> int:
    """Delete up to ``limit`` workflows with their tasks; return how many.

    With the delete that ended a resource goes what the resource showed.
    """
    rows = old(connection, age, limit)
    if not rows:
        return 0
    ids = sorted(row.id for row in rows)
    task_ids = sorted(connection.execute(_TASKS, {"ids": ids}).scalars())
    deletes.delete_rows(connection, tables.tasks, [(task_id,) for task_id in task_ids])
    for row in sorted(rows, key=lambda row: (row.lane, row.resource_type, row.resource_id)):
        if row.operation == Operation.DELETE and row.state == WorkflowState.SUCCESS:
            connection.execute(
                _GONE,
                {
                    "of_lane": row.lane,
                    "of_type": row.resource_type,
                    "of_id": row.resource_id,
                    "of_workflow": row.id,
                },
            )
    deletes.delete_rows(connection, tables.workflows, [(workflow_id,) for workflow_id in ids])
    return len(ids)
