# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Ending a run: own row first (fenced), then tasks, holds, wake-ups and what the resource shows.

Each function is the work of one transaction. Those that give keys back return whether all who were
parked have been woken; if not, :func:`wakes.wake_many` is to follow the commit.
"""

import collections.abc
import dataclasses
import typing

import sqlalchemy as sa

from networking_workflow.journal import anew, clock, failpoints, fence, steps, sync, tables, wakes
from networking_workflow.model import failures, tasks, workflows
from networking_workflow.model import keys as model_keys
from networking_workflow.model.states import (
    HOLDING,
    TERMINAL,
    Operation,
    SyncState,
    WorkflowState,
)

#: So many that are HELD for a resource follow its success at once; the sweep takes the rest.
_MOST_RELEASED = 10_000

_W = tables.workflows.c
_H = tables.holds.c

Results = collections.abc.Sequence[tasks.TaskResult]
Bodies = collections.abc.Mapping[str, typing.Any]

_END = (
    sa.update(tables.workflows)
    .where(fence.OWN_ROW)
    .values(
        state=sa.bindparam("new_state"),
        holding=sa.bindparam("new_holding", type_=sa.Boolean),
        owner=None,
        parked=0,
        waits_for=sa.bindparam("new_waits_for"),
        superseded_by=sa.bindparam("new_superseded_by"),
        failure_code=sa.bindparam("new_code"),
        failure_detail=sa.bindparam("new_detail"),
        attempts=_W.attempts + sa.bindparam("spent", type_=sa.Integer),
        finished_at=sa.case((sa.bindparam("ended", type_=sa.Boolean), clock.now())),
        updated_at=clock.now(),
    )
)

_GO_ON = (
    sa.update(tables.workflows)
    .where(fence.OWN_ROW)
    .values(
        state=sa.bindparam("new_state"),
        owner=None,
        fence=_W.fence + 1,
        attempts=_W.attempts + sa.bindparam("spent", type_=sa.Integer),
        waits_for=sa.bindparam("new_waits_for"),
        not_before=clock.later(sa.bindparam("delay_us", type_=sa.BigInteger)),
        failure_code=sa.bindparam("new_code"),
        failure_detail=sa.bindparam("new_detail"),
        updated_at=clock.now(),
    )
)

#: Served by the index on workflow_id.
_GIVE_BACK = sa.delete(tables.holds).where(_H.workflow_id == sa.bindparam("workflow"))

#: Served by the index on (resource_id, state).
_EARLIER = sa.select(_W.id).where(
    _W.resource_id == sa.bindparam("resource_id"),
    _W.state.in_((WorkflowState.FAILED, WorkflowState.HELD)),
    _W.resource_type == sa.bindparam("resource_type"),
    _W.lane == sa.bindparam("lane"),
    _W.gen < sa.bindparam("gen"),
)

_SUPERSEDE = (
    sa.update(tables.workflows)
    .where(
        _W.id.in_(sa.bindparam("ids", expanding=True)),
        _W.state.in_((WorkflowState.FAILED, WorkflowState.HELD)),
    )
    .values(
        state=WorkflowState.SUPERSEDED,
        superseded_by=sa.bindparam("survivor"),
        waits_for=None,
        updated_at=clock.now(),
        finished_at=clock.now(),
    )
)

#: Served by the index on (resource_id, state).
_QUEUED_DELETE = (
    sa.select(_W.id)
    .where(
        _W.resource_id == sa.bindparam("resource_id"),
        _W.state.in_((WorkflowState.READY, WorkflowState.WAITING)),
        _W.resource_type == sa.bindparam("resource_type"),
        _W.lane == sa.bindparam("lane"),
        _W.operation == Operation.DELETE,
    )
    .order_by(_W.gen)
    .limit(1)
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """What is to follow the commit."""

    woken: bool = True  #: False: many are parked on it still
    come: sync.Resource | None = None  #: there now, and somebody may be HELD for it


def give_back(connection: sa.Connection, workflow_id: str) -> bool:
    """Delete all holds of a workflow whose row says that it holds nothing, and wake the parked."""
    connection.execute(_GIVE_BACK, {"workflow": workflow_id})
    return wakes.wake_few(connection, workflow_id)


def succeed(
    connection: sa.Connection,
    claim: workflows.Claim,
    results: Results,
    applied: Bodies,
    shows: SyncState,
) -> Ended:
    """RUNNING to SUCCESS: the resource ``shows`` its state, unless a newer change is pending.

    :raises LeaseLost: if the claim is another's by now; so do all functions here.
    """
    _end(connection, claim, WorkflowState.SUCCESS)
    steps.end(connection, claim, results)
    if claim.operation is Operation.DELETE:
        steps.forget_applied(connection, claim)
    else:
        steps.keep_applied(connection, claim, applied)
    woken = give_back(connection, claim.id)
    _supersede_earlier(connection, claim)
    own = sync.of(claim)
    there = sync.settle(connection, own, claim.gen, shows)
    held = there and sync.held_by(connection, own) > 0
    return Ended(woken=woken, come=own if held else None)


def succeed_unmanaged(connection: sa.Connection, claim: workflows.Claim) -> Ended:
    """RUNNING to SUCCESS without a driver; tasks that it has are of drivers configured no more."""
    ended = succeed(connection, claim, (), {}, SyncState.UNMANAGED)
    steps.skip(connection, [claim.id])
    return ended


def fail(
    connection: sa.Connection, claim: workflows.Claim, failure: failures.Failure, results: Results
) -> Ended:
    """RUNNING to FAILED: holds nothing and blocks nobody; shows what the failure means."""
    _end(connection, claim, WorkflowState.FAILED, failure=failure)
    steps.end(connection, claim, results)
    woken = give_back(connection, claim.id)
    sync.settle(connection, sync.of(claim), claim.gen, failure.shows, failure.code)
    return Ended(woken=woken)


def retry_later(
    connection: sa.Connection,
    claim: workflows.Claim,
    failure: failures.Failure,
    *,
    delay_s: float,
    spend_attempt: bool,
    waits_for: str | None,
    results: Results,
) -> None:
    """RUNNING to RETRYING: keeps its keys, and its place."""
    _go_on(
        connection,
        claim,
        WorkflowState.RETRYING,
        failure=failure,
        delay_s=delay_s,
        spent=int(spend_attempt),
        waits_for=waits_for,
    )
    steps.end(connection, claim, results)
    sync.settle(connection, sync.of(claim), claim.gen, SyncState.PENDING, failure.code)


def hold(
    connection: sa.Connection,
    claim: workflows.Claim,
    failure: failures.Failure,
    missing: sync.Resource,
    results: Results,
) -> Ended:
    """RUNNING to HELD until ``missing`` is in sync; READY at once, an attempt spent, if it is."""
    if not sync.hold_for(connection, missing):
        _go_on(connection, claim, WorkflowState.READY, failure=failure, spent=1)
        steps.end(connection, claim, results)
        sync.settle(connection, sync.of(claim), claim.gen, SyncState.PENDING, failure.code)
        return Ended()
    _end(connection, claim, WorkflowState.HELD, failure=failure, waits_for=missing.waits_for)
    steps.end(connection, claim, results)
    woken = give_back(connection, claim.id)
    sync.settle(connection, sync.of(claim), claim.gen, SyncState.PENDING, failure.code)
    return Ended(woken=woken)


def take_anew(
    connection: sa.Connection,
    claim: workflows.Claim,
    keys: collections.abc.Mapping[str, model_keys.Mode],
) -> None:
    """RUNNING to READY with ``keys`` at today's place instead of what it holds.

    The fence is raised: a conductor that is looking at its old holds must look again.
    """
    _go_on(connection, claim, WorkflowState.READY)
    connection.execute(_GIVE_BACK, {"workflow": claim.id})
    anew.place(connection, claim.id, sync.of(claim), keys)


def hand_back(connection: sa.Connection, claim: workflows.Claim) -> None:
    """RUNNING to READY; keeps its keys and its place."""
    _go_on(connection, claim, WorkflowState.READY)


def supersede_by_delete(connection: sa.Connection, claim: workflows.Claim) -> Ended | None:
    """RUNNING to SUPERSEDED by the queued delete of the same resource; None: there is none."""
    parameters = _same_resource(claim)
    delete = connection.execute(_QUEUED_DELETE, parameters).scalar()
    if delete is None:
        fence.check_fence(connection, claim)
        return None
    _end(connection, claim, WorkflowState.SUPERSEDED, superseded_by=delete)
    steps.skip(connection, [claim.id])
    return Ended(woken=give_back(connection, claim.id))


def cancelled(connection: sa.Connection, claim: workflows.Claim) -> Ended:
    """RUNNING to CANCELLED: the backend may hold something else than the database."""
    _end(connection, claim, WorkflowState.CANCELLED)
    steps.skip(connection, [claim.id])
    woken = give_back(connection, claim.id)
    sync.settle(
        connection,
        sync.of(claim),
        claim.gen,
        SyncState.ERROR,
        failures.FailureCode.CANCELLED,
    )
    return Ended(woken=woken)


def follow(engine: sa.Engine, claim: workflows.Claim, ended: Ended) -> None:
    """Do what is to follow the commit; a sweep does it if the process dies first."""
    failpoints.failpoint("journal.settled")
    if not ended.woken:
        wakes.wake_many(engine, [claim.id])
    if ended.come is not None:
        anew.release(engine, ended.come, _MOST_RELEASED)


def _end(
    connection: sa.Connection,
    claim: workflows.Claim,
    state: WorkflowState,
    *,
    failure: failures.Failure | None = None,
    waits_for: str | None = None,
    superseded_by: str | None = None,
) -> None:
    """Write the own row of a workflow that gives its keys back: ``holding`` goes with the state."""
    values = {
        "new_state": state,
        "new_holding": state in HOLDING,
        "new_waits_for": waits_for,
        "new_superseded_by": superseded_by,
        "new_code": failure.code if failure else None,
        "new_detail": failure.detail if failure else None,
        "ended": state in TERMINAL,
        "spent": int(state in (WorkflowState.SUCCESS, WorkflowState.FAILED)),
    }
    fence.execute(connection, _END, claim, values)


def _go_on(
    connection: sa.Connection,
    claim: workflows.Claim,
    state: WorkflowState,
    *,
    failure: failures.Failure | None = None,
    delay_s: float = 0.0,
    spent: int = 0,
    waits_for: str | None = None,
) -> None:
    """Write the own row of a workflow that will be claimed again."""
    values = {
        "new_state": state,
        "new_code": failure.code if failure else None,
        "new_detail": failure.detail if failure else None,
        "delay_us": clock.microseconds(delay_s),
        "spent": spent,
        "new_waits_for": waits_for,
    }
    fence.execute(connection, _GO_ON, claim, values)


def _supersede_earlier(connection: sa.Connection, claim: workflows.Claim) -> None:
    """Settle what FAILED or was HELD earlier: this one has applied the resource's current rows."""
    found = connection.execute(_EARLIER, {**_same_resource(claim), "gen": claim.gen}).scalars()
    ids = sorted(found)
    if ids:
        connection.execute(_SUPERSEDE, {"ids": ids, "survivor": claim.id})
        steps.skip(connection, ids)


def _same_resource(claim: workflows.Claim) -> dict[str, str]:
    return {
        "lane": claim.lane,
        "resource_type": claim.resource_type,
        "resource_id": claim.resource_id,
    }
