# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Writing down what one transaction changed, in that transaction."""

import collections.abc
import datetime
import typing

import sqlalchemy as sa

from networking_workflow.journal import clock, tables, takes, upserts
from networking_workflow.model import workflows
from networking_workflow.model.states import SyncState, WorkflowState


def record(
    connection: sa.Connection,
    new: collections.abc.Sequence[workflows.NewWorkflow],
    at: datetime.datetime | None = None,
) -> dict[str, int]:
    """Record ``new``, given in apply order, as the last statements before COMMIT.

    Returns the generation that each of their own keys has now.

    Takes all their keys, inserts the workflows READY with their holds, and marks their resources
    PENDING since ``at`` (None: now). Works in any session's connection; on an old snapshot too,
    since nothing is decided.
    """
    if not new:
        return {}
    holds = takes.take(connection, [takes.Want(workflow.id, workflow.keys) for workflow in new])
    gens = {(hold.workflow_id, hold.k): hold.gen for hold in holds}
    now = at or clock.local()
    rows = [_row(workflow, gens[workflow.id, workflow.own_key], now) for workflow in new]
    connection.execute(_INSERT, rows)
    takes.write_holds(connection, holds)
    latest = {
        workflow.own_key: (workflow, row["gen"]) for workflow, row in zip(new, rows, strict=True)
    }
    connection.execute(
        upserts.upsert(connection.dialect.name, tables.resource_sync, _pending),
        [_sync_row(workflow, gen, now) for _, (workflow, gen) in sorted(latest.items())],
    )
    return {key: gen for key, (_, gen) in latest.items()}


_INSERT = sa.insert(tables.workflows)


def _row(
    workflow: workflows.NewWorkflow, gen: int, now: datetime.datetime
) -> dict[str, typing.Any]:
    return {
        "id": workflow.id,
        "lane": workflow.lane,
        "operation_id": workflow.operation_id,
        "request_id": workflow.request_id,
        "project_id": workflow.project_id,
        "resource_type": workflow.resource_type,
        "resource_id": workflow.resource_id,
        "operation": workflow.operation,
        "initiator": workflow.initiator,
        "priority": workflow.priority,
        "snapshot": workflow.snapshot,
        "held_keys": dict(workflow.keys),
        "state": WorkflowState.READY,
        "holding": True,
        "parked": 0,
        "fence": 0,
        "fence_checks": 0,
        "attempts": 0,
        "cancel_requested": False,
        "gen": gen,
        "created_at": now,
        "updated_at": now,
    }


def _sync_row(
    workflow: workflows.NewWorkflow, gen: int, now: datetime.datetime
) -> dict[str, typing.Any]:
    return {
        "lane": workflow.lane,
        "resource_type": workflow.resource_type,
        "resource_id": workflow.resource_id,
        "standard_attr_id": workflow.standard_attr_id,
        "project_id": workflow.project_id,
        "sync_state": SyncState.PENDING,
        "sync_error": None,
        "gen": gen,
        "held": 0,
        "workflow_id": workflow.id,
        "updated_at": now,
    }


def _pending(new: typing.Any) -> dict[str, sa.ColumnElement[typing.Any]]:
    """What a new change does to the row of its resource; ``held`` stays.

    The own key is locked exclusively, so ``gen`` is larger than any before.
    """
    columns = ("standard_attr_id", "project_id", "sync_state", "sync_error", "gen", "workflow_id")
    return {name: new[name] for name in (*columns, "updated_at")}
