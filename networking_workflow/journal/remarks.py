# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is said of a task while its driver's call lasts; how the call ends takes its place."""

import sqlalchemy as sa

from networking_workflow.journal import clock, fence, sync, tables
from networking_workflow.model import failures, workflows
from networking_workflow.model.states import SyncState

_W = tables.workflows.c
_S = tables.resource_sync.c
_T = tables.tasks.c

#: Served by the primary keys of both.
_SHOWN = (
    sa.select(_W.failure_code, _W.failure_detail, _S.sync_error)
    .select_from(tables.workflows)
    .outerjoin(tables.resource_sync, sync.OF_WORKFLOW)
    .where(_W.id == sa.bindparam("own_id"))
)

_FAILURE = {
    "failure_code": sa.bindparam("new_code"),
    "failure_detail": sa.bindparam("new_detail"),
    "updated_at": clock.now(),
}

_OF_WORKFLOW = sa.update(tables.workflows).where(fence.OWN_ROW).values(_FAILURE)

#: Served by the primary key.
_OF_TASK = sa.update(tables.tasks).where(_T.id == sa.bindparam("task")).values(_FAILURE)


def shown(connection: sa.Connection, claim: workflows.Claim) -> failures.Shown:
    """Return what a workflow and its resource say is wrong."""
    row = connection.execute(_SHOWN, {"own_id": claim.id}).first()
    if row is None or row.failure_code is None:
        failure = None
    else:
        code = failures.FailureCode(row.failure_code)
        failure = failures.Failure(code=code, detail=row.failure_detail)
    error = row.sync_error if row is not None else None
    return failures.Shown(
        failure=failure, sync_error=failures.FailureCode(error) if error else None
    )


def remark(
    connection: sa.Connection, claim: workflows.Claim, task_id: str, failure: failures.Failure
) -> None:
    """Write a failure to a workflow that runs, its task and its resource.

    :raises LeaseLost: if the claim is another's by now; so does :func:`take_back`.
    """
    values = _write_workflow(connection, claim, failure)
    connection.execute(_OF_TASK, {"task": task_id, **values})
    sync.settle(connection, sync.of(claim), claim.gen, SyncState.PENDING, failure.code)


def take_back(connection: sa.Connection, claim: workflows.Claim, before: failures.Shown) -> None:
    """Let workflow and resource say again what they said before :func:`remark`.

    What the task says is written with how its call ended.
    """
    _write_workflow(connection, claim, before.failure)
    sync.settle(connection, sync.of(claim), claim.gen, SyncState.PENDING, before.sync_error)


def _write_workflow(
    connection: sa.Connection, claim: workflows.Claim, failure: failures.Failure | None
) -> dict[str, str | None]:
    values = {
        "new_code": failure.code if failure else None,
        "new_detail": failure.detail if failure else None,
    }
    fence.execute(connection, _OF_WORKFLOW, claim, values)
    return values
