# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""What an operator may ask for: retry, skip, cancel."""

import typing

import sqlalchemy as sa

from networking_workflow.journal import anew, clock, retries, settle, steps, sync, tables
from networking_workflow.model import errors, failures
from networking_workflow.model.states import OWNED, WORKFLOW_MOVES, SyncState, WorkflowState

_W = tables.workflows.c

_READ = sa.select(
    _W.id, _W.state, _W.lane, _W.resource_type, _W.resource_id, _W.held_keys, _W.gen
).where(_W.id == sa.bindparam("own_id"))

_END = (
    sa.update(tables.workflows)
    .where(_W.id == sa.bindparam("own_id"), _W.state == sa.bindparam("old_state"))
    .values(
        state=sa.bindparam("new_state"),
        holding=False,
        blocked_by=None,
        parked=0,
        waits_for=None,
        not_before=None,
        finished_at=clock.now(),
        updated_at=clock.now(),
    )
)

_NO_MORE_ATTEMPTS_SPENT = (
    sa.update(tables.workflows)
    .where(_W.id == sa.bindparam("own_id"))
    # A request to cancel may have come while it failed: the retry is the later word.
    .values(attempts=0, failure_code=None, failure_detail=None, cancel_requested=False)
)

_REQUEST_CANCEL = (
    sa.update(tables.workflows)
    .where(_W.id == sa.bindparam("own_id"), _W.state.in_(sorted(OWNED)))
    .values(cancel_requested=True, updated_at=clock.now())
)


def retry(connection: sa.Connection, workflow_id: str) -> None:
    """FAILED to READY, keys taken anew, all attempts to spend again.

    :raises WorkflowNotFound: if there is none; so do the others here.
    :raises IllegalMove: from any other state.
    """
    row = _read(connection, workflow_id)
    if row.state != WorkflowState.FAILED:
        raise errors.IllegalMove(workflow_id, row.state, "be retried")
    anew.ready_again(connection, row, WorkflowState.FAILED)
    connection.execute(_NO_MORE_ATTEMPTS_SPENT, {"own_id": workflow_id})


def end(connection: sa.Connection, workflow_id: str, state: WorkflowState, action: str) -> bool:
    """Move to SKIPPED or CANCELLED; return whether all who were parked have been woken.

    A RUNNING one is only asked to: its call must return first.

    :raises IllegalMove: from a state that does not allow it.
    """
    row = _read(connection, workflow_id)
    old = WorkflowState(row.state)
    if old in OWNED and state is WorkflowState.CANCELLED:
        if not connection.execute(_REQUEST_CANCEL, {"own_id": workflow_id}).rowcount:
            raise retries.LookAgain
        return True
    if old in OWNED or (old, state) not in WORKFLOW_MOVES:
        raise errors.IllegalMove(workflow_id, old, action)
    parameters = {"own_id": workflow_id, "old_state": old, "new_state": state}
    if not connection.execute(_END, parameters).rowcount:
        raise retries.LookAgain
    steps.skip(connection, [workflow_id])
    woken = settle.give_back(connection, workflow_id)
    resource = sync.Resource(row.lane, row.resource_type, row.resource_id)
    sync.settle(connection, resource, row.gen, SyncState.ERROR, failures.FailureCode.CANCELLED)
    return woken


def _read(connection: sa.Connection, workflow_id: str) -> typing.Any:
    row = connection.execute(_READ, {"own_id": workflow_id}).first()
    if row is None:
        raise errors.WorkflowNotFound(workflow_id)
    return row
