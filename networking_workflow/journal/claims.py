# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

"""Claiming: the next workflow that nothing stands before, or parking one behind what does."""

import collections.abc
import dataclasses
import typing
import uuid

import sqlalchemy as sa

from networking_workflow.journal import (
    candidates,
    clock,
    failpoints,
    folds,
    order,
    retries,
    steps,
    tables,
    takes,
    wakes,
)
from networking_workflow.model import tasks, workflows
from networking_workflow.model.states import Initiator, WorkflowState

#: Look-ups of one claim that may be lost to faster conductors before it gives up for now.
_LOOKS = 20

_W = tables.workflows.c

#: Asked in the transaction of a workflow's first claim for the tasks to start in it; none: they are
#: started later. May be asked again, since transactions are tried again. Whatever it raises, the
#: claim is made: without it.
Plan = collections.abc.Callable[
    [sa.Connection, workflows.Claim], collections.abc.Sequence[tasks.PlannedTask]
]


#: Served by the primary key.
_PARK = (
    sa.update(tables.workflows)
    .where(_W.id == sa.bindparam("blocker"), _W.holding)
    .values(parked=_W.parked + 1)
)

#: A change that is tried again later is tried now, since a newer one of the same resource came: it
#: may be what corrects it. One that waits for its backend goes on waiting.
_HURRY = (
    sa.update(tables.workflows)
    .where(
        _W.id == sa.bindparam("blocker"),
        _W.state == WorkflowState.RETRYING,
        _W.waits_for.is_(None),
        _W.lane == sa.bindparam("same_lane"),
        _W.resource_type == sa.bindparam("same_type"),
        _W.resource_id == sa.bindparam("same_id"),
    )
    .values(state=WorkflowState.READY, not_before=None, updated_at=clock.now())
)

_WAIT = (
    sa.update(tables.workflows)
    .where(_W.id == sa.bindparam("waiter"), _W.state == WorkflowState.READY)
    .values(state=WorkflowState.WAITING, blocked_by=sa.bindparam("blocker"), updated_at=clock.now())
)

_CLAIM = (
    sa.update(tables.workflows)
    # The fence: it may have been claimed and handed back since its holds were read.
    .where(
        _W.id == sa.bindparam("own_id"),
        _W.state == WorkflowState.READY,
        _W.fence == sa.bindparam("seen_fence"),
    )
    .values(
        state=WorkflowState.RUNNING,
        owner=sa.bindparam("new_owner"),
        claim_token=sa.bindparam("new_token"),
        fence=_W.fence + 1,
        waits_for=None,
        not_before=None,
        started_at=sa.func.coalesce(_W.started_at, clock.now()),
        updated_at=clock.now(),
    )
)

_CLAIM_FOLDED = _CLAIM.values(
    operation=sa.bindparam("new_operation"),
    snapshot=sa.bindparam("new_snapshot", type_=_W.snapshot.type),
    held_keys=sa.bindparam("new_keys", type_=_W.held_keys.type),
    gen=sa.bindparam("new_gen"),
    attempts=0,  # a newer change is tried as often as one that came alone
)

_READ_BACK = sa.select(_W.id).where(
    _W.id == sa.bindparam("own_id"),
    _W.owner == sa.bindparam("new_owner"),
    _W.claim_token == sa.bindparam("new_token"),
    _W.state == WorkflowState.RUNNING,
)


def claim(
    engine: sa.Engine,
    owner: str,
    after_project: str,
    plan: Plan | None = None,
    *,
    busy: bool = False,
) -> workflows.Claim | workflows.Parked | None:
    """Claim or park one workflow of the next project after ``after_project``; None: none READY.

    A first claim starts what ``plan`` says in the same transaction: one COMMIT less before the
    first call of a driver.

    :param busy: several are expected to be READY. Either guess is right; a wrong one costs a round
        trip.

    If the connection breaks during COMMIT, the row is read back: ours if it has our token.
    """
    token = str(uuid.uuid4())
    started: list[tuple[workflows.Claim, list[str]]] = []

    def work(connection: sa.Connection) -> workflows.Parked | None:
        started.clear()
        outcome = _look(connection, owner, token, after_project, busy)
        if isinstance(outcome, tuple):
            claimed, many = outcome
            started.append((_started(connection, claimed, plan), many))
            return None
        return outcome

    try:
        parked = retries.run(engine, work)
    except retries.LookAgain:
        return None
    except _NotPlanned:
        return claim(engine, owner, after_project, busy=busy)
    except sa.exc.DBAPIError:
        if not started or not _is_ours(engine, started[0][0], token):
            raise
        parked = None
    if not started:
        return parked
    claimed, many = started[0]
    failpoints.failpoint("journal.claimed")
    wakes.wake_many(engine, many)
    return claimed


class _NotPlanned(Exception):
    """The plan raised something; the transaction may be of no use any more."""


def _started(
    connection: sa.Connection, claim: workflows.Claim, plan: Plan | None
) -> workflows.Claim:
    """Return the claim with the tasks that a first one starts."""
    if plan is None or claim.fence > 1:
        return claim
    try:
        planned = plan(connection, claim)
    except (Exception, SystemExit) as error:  # drivers raise anything; raised again
        if retries.is_conflict(error):
            raise
        raise _NotPlanned from error  # the run meets the same, and the workflow says so
    if not planned:
        return claim
    return dataclasses.replace(claim, started=tuple(steps.start_new(connection, claim, planned)))


def _is_ours(engine: sa.Engine, claim: workflows.Claim, token: str) -> bool:
    parameters = {"own_id": claim.id, "new_owner": claim.owner, "new_token": token}
    return retries.run(engine, lambda c: c.execute(_READ_BACK, parameters).first() is not None)


def _look(
    connection: sa.Connection, owner: str, token: str, after_project: str, busy: bool
) -> tuple[workflows.Claim, list[str]] | workflows.Parked | None:
    for _ in range(_LOOKS):
        choice = candidates.choose(connection, after_project, busy=busy)
        if choice is None:
            return None
        chosen, holds, more = choice
        look = order.Look(holds[: order.MOST_HOLDS], [chosen.id])
        queued, blocker = folds.first_two(connection, chosen, look)
        if blocker is None:
            blocker = order.before(connection, holds[order.MOST_HOLDS :], [chosen.id])
        if blocker is None:
            if len(queued) > 1:
                queued = folds.queued(connection, chosen)
            claimed, many = _start(connection, chosen, holds, queued, owner, token)
            return dataclasses.replace(claimed, more=more), many
        if park(connection, chosen.id, blocker):
            hurry(connection, blocker.workflow_id, chosen)
            return workflows.Parked(
                workflow_id=chosen.id,
                blocked_by=blocker.workflow_id,
                project_id=chosen.project_id,
                more=more,
            )
    return None


def park(connection: sa.Connection, waiter: str, blocker: order.Before) -> bool:
    """Make ``waiter`` WAITING for the blocker; False: the blocker has just ended, or moved.

    :raises LookAgain: if another conductor was faster with ``waiter``.
    """
    if not write_blocker(connection, blocker.workflow_id):
        return False
    if not order.still_before(connection, blocker):
        raise retries.LookAgain
    waiting = {"waiter": waiter, "blocker": blocker.workflow_id}
    if not connection.execute(_WAIT, waiting).rowcount:
        raise retries.LookAgain
    return True


def hurry(connection: sa.Connection, blocker: str, waiter: sa.Row[typing.Any]) -> None:
    """RETRYING to READY where the blocker, whose row is written, is about the waiter's resource."""
    parameters = {
        "blocker": blocker,
        "same_lane": waiter.lane,
        "same_type": waiter.resource_type,
        "same_id": waiter.resource_id,
    }
    connection.execute(_HURRY, parameters)


def write_blocker(connection: sa.Connection, blocker: str) -> bool:
    """Write the blocker's row; False: it holds nothing any more.

    It must be a write: what closes the race with the blocker's end is that both write this row,
    with its lock on one server, with certification on Galera.
    """
    return bool(connection.execute(_PARK, {"blocker": blocker}).rowcount)


def _start(
    connection: sa.Connection,
    chosen: sa.Row[typing.Any],
    holds: list[takes.Hold],
    queued: list[sa.Row[typing.Any]],
    owner: str,
    token: str,
) -> tuple[workflows.Claim, list[str]]:
    """READY to RUNNING, with those of ``queued``, all later changes, that may be folded in.

    Returns also the folded ones that too many are parked on to wake them in this transaction.

    :raises LookAgain: if another conductor was faster.
    """
    if not queued or queued[0].id != chosen.id:
        raise retries.LookAgain
    own = queued[0]
    if own.cancel_requested:
        queued = queued[:1]  # what was not cancelled does not end with it
    folded = folds.plan(connection, queued, holds)
    parameters = {
        "own_id": own.id,
        "seen_fence": chosen.fence,
        "new_owner": owner,
        "new_token": token,
    }
    if folded.ids:
        parameters |= {
            "new_operation": folded.operation,
            "new_snapshot": folded.snapshot,
            "new_keys": folded.held_keys,
            "new_gen": folded.gen,
        }
    if not claim_row(connection, parameters):
        raise retries.LookAgain
    many = folds.fold(connection, own.id, folded)
    claimed = workflows.Claim(
        id=own.id,
        lane=chosen.lane,
        resource_type=chosen.resource_type,
        resource_id=chosen.resource_id,
        operation=folded.operation,
        project_id=chosen.project_id,
        operation_id=own.operation_id,
        request_id=own.request_id,
        initiator=Initiator(own.initiator),
        snapshot=folded.snapshot,
        keys=folded.keys,
        gen=folded.gen,
        attempts=0 if folded.ids else own.attempts,
        owner=owner,
        fence=chosen.fence + 1,
        cancel_requested=own.cancel_requested,
        folded=tuple(folded.ids),
    )
    return claimed, many


def claim_row(connection: sa.Connection, parameters: dict[str, typing.Any]) -> bool:
    """READY to RUNNING; False: claimed by another since its holds were read.

    The state alone does not tell: it may be READY again, with other holds. The fence does.
    """
    statement = _CLAIM_FOLDED if "new_gen" in parameters else _CLAIM
    return connection.execute(statement, parameters).rowcount == 1
