# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What is said of a task while its driver's call lasts; how the call ends takes its place."""

import sqlalchemy as sa

from networking_workflow.journal import clock, fence, sync, tables
from networking_workflow.model import failures, workflows
from networking_workflow.model.states import SyncState

_T = tables.tasks.c

_FAILURE = {
    "failure_code": sa.bindparam("new_code"),
    "failure_detail": sa.bindparam("new_detail"),
    "updated_at": clock.now(),
}

_OF_WORKFLOW = sa.update(tables.workflows).where(fence.OWN_ROW).values(_FAILURE)

#: Served by the primary key.
_OF_TASK = sa.update(tables.tasks).where(_T.id == sa.bindparam("task")).values(_FAILURE)


def remark(
    connection: sa.Connection,
    claim: workflows.Claim,
    task_id: str,
    failure: failures.Failure | None,
) -> None:
    """Write a failure, or none any more, to a workflow that runs, its task and its resource.

    :raises LeaseLost: if the claim is another's by now.
    """
    code = failure.code if failure else None
    values = {"new_code": code, "new_detail": failure.detail if failure else None}
    fence.execute(connection, _OF_WORKFLOW, claim, values)
    connection.execute(_OF_TASK, {"task": task_id, **values})
    sync.settle(connection, sync.of(claim), claim.gen, SyncState.PENDING, code)
