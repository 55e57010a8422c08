# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Tasks: the steps of a workflow, each written when it starts and when it ends.

Every function here but the reads is part of a transaction that has written the fence.
"""

import collections.abc
import typing
import uuid

import sqlalchemy as sa

from networking_workflow.journal import clock, fence, remarks, tables, upserts
from networking_workflow.model import tasks, workflows
from networking_workflow.model.states import Operation, TaskState

_T = tables.tasks.c
_A = tables.applied.c

_STILL_OURS = sa.update(tables.workflows).where(fence.OWN_ROW).values(updated_at=clock.now())

_OF_WORKFLOW = sa.select(_T.id, _T.name, _T.driver, _T.task_state, _T.attempts).where(
    _T.workflow_id == sa.bindparam("workflow")
)

_INSERT = sa.insert(tables.tasks)

_HOST = (
    sa.select(tables.conductors.c.host)
    .where(tables.conductors.c.id == sa.bindparam("owner"))
    .scalar_subquery()
)

_INSERT_RUNNING = sa.insert(tables.tasks).values(host=_HOST, started_at=clock.now())

_RUNNING = {"task_state": TaskState.RUNNING, "attempts": 1}

_RUN = (
    sa.update(tables.tasks)
    .where(_T.id == sa.bindparam("task"), _T.workflow_id == sa.bindparam("workflow"))
    .values(
        task_state=TaskState.RUNNING,
        attempts=_T.attempts + 1,
        failure_code=None,
        failure_detail=None,
        host=_HOST,
        started_at=clock.now(),
        finished_at=None,
        updated_at=clock.now(),
    )
)

_END = (
    sa.update(tables.tasks)
    .where(_T.id == sa.bindparam("task"), _T.workflow_id == sa.bindparam("workflow"))
    .values(
        task_state=sa.bindparam("new_state"),
        attempts=_T.attempts - sa.bindparam("uncalled", type_=sa.Integer),
        failure_code=sa.bindparam("new_code"),
        failure_detail=sa.bindparam("new_detail"),
        finished_at=clock.now(),
        updated_at=clock.now(),
    )
)

_START_OVER = (
    sa.update(tables.tasks)
    .where(
        _T.workflow_id == sa.bindparam("workflow"),
        _T.task_state.in_((TaskState.SUCCESS, TaskState.FAILED)),
    )
    .values(task_state=TaskState.PENDING, updated_at=clock.now())
)

_SKIP_UNFINISHED = (
    sa.update(tables.tasks)
    .where(_T.task_state.in_((TaskState.PENDING, TaskState.RUNNING, TaskState.RETRYING)))
    .values(task_state=TaskState.SKIPPED, finished_at=clock.now(), updated_at=clock.now())
)

_SKIP = _SKIP_UNFINISHED.where(_T.workflow_id.in_(sa.bindparam("workflows", expanding=True)))

_SKIP_SOME = _SKIP_UNFINISHED.where(_T.id.in_(sa.bindparam("tasks", expanding=True)))

_APPLIED = sa.select(_A.driver, _A.body).where(
    _A.resource_type == sa.bindparam("resource_type"),
    _A.resource_id == sa.bindparam("resource_id"),
)

_APPLIED_OF = sa.select(_A.resource_id, _A.body).where(
    _A.driver == sa.bindparam("driver"),
    _A.resource_type == sa.bindparam("resource_type"),
    _A.resource_id.in_(sa.bindparam("resource_ids", expanding=True)),
)

_FORGET = sa.delete(tables.applied).where(
    _A.resource_type == sa.bindparam("resource_type"),
    _A.resource_id == sa.bindparam("resource_id"),
    # Not what drivers of other lanes returned: they have their own delete to come.
    _A.driver.not_in(
        sa.select(tables.lanes.c.driver).where(tables.lanes.c.lane != sa.bindparam("own_lane"))
    ),
)


def start(
    connection: sa.Connection,
    claim: workflows.Claim,
    planned: collections.abc.Sequence[tasks.PlannedTask],
) -> list[tasks.StartedTask]:
    """Insert the planned tasks that are missing, start the first that has not succeeded yet.

    :raises LeaseLost: if the claim is another's by now.
    """
    fence.execute(connection, _STILL_OURS, claim)
    known = {row.name: row for row in connection.execute(_OF_WORKFLOW, {"workflow": claim.id})}
    bodies = applied(connection, claim)
    unplanned = known.keys() - {plan.name for plan in planned}
    if unplanned:  # of drivers that are configured no more
        connection.execute(_SKIP_SOME, {"tasks": [known[name].id for name in sorted(unplanned)]})
    missing = [_row(claim, plan) for plan in planned if plan.name not in known]
    if missing:
        connection.execute(_INSERT, missing)
    fresh = {row["name"]: row["id"] for row in missing}
    started: list[tasks.StartedTask] = []
    running = False
    for plan in planned:
        row = known.get(plan.name)
        state = TaskState(row.task_state) if row else TaskState.PENDING
        attempts = row.attempts if row else 0
        has_failed = state is TaskState.FAILED
        task_id = row.id if row else fresh[plan.name]
        if state is not TaskState.SUCCESS and not running:
            running = True
            run(connection, claim, task_id)
            state, attempts = TaskState.RUNNING, attempts + 1
        started.append(
            tasks.StartedTask(
                id=task_id,
                name=plan.name,
                driver=plan.driver,
                state=state,
                attempts=attempts,
                has_failed=has_failed,
                applied=bodies.get(plan.driver),
            )
        )
    return started


def start_new(
    connection: sa.Connection,
    claim: workflows.Claim,
    planned: collections.abc.Sequence[tasks.PlannedTask],
) -> list[tasks.StartedTask]:
    """Do what :func:`start` does in the transaction of a first claim, in the fewest statements.

    Every statement here delays the first call of a driver. The claim itself is the fence.
    """
    # Of what is being created no driver has returned anything.
    bodies = {} if claim.operation is Operation.CREATE else applied(connection, claim)
    first, *others = [_row(claim, plan) for plan in planned]
    connection.execute(_INSERT_RUNNING, {**first, **_RUNNING, "owner": claim.owner})
    if others:
        connection.execute(_INSERT, others)
    return [
        tasks.StartedTask(
            id=row["id"],
            name=row["name"],
            driver=row["driver"],
            state=state,
            attempts=attempts,
            applied=bodies.get(row["driver"]),
        )
        for row, state, attempts in (
            (first, TaskState.RUNNING, 1),
            *((row, TaskState.PENDING, 0) for row in others),
        )
    ]


def _row(claim: workflows.Claim, plan: tasks.PlannedTask) -> dict[str, typing.Any]:
    now = clock.local()
    return {
        "id": str(uuid.uuid4()),
        "workflow_id": claim.id,
        "project_id": claim.project_id,
        "resource_type": claim.resource_type,
        "resource_id": claim.resource_id,
        "name": plan.name,
        "driver": plan.driver,
        "position": plan.position,
        "task_state": TaskState.PENDING,
        "attempts": 0,
        "created_at": now,
        "updated_at": now,
    }


def step(
    connection: sa.Connection,
    claim: workflows.Claim,
    finished: tasks.TaskResult | None,
    next_task_id: str | None,
    applied: collections.abc.Mapping[str, typing.Any] | None,
) -> None:
    """Write how one task ended and that the next one has started.

    :raises LeaseLost: if the claim is another's by now.
    """
    if finished is not None and finished.before_late is not None:
        remarks.take_back(connection, claim, finished.before_late)
    else:
        fence.execute(connection, _STILL_OURS, claim)
    end(connection, claim, [finished] if finished else [])
    keep_applied(connection, claim, applied or {})
    if next_task_id is not None:
        run(connection, claim, next_task_id)


def run(connection: sa.Connection, claim: workflows.Claim, task_id: str) -> None:
    """Mark one task RUNNING: another attempt of it begins."""
    connection.execute(_RUN, {"task": task_id, "workflow": claim.id, "owner": claim.owner})


def end(
    connection: sa.Connection,
    claim: workflows.Claim,
    results: collections.abc.Iterable[tasks.TaskResult],
) -> None:
    """Write how tasks ended."""
    for result in results:
        parameters = {
            "task": result.id,
            "workflow": claim.id,
            "new_state": result.state,
            "uncalled": int(not result.called),
            "new_code": result.failure.code if result.failure else None,
            "new_detail": result.failure.detail if result.failure else None,
        }
        connection.execute(_END, parameters)


def start_over(connection: sa.Connection, workflow_id: str) -> None:
    """Forget which tasks ended: the resource has changed since, or may have."""
    connection.execute(_START_OVER, {"workflow": workflow_id})


def skip(connection: sa.Connection, workflow_ids: collections.abc.Sequence[str]) -> None:
    """Mark what has not ended SKIPPED: its workflow ends without it."""
    connection.execute(_SKIP, {"workflows": list(workflow_ids)})


def applied(connection: sa.Connection, claim: workflows.Claim) -> dict[str, typing.Any]:
    """Return what each driver's last successful task of the resource returned, by driver."""
    parameters = {"resource_type": claim.resource_type, "resource_id": claim.resource_id}
    return {row.driver: row.body for row in connection.execute(_APPLIED, parameters)}


def applied_of(
    connection: sa.Connection,
    driver: str,
    resource_type: str,
    resource_ids: collections.abc.Iterable[str],
) -> dict[str, typing.Any]:
    """Return what a driver's last successful task of each resource returned, by id.

    Served by the primary key.
    """
    parameters = {
        "driver": driver,
        "resource_type": resource_type,
        "resource_ids": sorted(resource_ids),
    }
    return {row.resource_id: row.body for row in connection.execute(_APPLIED_OF, parameters)}


def keep_applied(
    connection: sa.Connection,
    claim: workflows.Claim,
    bodies: collections.abc.Mapping[str, typing.Any],
) -> None:
    """Keep what drivers returned, by driver."""
    if bodies:
        connection.execute(
            upserts.upsert(connection.dialect.name, tables.applied, _new_body),
            [
                {
                    "driver": driver,
                    "resource_type": claim.resource_type,
                    "resource_id": claim.resource_id,
                    "body": body,
                }
                for driver, body in sorted(bodies.items())
            ],
        )


def _new_body(new: typing.Any) -> dict[str, sa.ColumnElement[typing.Any]]:
    return {"body": new.body}


def forget_applied(connection: sa.Connection, claim: workflows.Claim) -> None:
    """Drop what drivers returned, but for those of other lanes: the resource is gone."""
    parameters = {
        "resource_type": claim.resource_type,
        "resource_id": claim.resource_id,
        "own_lane": claim.lane,
    }
    connection.execute(_FORGET, parameters)
